"""Alone, and through the server: bodies and fetched pictures count until they are answered."""

import anyio
import anyio.abc
import orjson
import pytest

from atrous.domain.errors import Busy
from atrous.server.metrics import Metrics
from atrous.server.settings import ServerSettings
from atrous.server.url_fetch import fetch_image
from atrous.server.waiting_bytes import WaitingBytes


def test_bytes_are_held_until_the_end_and_never_over_the_limit() -> None:
    metrics = Metrics()
    waiting = WaitingBytes(100, metrics)
    with waiting.account() as hold:
        hold(60)
        with waiting.account() as another:
            another(40)
            with pytest.raises(Busy):
                another(1)
            hold(0)
            assert b"atrous_waiting_bytes 100.0" in metrics.as_text()
        hold(40)
        with pytest.raises(Busy), waiting.account() as third:
            third(1)
    with waiting.account() as hold:
        hold(100)
    text = metrics.as_text()
    assert b"atrous_waiting_bytes 0.0" in text
    assert b"atrous_refused_total 2.0" in text


def test_a_failure_gives_its_bytes_back() -> None:
    waiting = WaitingBytes(10, Metrics())

    def hold_and_fail() -> None:
        with waiting.account() as hold:
            hold(10)
            raise ValueError("broken")

    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            hold_and_fail()


@pytest.mark.parametrize("path", ["/colours/1", "/infer/semantic_segmentation", "/model/add"])
def test_a_body_too_much_beside_others_is_429(start, key, path) -> None:
    client = start(max_waiting_bytes=1000)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with client.app.state.services.waiting_bytes.account() as hold:
        hold(900)
        answer = client.post(path, headers=headers, content=b"A" * 101)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "1"
        assert "bytes are waiting" in answer.json()["message"]
        assert client.post(path, headers=headers, content=b"A" * 100).status_code in (400, 422)
    assert client.post(path, headers=headers, content=b"A" * 1000).status_code in (400, 422)
    assert "atrous_waiting_bytes 0.0" in client.get("/metrics").text


def test_health_answers_though_nothing_more_may_wait(start) -> None:
    client = start(max_waiting_bytes=10)
    with client.app.state.services.waiting_bytes.account() as hold:
        hold(10)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readiness").status_code == 200


def test_a_share_is_left_to_callers_with_a_key() -> None:
    waiting = WaitingBytes(800, Metrics())
    with waiting.body_account("192.0.2.1") as one, waiting.body_account("192.0.2.1") as same:
        one.hold(100)  # half of a quarter: all that one address gets
        with pytest.raises(Busy):
            same.hold(1)
        with waiting.body_account("192.0.2.2") as other, waiting.body_account("192.0.2.3") as third:
            other.hold(100)
            with pytest.raises(Busy):  # a quarter: all that callers without a key get
                third.hold(1)
            third.trust()
            third.hold(600)
            other.trust()
            with pytest.raises(Busy):  # the share is free, and yet all is taken
                same.hold(1)
        one.trust()
        same.hold(100)
        one.hold(600)
    assert (waiting._held, dict(waiting._keyless)) == (0, {})


def test_one_body_of_the_largest_size_always_fits_in_the_share() -> None:
    waiting = WaitingBytes(800, Metrics(), max_body_bytes=700)
    with waiting.body_account("192.0.2.1") as body:
        body.hold(700)
    with waiting.body_account("2001:db8::1") as one, waiting.body_account("2001:db8::2") as other:
        one.hold(700)
        with pytest.raises(Busy):
            other.hold(1)


@pytest.mark.parametrize("path", ["/colours/1", "/infer/semantic_segmentation", "/model/add"])
def test_who_has_no_key_can_not_take_the_place_of_others(start, key, path) -> None:
    """Keys in the head are looked at first; one in the body frees the share once it is read."""
    client = start(max_waiting_bytes=4000, max_body_bytes=1000, max_url_bytes=1000)
    waiting = client.app.state.services.waiting_bytes
    json = {"content-type": "application/json"}
    bearer = {**json, "authorization": f"Bearer {key}"}
    keyed = orjson.dumps({"model_id": "colours/1", "api_key": key})
    with waiting.body_account("192.0.2.1") as body:
        body.hold(1000)  # all of the share
        assert client.post(path, headers=json, content=b"A" * 10).status_code == 429
        wrong = client.post(f"{path}?api_key=wrong", headers=json, content=b"A" * 10)
        assert wrong.status_code == (403 if path == "/colours/1" else 429)  # 403 without reading
        assert client.post(path, headers=json, content=keyed).status_code == 429
        passed = (200, 400, 422)
        assert client.post(path, headers=bearer, content=b"A" * 1000).status_code in passed
        answer = client.post(f"{path}?api_key={key}", headers=json, content=b"A" * 1000)
        assert answer.status_code in passed
    assert client.post(path, headers=json, content=keyed).status_code in passed
    assert client.post(path, headers=json, content=b"{}").status_code in (401, 422)
    assert (waiting._held, dict(waiting._keyless)) == (0, {})


def test_a_key_in_the_body_frees_the_share(start, key, monkeypatch) -> None:
    client = start(max_waiting_bytes=4000, max_body_bytes=1000, max_url_bytes=1000)
    services = client.app.state.services
    seen = []
    load = services.load_any

    async def look_and_load(*arguments) -> None:
        seen.append((services.waiting_bytes._held > 0, dict(services.waiting_bytes._keyless)))
        await load(*arguments)

    monkeypatch.setattr(services, "load_any", look_and_load)
    body = {"model_id": "colours/1", "api_key": key}
    assert client.post("/model/add", json=body).status_code == 200
    assert seen == [(True, {})]


def test_a_fetched_picture_counts() -> None:
    waiting = WaitingBytes(100, Metrics())
    settings = ServerSettings(
        allow_non_https_url_input=True,
        allow_url_input_without_fqdn=True,
        allow_url_to_non_global_addresses=True,
    )

    async def serve(stream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + b"x" * 60)

    async def scenario() -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        url = f"http://127.0.0.1:{port}/a"
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, serve)
            with waiting.account() as hold, waiting.account() as another:
                assert len(await fetch_image(url, settings, hold)) == 60
                with pytest.raises(Busy):
                    await fetch_image(url, settings, another)
            group.cancel_scope.cancel()

    anyio.run(scenario)
