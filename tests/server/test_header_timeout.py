"""Clients whose header is slow: the rule with a clock in the test's hands, then live."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from atrous.server.header_timeout import HEADER_TIMEOUT_S, PatientProtocol

LIMIT_S = 0.5
PATIENCE_S = 300.0  # for what must happen, on a machine with other work
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


class Loop:
    """The running loop, but for its timers: these wait until the test looks at them."""

    def __init__(self) -> None:
        self._loop, self.timers = asyncio.get_running_loop(), []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, seconds: float, call: Callable[[], None]) -> SimpleNamespace:
        timer = SimpleNamespace(seconds=seconds, call=call, live=True)
        timer.cancel = lambda: setattr(timer, "live", False)
        self.timers.append(timer)
        return timer


class Transport(asyncio.Transport):
    """What a protocol sees of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: object = None) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, and say that all is well."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})


class Client:
    """A client at the other end of a protocol, in a loop whose time stands still."""

    def __init__(self) -> None:
        config = uvicorn.Config(answer, log_config=None, lifespan="off")
        config.load()
        self.loop, self.transport = Loop(), Transport()
        self.protocol = PatientProtocol(config, ServerState(), {}, _loop=self.loop)
        self.protocol.connection_made(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.data_received(data)

    async def answers(self, count: int) -> None:
        while self.transport.written.count(b"HTTP/1.1 200") < count:
            await asyncio.sleep(0)

    @property
    def limits(self) -> list[SimpleNamespace]:
        """The time limits that run; uvicorn has one of its own between two requests."""
        ours = self.protocol._give_up
        return [timer for timer in self.loop.timers if timer.live and timer.call == ours]


def played(scenario: Callable[[Client], Awaitable[None]]) -> None:
    async def play() -> None:
        await scenario(Client())

    asyncio.run(play())


def test_the_limit_runs_from_the_connection_however_often_a_byte_comes() -> None:
    async def scenario(client: Client) -> None:
        [limit] = client.limits
        assert limit.seconds == HEADER_TIMEOUT_S
        for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: xxx":
            client.send(bytes([byte]))
            assert client.limits == [limit]
        limit.call()
        assert client.transport.closed

    played(scenario)


def test_a_later_request_of_a_connection_has_the_limit_too() -> None:
    async def scenario(client: Client) -> None:
        client.send(REQUEST)
        await client.answers(1)
        client.send(REQUEST[:5])
        [limit] = client.limits
        for byte in REQUEST[5:-1]:
            client.send(bytes([byte]))
            assert client.limits == [limit]
        limit.call()
        assert client.transport.closed

    played(scenario)


def test_requests_that_are_answered_know_no_limit() -> None:
    async def scenario(client: Client) -> None:
        for number in range(3):
            client.send(REQUEST)
            assert client.limits == []
            await client.answers(number + 1)
            assert client.limits == []
        client.send(REQUEST[:20])  # in two pieces
        assert len(client.limits) == 1
        client.send(REQUEST[20:])
        assert client.limits == []
        await client.answers(4)
        assert not client.transport.closed

    played(scenario)


def test_a_slow_body_has_the_time_of_its_request() -> None:
    async def scenario(client: Client) -> None:
        client.send(POST)
        for _ in range(4):
            await asyncio.sleep(0)
            assert client.limits == []
            client.send(b"x")
        await client.answers(1)
        assert client.limits == []

    played(scenario)


def test_a_lost_connection_is_forgotten() -> None:
    async def scenario(client: Client) -> None:
        client.protocol.connection_lost(None)
        assert client.limits == []

    played(scenario)


@pytest.fixture
def connect(running, monkeypatch):
    monkeypatch.setattr("atrous.server.header_timeout.HEADER_TIMEOUT_S", LIMIT_S)
    server = running()
    opened = []

    def connect() -> socket.socket:
        address = ("127.0.0.1", urlsplit(server.url).port)
        opened.append(socket.create_connection(address, PATIENCE_S))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def drip(connection: socket.socket, header: bytes) -> None:
    """Send a header that never ends, until the server closes."""
    end = time.monotonic() + PATIENCE_S
    connection.settimeout(0.05)
    try:
        connection.sendall(header)
        while time.monotonic() < end:
            try:
                connection.send(b"x")
                if connection.recv(100) == b"":
                    return
            except TimeoutError:
                continue
    except ConnectionError:
        return
    raise AssertionError("the server waits on")


def test_a_client_that_sends_nothing_is_closed(connect) -> None:
    start = time.monotonic()
    assert connect().recv(100) == b""
    assert time.monotonic() - start >= LIMIT_S * 0.8


def test_a_header_that_drips_is_closed(connect) -> None:
    start = time.monotonic()
    drip(connect(), b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert time.monotonic() - start >= LIMIT_S * 0.8


def test_a_later_header_that_drips_is_closed(connect, monkeypatch) -> None:
    monkeypatch.setattr("atrous.server.header_timeout.HEADER_TIMEOUT_S", PATIENCE_S)
    connection, data = connect(), b""
    connection.sendall(REQUEST)
    while not data.endswith(b'"healthy"}'):
        piece = connection.recv(4096)
        assert piece, "the server closed the connection"
        data += piece
    assert b"200 OK" in data
    monkeypatch.setattr("atrous.server.header_timeout.HEADER_TIMEOUT_S", LIMIT_S)
    start = time.monotonic()
    drip(connection, b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert time.monotonic() - start >= LIMIT_S * 0.8
