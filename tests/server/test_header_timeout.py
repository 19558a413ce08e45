"""Slow clients, with sockets of their own, in a running server."""

import socket
import time
from urllib.parse import urlsplit

import pytest

LIMIT_S = 1.0
PATIENT_S = 4.0  # where the client is in time, also on a machine with other work
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def connect(running, monkeypatch):
    monkeypatch.setattr("atrous.server.header_timeout.HEADER_TIMEOUT_S", LIMIT_S)
    server = running()
    opened = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", urlsplit(server.url).port), 30))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def answer(connection) -> bytes:
    data = b""
    while not data.endswith(b'"healthy"}'):
        piece = connection.recv(4096)
        assert piece, "the server closed the connection"
        data += piece
    return data


def drip(connection) -> float:
    """Send a header that never ends, until the server closes; give the seconds that it took."""
    start = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - start < 30:
        try:
            connection.send(b"x")
            if connection.recv(100) == b"":
                return time.monotonic() - start
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - start
    raise AssertionError("the server waits on")


def test_a_client_that_sends_nothing_is_closed(connect) -> None:
    assert connect().recv(100) == b""


def test_a_header_that_drips_is_closed_however_often_a_byte_comes(connect) -> None:
    connection = connect()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert drip(connection) >= LIMIT_S * 0.8


def test_a_later_request_of_a_connection_has_the_limit_too(connect) -> None:
    connection = connect()
    connection.sendall(REQUEST)
    assert b"200 OK" in answer(connection)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert drip(connection) >= LIMIT_S * 0.8


def test_requests_that_are_answered_know_no_limit(connect, monkeypatch) -> None:
    monkeypatch.setattr("atrous.server.header_timeout.HEADER_TIMEOUT_S", PATIENT_S)
    connection = connect()
    start = time.monotonic()
    while time.monotonic() - start < PATIENT_S * 1.5:
        connection.sendall(REQUEST)
        assert b"200 OK" in answer(connection)
        time.sleep(0.1)
    connection.sendall(REQUEST[:20])  # in two pieces
    time.sleep(0.1)
    connection.sendall(REQUEST[20:])
    assert b"200 OK" in answer(connection)


def test_a_slow_body_has_the_time_of_its_request(connect, key, monkeypatch) -> None:
    monkeypatch.setattr("atrous.server.header_timeout.HEADER_TIMEOUT_S", PATIENT_S)
    connection = connect()
    head = f"POST /model/clear?api_key={key} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    connection.sendall(head.encode())
    for _ in range(4):
        time.sleep(PATIENT_S * 0.4)
        connection.sendall(b"x")
    assert b"200 OK" in connection.recv(4096)
