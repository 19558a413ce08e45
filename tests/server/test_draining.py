"""Ending the server with requests in work; tests/clients does the same to a real process."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from atrous.domain.errors import BadInput
from atrous.server import draining
from atrous.server.draining import server_config, waiting_at
from atrous.server.settings import ServerSettings


def test_accepted_requests_are_answered_and_new_ones_told(running, key, png, monkeypatch) -> None:
    server = running(drain_timeout_s=300.0)
    release = server.hold_predictions(monkeypatch)
    url, answers = f"{server.url}/colours/1?api_key={key}", []

    def post() -> None:
        answers.append(httpx.post(url, content=png, timeout=300))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.in_flight(4)
    server.server.should_exit = True
    while server.services.lifecycle.phase != "draining":
        pass
    late = httpx.post(url, content=png, timeout=300)
    assert late.status_code == 503
    assert late.headers["Retry-After"] == "1"
    assert late.headers["Connection"] == "close"
    assert httpx.get(f"{server.url}/readiness", timeout=300).status_code == 503
    assert httpx.get(f"{server.url}/healthz", timeout=300).status_code == 200
    assert answers == []
    release.set()
    for thread in threads:
        thread.join(120)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.headers["Connection"] for answer in answers] == ["close"] * 4


def post_on(connection, key, png) -> bytes:
    """Post a picture on an open connection; the beginning of the answer."""
    head = f"POST /colours/1?api_key={key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(png)}"
    connection.sendall(f"{head}\r\n\r\n".encode() + png)
    return connection.recv(4096)


def test_who_was_taken_in_before_the_end_is_told(running, key, png, monkeypatch) -> None:
    monkeypatch.setattr(draining, "LAST_CALL_S", 300)
    server = running()
    address = server.listener.getsockname()
    with socket.create_connection(address) as connection:
        while not server.server.server_state.connections:
            assert server.thread.is_alive()
        server.server.should_exit = True
        while server.server.servers[0].is_serving():
            assert server.thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        assert post_on(connection, key, png).startswith(b"HTTP/1.1 503 ")


def test_who_is_at_the_door_when_it_closes_is_taken_in(running, key, png, monkeypatch) -> None:
    monkeypatch.setattr(draining, "LAST_CALL_S", 300)
    connections = []

    def knock_at_the_last_moment(listener) -> list[socket.socket]:
        connections.append(socket.create_connection(listener.getsockname()))
        taken_in = []
        while not taken_in:
            taken_in = waiting_at(listener)
        return taken_in

    monkeypatch.setattr(draining, "waiting_at", knock_at_the_last_moment)
    server = running()
    server.server.should_exit = True
    while not connections:
        assert server.thread.is_alive()
    with connections[0] as connection:
        assert post_on(connection, key, png).startswith(b"HTTP/1.1 503 ")


def test_all_who_wait_are_taken_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        assert waiting_at(listener) == []
        with socket.create_connection(listener.getsockname()) as client:
            taken_in = []
            while not taken_in:
                taken_in = waiting_at(listener)
            with taken_in[0] as connection:
                assert connection.getpeername() == client.getsockname()


def test_what_takes_longer_than_the_grace_time_is_told(running, key, png, monkeypatch) -> None:
    monkeypatch.setattr(draining, "LAST_WORDS_S", 300)  # until this thread has seen the answer
    server = running(drain_timeout_s=0.0, http_api_threadpool_workers=1)
    release = server.hold_predictions(monkeypatch)
    answers, one = [], threading.Semaphore(0)

    def post() -> None:
        answers.append(
            httpx.post(f"{server.url}/colours/1?api_key={key}", content=png, timeout=300)
        )
        one.release()

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    server.in_flight(2)
    server.server.should_exit = True
    assert one.acquire(timeout=300)  # the one that waited for a thread
    release.set()
    for thread in threads:
        thread.join(120)
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].headers["Retry-After"] == "1"


def test_health_answers_while_every_thread_works(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1, max_waiting_requests=1)
    release = server.hold_predictions(monkeypatch)
    url, statuses = f"{server.url}/colours/1?api_key={key}", []

    def post() -> None:
        statuses.append(httpx.post(url, content=png, timeout=300).status_code)

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    server.in_flight(2)
    for _ in range(20):
        assert httpx.post(url, content=png, timeout=300).status_code == 429
    assert httpx.get(f"{server.url}/healthz", timeout=300).status_code == 200
    assert httpx.get(f"{server.url}/readiness", timeout=300).status_code == 200
    release.set()
    for thread in threads:
        thread.join(120)
    assert statuses == [200, 200]


def wait_while(holds: Callable[[], bool], request: threading.Thread) -> None:
    """Wait, with pauses in which the server's threads run, while a request is being answered."""
    while holds():
        assert request.is_alive()
        time.sleep(0.01)


def test_a_client_that_leaves_gives_its_place_back(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1, max_waiting_requests=1)
    release, begun = server.hold_network(monkeypatch)
    url = f"{server.url}/colours/1?api_key={key}"
    first = threading.Thread(target=lambda: httpx.post(url, content=png, timeout=300))
    first.start()
    work = server.services.work
    assert begun.acquire(timeout=120)  # it has the thread, so that the next one has to wait
    address = server.listener.getsockname()
    head = (
        f"POST /colours/1?api_key={key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(png)}\r\n\r\n"
    )
    with socket.create_connection(address) as second:
        second.sendall(head.encode() + png)
        wait_while(lambda: not work._waiting, first)
    wait_while(lambda: bool(work._waiting), first)
    wait_while(lambda: server.services.lifecycle.in_flight > 1, first)
    assert work._taken["colours/1"] == 1
    release.set()
    first.join(120)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Give a certificate for 127.0.0.1 and its key, as openssl makes them."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(["openssl", *make.split(), *names, *files], check=True, capture_output=True)
    return paths


def test_https_answers_who_trusts_its_certificate(running, key, png, certificate) -> None:
    cert, private_key = certificate
    server = running(enable_https=True, ssl_certfile=str(cert), ssl_keyfile=str(private_key))
    trusting = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(verify=trusting, timeout=300) as client:
        answer = client.post(f"{server.url}/colours/1", params={"api_key": key}, content=png)
        assert answer.status_code == 200
    with pytest.raises(httpx.ConnectError, match="(?i)certificate"):
        httpx.get(f"{server.url}/readiness", timeout=300)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/readiness".replace("https", "http"), timeout=300)


def test_a_kept_connection_outlives_the_pauses_of_clients() -> None:
    polls_every_s = 5  # roboflow 1.7.3, `Workspace.search_export`, on one connection
    assert server_config(FastAPI(), ServerSettings()).timeout_keep_alive > 2 * polls_every_s


def test_a_certificate_that_can_not_be_used_is_named(certificate) -> None:
    cert, _ = certificate
    for settings in (
        ServerSettings(enable_https=True, ssl_certfile="/no/such/file.pem"),
        ServerSettings(enable_https=True, ssl_certfile=str(cert)),  # without its key
        ServerSettings(enable_https=True, ssl_certfile=str(cert), ssl_keyfile=str(cert)),
    ):
        with pytest.raises(BadInput, match=f"SSL_CERTFILE={settings.ssl_certfile} .*PEM files"):
            server_config(FastAPI(), settings)
    half = ServerSettings(enable_https=True, ssl_certfile=str(cert), ssl_keyfile="/no/key.pem")
    with pytest.raises(BadInput, match=r"\(there is no file /no/key\.pem\)"):
        server_config(FastAPI(), half)
