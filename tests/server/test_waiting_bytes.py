"""Alone, and through the server: bodies and fetched pictures count until they are answered."""

import anyio
import anyio.abc
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
