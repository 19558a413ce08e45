"""No key in a log line or an answer, on any route and in any way of failing."""

import io
import logging
import socket
import time

import anyio
import httpx
import pytest

from atrous.server.inference import hosted_route
from atrous.server.log_lines import JsonLines, TextLines
from atrous.server.recent_reads import FRESH_S
from atrous.store import open_store

WRONG = "atr_" + "Sentinel" * 5 + "xyz"
OTHER = "rf-sentinel-of-another-kind"


@pytest.fixture
def log():
    """Everything that is logged, at the lowest level, in both shapes."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers = [logging.StreamHandler(stream), logging.StreamHandler(stream)]
    for handler, lines in zip(handlers, (TextLines(), JsonLines()), strict=True):
        handler.setFormatter(lines)
        root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    # the tests' own client is no part of the server
    quiet = [logging.getLogger(name) for name in ("httpx", "httpx2", "httpcore", "httpcore2")]
    levels = [logger.level for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.WARNING)
    yield stream
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)
    for logger, before in zip(quiet, levels, strict=True):
        logger.setLevel(before)


def attempts(key: str) -> list[dict]:
    header = {"authorization": f"Bearer {key}"}
    return [
        {"params": {"api_key": key}},
        {"headers": header},
        {"json": {"api_key": key, "model_id": "colours/1", "image": {"type": "base64"}}},
        {"json": {"api_key": [key], "model_id": key, "image": key}},
        {"headers": header, "json": {"model_id": f"{key}/1", "image": {"type": key, "value": key}}},
        {"headers": header, "params": {"confidence": key, "stroke": key, "labels": key}},
        {"headers": header, "params": {"image": f"https://{key}.example.invalid/?api_key={key}"}},
        {"headers": {**header, "content-type": f"multipart/form-data; boundary={key}"}},
        {"headers": {**header, "x-request-id": "r1"}, "content": f'{{"api_key": "{key}'},
    ]


def routes(client) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    found = [(method, path) for path, methods in paths.items() for method in methods]
    assert len(found) > 12
    return found


def test_no_route_tells_a_key(start, key, log, monkeypatch) -> None:
    async def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", unknown)  # hundreds of look-ups may take their time
    client = start(max_wrong_keys_per_minute=0)
    for secret in (key, WRONG, OTHER):
        for method, path in routes(client):
            concrete = path.replace("{project}", "colours").replace("{version}", "1")
            for attempt in attempts(secret):
                answer = client.request(method.upper(), concrete, **attempt)
                assert answer.status_code < 500, (method, path, answer.text)
                assert secret not in answer.text
                assert secret not in str(answer.headers)
        for path in (f"/{secret}/1", f"/colours/{secret}", f"/{secret}", f"/start/x/{secret}"):
            assert secret not in client.post(path, params={"api_key": key}).text
    written = log.getvalue()
    assert written.count("'/colours/1'") > 20
    assert key not in written
    assert WRONG not in written
    # of other kinds of secrets, those where keys belong; a path is logged
    lines = [line for line in written.splitlines() if f"/{OTHER}" not in line]
    assert OTHER not in "\n".join(lines)


def test_an_unexpected_error_tells_no_key(client, key, log, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"broken at http://x/?api_key={OTHER}&y=1 with {key}")

    monkeypatch.setattr(hosted_route, "segment", fail)
    answer = client.post("/colours/1", params={"api_key": key}, content=b"x")
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal error."}
    logging.getLogger("uvicorn.error").exception(
        "Exception in ASGI application", exc_info=RuntimeError(f"api_key={OTHER} and {key}")
    )
    assert "Exception in ASGI" in log.getvalue()
    assert key not in log.getvalue()
    assert OTHER not in log.getvalue()


def test_a_key_expires_while_the_server_runs(client, store, monkeypatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(store.api_keys, "_clock", lambda: now[0])
    created = store.api_keys.create("short", store.workspaces.default(), expires_at=1_000_010.0)
    params = {"api_key": created.plain_text}
    assert client.get("/model/registry", params=params).status_code == 200
    now[0] += 10
    time.sleep(FRESH_S)
    assert client.get("/model/registry", params=params).status_code == 403


def test_a_key_revoked_by_another_process_is_refused_soon(client, key, store) -> None:
    assert client.get("/model/registry", params={"api_key": key}).status_code == 200
    with open_store(store.home.folder) as another:
        another.api_keys.revoke("test")
    time.sleep(FRESH_S)
    answer: httpx.Response = client.get("/model/registry", params={"api_key": key})
    assert answer.status_code == 403
