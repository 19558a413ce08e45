"""Clients whose connection is slow, half closed, or reset in the middle, in a running server."""

import base64
import socket
import struct
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
PATIENCE_S = 120  # for what must happen, on a machine with other work


@pytest.fixture
def server(running):
    return running(http_api_threadpool_workers=1)


@pytest.fixture
def connect(server) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        address = ("127.0.0.1", urlsplit(server.url).port)
        opened.append(socket.create_connection(address, PATIENCE_S))
        wait_for(lambda: server.server.server_state.connections)  # else the server may see nothing
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def request_bytes(key, png) -> bytes:
    body = base64.b64encode(png)
    head = f"POST /colours/1?api_key={key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    connection.close()


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def check_that_nothing_is_held(server, key, png) -> None:
    """All that requests take is given back, and the next client is answered."""
    services, state = server.services, server.server.server_state
    wait_for(lambda: not state.connections and not state.tasks)
    assert services.lifecycle.in_flight == 0
    work = services.work
    assert (work._free_threads, dict(work._taken), dict(work._waiting)) == (1, {}, {})
    assert services.waiting_bytes._held == 0
    check_that_it_answers(server, key, png)


def check_that_it_answers(server, key, png) -> None:
    url = f"{server.url}/colours/1?api_key={key}"
    assert httpx.post(url, content=png, timeout=PATIENCE_S).status_code == 200


@pytest.mark.parametrize("end", ["reset", "half-close", "close"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99], ids=["header", "body", "last bytes"])
def test_a_request_that_breaks_off(server, connect, request_bytes, key, png, share, end) -> None:
    connection = connect()
    connection.sendall(request_bytes[: int(share * len(request_bytes))])
    if end == "reset":
        reset(connection)
    elif end == "close":
        connection.close()
    else:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):  # it is told, or the connection ends; nothing hangs
            pass
    check_that_nothing_is_held(server, key, png)


@pytest.mark.parametrize("end", ["reset", "half-close", "close"])
def test_a_client_that_breaks_off_while_it_waits(
    server, connect, request_bytes, key, png, monkeypatch, end
) -> None:
    release, begun = server.hold_network(monkeypatch)
    connection = connect()
    connection.sendall(request_bytes)
    assert begun.acquire(timeout=PATIENCE_S)
    if end == "reset":
        reset(connection)
    elif end == "close":
        connection.close()
    else:
        connection.shutdown(socket.SHUT_WR)
    works = server.services.lifecycle._in_work
    wait_for(lambda: any(work.cancel_called for work in list(works)))
    release.set()
    check_that_nothing_is_held(server, key, png)


def test_a_body_of_one_byte_at_a_time(server, connect, request_bytes, key, png) -> None:
    """Nobody else waits for it, and in the end it is answered like any other."""
    connection = connect()
    connection.sendall(request_bytes[:-5])
    for byte in request_bytes[-5:]:
        check_that_it_answers(server, key, png)
        connection.sendall(bytes([byte]))
    assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
    connection.close()
    check_that_nothing_is_held(server, key, png)
