"""Ending the server with requests in work; tests/clients does the same to a real process."""

import socket
import threading

import httpx
import pytest

from atrous.server.app import create_app
from atrous.server.draining import DrainingServer, uvicorn
from atrous.server.settings import ServerSettings


class Running:
    """A server in a thread, on a port of its own."""

    def __init__(self, store, **settings) -> None:
        app = create_app(ServerSettings(engine="onnxruntime", **settings), store)
        self.services = app.state.services
        self.listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5)
        self.server = DrainingServer(config, self.services)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def in_flight(self, count: int) -> None:
        while self.services.lifecycle.in_flight < count:
            assert self.thread.is_alive()


@pytest.fixture
def running(store):
    servers = []

    def start(**settings) -> Running:
        servers.append(Running(store, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.server.should_exit = True
        server.thread.join(20)
        assert not server.thread.is_alive()


def hold_predictions(running, monkeypatch) -> threading.Event:
    release = threading.Event()
    segmenter = running.services.models.get("colours/1")
    predict = segmenter.predict

    def hold_and_predict(*arguments, **named):
        assert release.wait(20)
        return predict(*arguments, **named)

    monkeypatch.setattr(segmenter, "predict", hold_and_predict)
    return release


def test_accepted_requests_are_answered_and_new_ones_told(running, key, png, monkeypatch) -> None:
    server = running()
    release = hold_predictions(server, monkeypatch)
    url, statuses = f"{server.url}/colours/1?api_key={key}", []

    def post() -> None:
        statuses.append(httpx.post(url, content=png, timeout=30).status_code)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.in_flight(4)
    server.server.should_exit = True
    while server.services.lifecycle.phase != "draining":
        pass
    late = httpx.post(url, content=png)
    assert late.status_code == 503
    assert late.headers["Retry-After"] == "1"
    assert late.headers["Connection"] == "close"
    assert httpx.get(f"{server.url}/readiness").status_code == 503
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert statuses == []
    release.set()
    for thread in threads:
        thread.join(20)
    assert statuses == [200] * 4


def test_what_takes_longer_than_the_grace_time_is_told(running, key, png, monkeypatch) -> None:
    server = running(drain_timeout_s=0.0, http_api_threadpool_workers=1)
    release = hold_predictions(server, monkeypatch)
    answers, one = [], threading.Semaphore(0)

    def post() -> None:
        answers.append(httpx.post(f"{server.url}/colours/1?api_key={key}", content=png, timeout=30))
        one.release()

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    server.in_flight(2)
    server.server.should_exit = True
    assert one.acquire(timeout=20)  # the one that waited for a thread
    release.set()
    for thread in threads:
        thread.join(20)
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].headers["Retry-After"] == "1"


def test_health_answers_while_every_thread_works(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1, max_waiting_requests=1)
    release = hold_predictions(server, monkeypatch)
    url, statuses = f"{server.url}/colours/1?api_key={key}", []

    def post() -> None:
        statuses.append(httpx.post(url, content=png, timeout=30).status_code)

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    server.in_flight(2)
    for _ in range(20):
        assert httpx.post(url, content=png).status_code == 429
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert httpx.get(f"{server.url}/readiness").status_code == 200
    release.set()
    for thread in threads:
        thread.join(20)
    assert statuses == [200, 200]


def test_a_client_that_leaves_gives_its_place_back(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1, max_waiting_requests=1)
    release = hold_predictions(server, monkeypatch)
    url = f"{server.url}/colours/1?api_key={key}"
    first = threading.Thread(target=lambda: httpx.post(url, content=png, timeout=30))
    first.start()
    server.in_flight(1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, content=png, timeout=0.2)
    while server.services.lifecycle.in_flight > 1:
        pass
    assert server.services.work._taken["colours/1"] == 1
    assert not server.services.work._waiting
    release.set()
    first.join(20)
