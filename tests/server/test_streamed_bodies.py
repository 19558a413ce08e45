import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from atrous.server import streamed_bodies
from atrous.server.authentication import find_key
from atrous.server.body_limit import DRAIN_FACTOR
from atrous.server.errors import add_error_answers
from atrous.server.lifecycle import Lifecycle
from atrous.server.platform.links import Target, sign
from atrous.server.platform.model_upload_routes import FILE_NAME
from atrous.server.platform.unsupported_routes import OF_WORKSPACES
from atrous.server.request_lifetime import RequestLifetime
from atrous.server.streamed_bodies import body_in_file, is_streamed


@pytest.fixture
def limited(tmp_path) -> TestClient:
    async def keep(request: Request) -> PlainTextResponse:
        async with body_in_file(request, tmp_path, 1000) as path:
            return PlainTextResponse(str(path.stat().st_size))

    return TestClient(Starlette(routes=[Route("/files/x", keep, methods=["PUT"])]))


def chunks(count: int):
    for _ in range(count):
        yield b"x" * 100


def test_a_body_goes_to_a_file_that_is_gone_afterwards(limited: TestClient, tmp_path) -> None:
    assert limited.put("/files/x", content=chunks(10)).text == "1000"
    assert list(tmp_path.iterdir()) == []


def test_too_much_is_refused_whatever_was_said(
    limited: TestClient, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_bodies, "DRAIN_TIMEOUT_S", 0.01)  # nothing more will come
    assert limited.put("/files/x", content=b"x" * 1001).status_code == 413
    assert limited.put("/files/x", content=chunks(11)).status_code == 413
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(request: Request) -> None:
        async with body_in_file(request, tmp_path, 100_000):
            pytest.fail("a body that was not kept")

    async def open_full(path, mode: str):
        return await open_file("/dev/full", mode)

    open_file = anyio.open_file
    monkeypatch.setattr(anyio, "open_file", open_full)
    monkeypatch.setattr(streamed_bodies, "DRAIN_TIMEOUT_S", 0.01)  # nothing more will come
    app = FastAPI()
    app.add_api_route("/files/x", keep, methods=["PUT"])
    add_error_answers(app)
    answer = TestClient(app).put("/files/x", content=(b"x" * 20_000 for _ in range(3)))
    assert answer.status_code == 507
    assert "the disk is full" in answer.json()["message"]
    assert list(tmp_path.iterdir()) == []


LINK = "/files/" + sign(Target("task", "application/zip", 1e10, "key"), b"secret")


def test_which_bodies_these_are() -> None:
    for path in (LINK, f"{LINK}/{FILE_NAME}"):
        assert is_streamed({"type": "http", "method": "PUT", "path": path})
        assert not is_streamed({"type": "http", "method": "POST", "path": path})
    for path in ("/colours/1", "/files/token", "/files/workflows/model.zip", f"{LINK}/other"):
        assert not is_streamed({"type": "http", "method": "PUT", "path": path})
    assert not is_streamed({"type": "lifespan"})


OTHERS = [f"/files/{word}{rest}" for word in OF_WORKSPACES for rest in ("", "/x", "/x/y.z")]


@pytest.mark.parametrize(
    "path",
    [*OTHERS, "/files/models/prepareUpload", "/files/token", "/files/a.b/c", LINK],
)
def test_no_path_takes_more_than_the_limit_from_who_has_no_key(start, path: str) -> None:
    """Such as those of a workspace called `files`, which the routes of links are not for."""
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 400
        return {"type": "http.request", "body": b"{" * 400, "more_body": read < 400_000}

    async def send(message: Message) -> None:
        answers.append(message)

    answers: list[Message] = []
    scope = {"type": "http", "method": "PUT", "path": path, "headers": [], "query_string": b""}
    anyio.run(start(max_body_bytes=1000).app, scope, receive, send)
    assert 400 <= answers[0]["status"] < 500
    assert read <= 1000 * (DRAIN_FACTOR + 1)


def test_no_key_is_looked_for_in_such_a_body(client) -> None:
    async def receive() -> Message:
        pytest.fail("the body was read")

    scope = {"type": "http", "method": "PUT", "path": LINK, "headers": [], "query_string": b""}
    request = Request({**scope, "app": client.app}, receive)
    assert anyio.run(find_key, request) is None


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_streamed_body_has_the_time_for_each_of_its_pieces(method: str) -> None:
    deadlines = []
    pieces = [{"type": "http.request", "body": b"x", "more_body": True}] * 2

    async def receive():
        return pieces.pop() if pieces else await anyio.sleep_forever()

    async def send(message) -> None:
        pass

    async def app(scope, receive, send) -> None:
        for _ in range(2):
            await receive()
            deadlines.append(anyio.current_effective_deadline())
            await anyio.sleep(0.001)
        await PlainTextResponse("")(scope, receive, send)

    scope = {"type": "http", "method": method, "path": LINK, "headers": []}
    anyio.run(RequestLifetime(app, Lifecycle(), 60.0), scope, receive, send)
    assert (deadlines[1] > deadlines[0]) == (method == "PUT")
