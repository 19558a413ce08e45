import math
from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from atrous.server import body_limit
from atrous.server.body_limit import BodyLimit
from atrous.server.metrics import Metrics
from atrous.server.waiting_bytes import WaitingBytes


def chunks(count: int):
    for _ in range(count):
        yield b"A" * 1000


@pytest.mark.parametrize("path", ["/colours/1", "/infer/semantic_segmentation", "/model/add"])
def test_a_large_body_is_413(start, key, path) -> None:
    client = start(max_body_bytes=10_000)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    answer = client.post(path, headers=headers, content=b"A" * 10_001)
    assert answer.status_code == 413
    assert "10000 bytes" in answer.json()["message"]


def test_bytes_are_counted_not_believed(start, key) -> None:
    client = start(max_body_bytes=10_000)
    answer = client.post("/colours/1", params={"api_key": key}, content=chunks(11))
    assert answer.status_code == 413
    answer = client.post("/colours/1", params={"api_key": key}, content=chunks(10))
    assert answer.status_code == 400  # small enough, but no picture


def test_a_large_form_is_413(start, key) -> None:
    client = start(max_body_bytes=10_000)
    files = {"file": ("a.png", b"A" * 20_000)}
    assert client.post("/colours/1", params={"api_key": key}, files=files).status_code == 413


def test_the_limit_itself_is_allowed(start, key, png) -> None:
    client = start(max_body_bytes=len(png))
    assert client.post("/colours/1", params={"api_key": key}, content=png).status_code == 200


def test_a_streamed_answer_does_not_wait_for_a_body_that_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading to see the client leave is not mistaken for a body that is still on its way.

    Checked by the messages that are asked for: after the last part of the body only one more
    is, that of the client's leaving.
    """
    asked = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pieces = (piece async for piece in _pieces())
        await StreamingResponse(pieces)(scope, receive, send)

    async def _pieces() -> AsyncIterator[bytes]:
        yield b"whole"

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        if asked > 1:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        assert asked <= 2

    async def slowly_trusted(scope: Scope) -> bool:
        for _ in range(5):  # as when a key is looked up in the store
            await anyio.sleep(0)
        return True

    monkeypatch.setattr(body_limit, "DRAIN_TIMEOUT_S", math.inf)  # a wait would not end
    limit = BodyLimit(app, 1000, WaitingBytes(1000, Metrics()), slowly_trusted)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"version": "3"}}

    async def run() -> None:
        with anyio.fail_after(300):
            await limit(scope, receive, send)

    anyio.run(run)
    assert b"".join(message.get("body", b"") for message in sent) == b"whole"


@pytest.mark.parametrize(("expect", "read"), [("", 3), ("100-continue", 0)])
def test_a_body_that_says_it_is_too_large_is_refused_at_once(expect: str, read: int) -> None:
    """Nothing waits for it, as for the model that it is for; who sends without asking is heard."""
    body = [{"type": "http.request", "body": b"A" * 400, "more_body": more} for more in (1, 1, 0)]
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("it should not be asked")

    async def receive() -> Message:
        return body.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def trusted(scope: Scope) -> bool:
        return True

    limit = BodyLimit(app, 1000, WaitingBytes(1000, Metrics()), trusted)
    headers = [(b"content-length", b"1200"), (b"expect", expect.encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    anyio.run(limit, scope, receive, send)
    assert sent[0]["status"] == 413
    assert len(body) == 3 - read
