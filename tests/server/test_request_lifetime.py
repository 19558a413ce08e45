"""The middleware alone, with receive and send in the test's hands."""

import anyio
import orjson
import pytest

from atrous.server.lifecycle import Lifecycle
from atrous.server.request_lifetime import RequestLifetime

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}
BODY = {"type": "http.request", "body": b"x", "more_body": False}
GONE = {"type": "http.disconnect"}


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


def run(app, client, timeout_s=60.0, lifecycle=None):
    middleware = RequestLifetime(app, lifecycle or Lifecycle(), timeout_s)
    anyio.run(middleware, SCOPE, client.receive, client.send)


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
        await anyio.sleep_forever()

    client = Client(BODY)
    run(app, client, timeout_s=0.05)
    assert client.status == 504
    assert "0.05 seconds" in orjson.loads(client.received[1]["body"])["message"]
    assert (b"retry-after", b"1") in client.received[0]["headers"]


def test_a_body_that_is_late_is_408() -> None:
    async def app(scope, receive, send) -> None:
        while (await receive())["more_body"]:
            pass

    client = Client({**BODY, "more_body": True})
    run(app, client, timeout_s=0.05)
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
        await anyio.sleep_forever()

    client = Client(BODY)
    run(app, client, timeout_s=0.05)
    assert [message["type"] for message in client.received] == ["http.response.start"]


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
