"""Clients that read slowly or not at all: the rule with a clock in the test's hands, then live."""

import socket
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from atrous.server import unread_answers
from atrous.server.header_timeout import PatientProtocol

PATIENCE_S = 120  # for what must happen, on a machine with other work
ENOUGH = int(unread_answers.LEAST_BYTES_PER_S * unread_answers.LOOK_EVERY_S)


class Connection:
    """What a protocol sees of a connection: a transport, and a loop with one timer that counts."""

    def __init__(self) -> None:
        self.left, self.aborted, self.timers = 0, False, []

    def get_write_buffer_size(self) -> int:
        return self.left

    def get_extra_info(self, name: str) -> None:
        return None

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return True  # so that uvicorn's own timer stays out of it

    def call_later(self, seconds: float, call) -> SimpleNamespace:
        timer = SimpleNamespace(call=call, live=True)
        timer.cancel = lambda: setattr(timer, "live", False)
        self.timers.append(timer)
        return timer

    def let_time_pass(self) -> None:
        """As far as the next look, where there is one."""
        due = [timer for timer in self.timers if timer.live]
        self.timers = []
        for timer in due:
            timer.call()


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def protocol(connection: Connection) -> unread_answers.UnreadAnswers:
    config = uvicorn.Config(lambda *_: None, log_config=None)
    config.load()
    made = unread_answers.UnreadAnswers(config, ServerState(), {}, _loop=connection)
    made.connection_made(connection)
    return made


def test_who_reads_nothing_is_given_up(connection, protocol) -> None:
    connection.left = 10 * ENOUGH
    protocol.pause_writing()
    assert not connection.aborted
    connection.let_time_pass()
    assert connection.aborted


def test_who_reads_slowly_gets_all_of_it(connection, protocol) -> None:
    connection.left = 10 * ENOUGH
    protocol.on_response_complete()
    while connection.left:
        connection.left -= ENOUGH
        connection.let_time_pass()
        assert not connection.aborted
    assert not connection.timers


def test_who_stops_reading_in_the_middle_is_given_up(connection, protocol) -> None:
    connection.left = 10 * ENOUGH
    protocol.on_response_complete()
    connection.left -= ENOUGH
    connection.let_time_pass()
    assert not connection.aborted
    connection.left -= ENOUGH - 1
    connection.let_time_pass()
    assert connection.aborted


def test_the_last_bytes_need_only_be_taken(connection, protocol) -> None:
    connection.left = 10
    protocol.on_response_complete()
    connection.left = 1
    connection.let_time_pass()
    assert connection.aborted


def test_who_keeps_up_is_watched_no_longer(connection, protocol) -> None:
    connection.left = 10 * ENOUGH
    protocol.pause_writing()
    protocol.resume_writing()
    connection.let_time_pass()
    assert not connection.aborted
    connection.left = 0
    protocol.on_response_complete()
    assert not any(timer.live for timer in connection.timers)


def test_a_lost_connection_is_forgotten(connection, protocol) -> None:
    connection.left = 10
    protocol.on_response_complete()
    protocol.connection_lost(ConnectionResetError())
    connection.let_time_pass()
    assert not connection.aborted


def test_a_running_server_does_so(running, key, monkeypatch) -> None:
    assert issubclass(PatientProtocol, unread_answers.UnreadAnswers)
    monkeypatch.setattr(unread_answers, "LOOK_EVERY_S", 0.2)
    server = running()
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # connections inherit it
    connections = server.server.server_state.connections
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", urlsplit(server.url).port))
        client.sendall(f"GET /openapi.json?api_key={key} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(16) == b"HTTP/1.1 200 OK\r"  # and no more of it
        end = time.monotonic() + PATIENCE_S
        while connections:
            assert time.monotonic() < end
            time.sleep(0.01)
