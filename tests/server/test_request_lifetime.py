"""The middleware alone, with receive and send in the test's hands; then in a running server."""

import base64
import socket
import threading
import time

import anyio
import httpx
import orjson
import pytest
from starlette.requests import Request

from atrous.server import app as app_module
from atrous.server.lifecycle import Lifecycle
from atrous.server.request_lifetime import RequestLifetime, waiting_for_load

BODY = {"type": "http.request", "body": b"x", "more_body": False}
GONE = {"type": "http.disconnect"}
PATIENCE_S = 120  # for what must happen, on a machine with other work


class Client:
    """Sends these messages, then is silent."""

    def __init__(self, *messages) -> None:
        self.messages, self.received = list(messages), []

    async def receive(self):
        if not self.messages:
            await anyio.sleep_forever()
        return self.messages.pop(0)

    async def send(self, message) -> None:
        self.received.append(message)

    @property
    def status(self) -> int:
        return self.received[0]["status"]


def run(app, client, timeout_s=60.0, lifecycle=None, headers=()):
    middleware = RequestLifetime(app, lifecycle or Lifecycle(), timeout_s)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    anyio.run(middleware, scope, client.receive, client.send)


def end_the_time(lifecycle) -> None:
    """The time of the one request in work is over now, not after a wait."""
    [work] = lifecycle._in_work
    work.deadline = anyio.current_time()


async def answer(send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_work_ends_when_the_client_leaves() -> None:
    ended = []

    async def app(scope, receive, send) -> None:
        await receive()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    client = Client(BODY, GONE)
    run(app, client)
    assert ended
    assert client.status == 499


def test_an_answer_that_is_late_is_504() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        end_the_time(lifecycle)
        await anyio.sleep_forever()

    client, lifecycle = Client(BODY), Lifecycle()
    run(app, client, lifecycle=lifecycle)
    assert client.status == 504
    assert "60 seconds" in orjson.loads(client.received[1]["body"])["message"]
    assert (b"retry-after", b"1") in client.received[0]["headers"]


def test_a_body_that_is_late_is_408() -> None:
    async def app(scope, receive, send) -> None:
        while (await receive())["more_body"]:
            pass

    client = Client({**BODY, "more_body": True})
    run(app, client, timeout_s=0.05, headers=[(b"content-length", b"9")])
    assert client.status == 408


def test_a_request_without_a_body_is_504_though_nobody_asked_for_its_body() -> None:
    async def app(scope, receive, send) -> None:
        end_the_time(lifecycle)
        await anyio.sleep_forever()

    client, lifecycle = Client(BODY), Lifecycle()
    run(app, client, lifecycle=lifecycle)
    assert client.status == 504


def test_a_load_that_takes_too_long_is_503_and_the_body_is_taken() -> None:
    async def app(scope, receive, send) -> None:
        with waiting_for_load(Request(scope)):
            end_the_time(lifecycle)
            await anyio.sleep_forever()

    client, lifecycle = Client({**BODY, "more_body": True}, BODY), Lifecycle()
    run(app, client, lifecycle=lifecycle)
    assert client.status == 503
    assert (b"retry-after", b"1") in client.received[0]["headers"]
    message = orjson.loads(client.received[1]["body"])["message"]
    assert message.startswith("Model is temporarily not ready - retry request. It was not loaded")
    assert client.messages == []  # else the client never sees the answer: it is still sending


def test_a_body_that_is_late_after_the_load_is_408() -> None:
    async def app(scope, receive, send) -> None:
        with waiting_for_load(Request(scope)):
            pass
        end_the_time(lifecycle)
        await receive()

    client, lifecycle = Client(), Lifecycle()
    run(app, client, lifecycle=lifecycle, headers=[(b"transfer-encoding", b"chunked")])
    assert client.status == 408


def test_what_is_cut_off_at_the_end_is_503() -> None:
    lifecycle = Lifecycle()

    async def app(scope, receive, send) -> None:
        await receive()
        lifecycle.cut_off()
        await anyio.sleep_forever()

    client = Client(BODY)
    run(app, client, lifecycle=lifecycle)
    assert client.status == 503


def test_an_answer_that_has_begun_is_not_mixed_with_another() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        end_the_time(lifecycle)
        await anyio.sleep_forever()

    client, lifecycle = Client(BODY), Lifecycle()
    run(app, client, lifecycle=lifecycle)
    assert [message["type"] for message in client.received] == ["http.response.start"]


def test_a_long_download_has_the_time_for_each_of_its_pieces() -> None:
    left_s: list[float] = []

    async def app(scope, receive, send) -> None:
        [work] = lifecycle._in_work
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            work.deadline -= 3000  # as if so much time had gone
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            left_s.append(work.deadline - anyio.current_time())
        await send({"type": "http.response.body", "body": b""})

    client, lifecycle = Client(BODY), Lifecycle()
    run(app, client, timeout_s=4000.0, lifecycle=lifecycle)
    assert len(client.received) == 5
    assert all(left > 2000 for left in left_s)  # each piece begins the time anew


def test_a_client_that_leaves_after_its_answer_cancels_nothing() -> None:
    ended = []

    async def app(scope, receive, send) -> None:
        await receive()
        await answer(send)
        client.messages.append(GONE)
        await anyio.sleep(0.01)
        ended.append(True)

    client = Client(BODY)
    run(app, client)
    assert ended
    assert client.status == 200


def test_the_app_is_told_that_the_client_left_while_it_sent() -> None:
    seen = []

    async def app(scope, receive, send) -> None:
        seen.extend([await receive(), await receive()])

    run(app, Client({**BODY, "more_body": True}, GONE))
    assert seen[1] == GONE


def test_requests_in_work_are_counted() -> None:
    lifecycle, seen = Lifecycle(), []

    async def app(scope, receive, send) -> None:
        seen.append(lifecycle.in_flight)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(app, Client(BODY), lifecycle=lifecycle)
    assert seen == [1]
    assert lifecycle.in_flight == 0


def test_the_answers_of_a_server_that_ends_close_their_connections() -> None:
    lifecycle, before, after = Lifecycle(), Client(BODY), Client(BODY)

    async def app(scope, receive, send) -> None:
        await answer(send)

    run(app, before, lifecycle=lifecycle)
    lifecycle.drain()
    run(app, after, lifecycle=lifecycle)
    assert before.received[0]["headers"] == []
    assert after.received[0]["headers"] == [(b"connection", b"close")]


def wait_for(true) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def is_cancelled(server) -> bool:
    return any(work.cancel_called for work in list(server.services.lifecycle._in_work))


def stages(server) -> dict[str, int]:
    """How often each stage has run."""
    [histogram] = server.services.metrics.stage_seconds.collect()
    return {
        sample.labels["stage"]: int(sample.value)
        for sample in histogram.samples
        if sample.name.endswith("_count")
    }


def check_that_all_is_free(server, key, png) -> None:
    wait_for(lambda: server.services.lifecycle.in_flight == 0)
    work = server.services.work
    assert (work._free_threads, dict(work._taken), dict(work._waiting)) == (1, {}, {})
    url = f"{server.url}/colours/1"
    answer = httpx.post(url, params={"api_key": key}, content=png, timeout=PATIENCE_S)
    assert answer.status_code == 200


def send_and_leave(server, path, body, begun) -> None:
    """Send a request and leave as soon as it is in the network."""
    host, port = server.listener.getsockname()
    fields = f"Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n"
    with socket.create_connection((host, port)) as connection:
        connection.sendall(head.encode() + body)
        assert begun.acquire(timeout=PATIENCE_S)


def test_no_stage_begins_after_the_client_left(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1)
    release, begun = server.hold_network(monkeypatch)
    send_and_leave(server, f"/colours/1?api_key={key}", png, begun)
    wait_for(lambda: is_cancelled(server))
    assert server.services.work._free_threads == 0  # it is still in the network
    release.set()
    wait_for(lambda: server.services.lifecycle.in_flight == 0)
    assert stages(server) == {"decode": 1, "preprocess": 1, "network": 1}
    check_that_all_is_free(server, key, png)


def test_no_other_picture_is_begun_after_the_client_left(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1)
    release, begun = server.hold_network(monkeypatch)
    image = {"type": "base64", "value": base64.b64encode(png).decode()}
    body = {"model_id": "colours/1", "image": [image] * 3}
    path = f"/infer/semantic_segmentation?api_key={key}"
    send_and_leave(server, path, orjson.dumps(body), begun)
    wait_for(lambda: is_cancelled(server))
    release.set()
    wait_for(lambda: server.services.lifecycle.in_flight == 0)
    assert stages(server) == {"decode": 1, "preprocess": 1, "network": 1}
    check_that_all_is_free(server, key, png)


def test_no_stage_begins_when_the_time_is_over(running, key, png, monkeypatch) -> None:
    server = running(http_api_threadpool_workers=1)
    release, begun = server.hold_network(monkeypatch)
    answers = []

    def post() -> None:
        url = f"{server.url}/colours/1?api_key={key}"
        answers.append(httpx.post(url, content=png, timeout=PATIENCE_S).status_code)

    client = threading.Thread(target=post)
    client.start()
    assert begun.acquire(timeout=PATIENCE_S)
    [work] = server.services.lifecycle._in_work
    loop = server.server.servers[0].get_loop()  # its time is over now, not after a wait
    loop.call_soon_threadsafe(lambda: setattr(work, "deadline", loop.time()))
    wait_for(lambda: is_cancelled(server))
    release.set()
    client.join(PATIENCE_S)
    assert answers == [504]
    assert stages(server) == {"decode": 1, "preprocess": 1, "network": 1}
    check_that_all_is_free(server, key, png)


def test_a_model_that_loads_too_slowly_answers_the_repeated_request(
    running, key, png, monkeypatch
) -> None:
    release, begun = hold_load(monkeypatch)
    server, first = running(), []
    url = f"{server.url}/colours/1?api_key={key}"

    def post() -> None:
        first.append(httpx.post(url, content=png + bytes(8_000_000), timeout=PATIENCE_S))

    client = threading.Thread(target=post)
    client.start()
    assert begun.acquire(timeout=PATIENCE_S)
    [work] = server.services.lifecycle._in_work
    loop = server.server.servers[0].get_loop()
    loop.call_soon_threadsafe(lambda: setattr(work, "deadline", loop.time()))
    client.join(PATIENCE_S)
    assert (first[0].status_code, first[0].headers["retry-after"]) == (503, "1")
    release.set()
    assert httpx.post(url, content=png, timeout=PATIENCE_S).status_code == 200
    assert not begun.acquire(blocking=False)  # it was loaded once


def hold_load(monkeypatch) -> tuple[threading.Event, threading.Semaphore]:
    """Loads of models stop until the event is set; the semaphore counts them."""
    release, begun, load = threading.Event(), threading.Semaphore(0), app_module.load_from

    def load_slowly(*arguments):
        begun.release()
        assert release.wait(PATIENCE_S)
        return load(*arguments)

    monkeypatch.setattr(app_module, "load_from", load_slowly)
    return release, begun
