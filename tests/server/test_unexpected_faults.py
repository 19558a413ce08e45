import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from atrous.server.unexpected_faults import UnexpectedFaults

PAGE = "https://pages.example"


def test_a_fault_is_answered_with_the_headers_of_all_answers(
    start, key, monkeypatch, caplog
) -> None:
    client = start(allow_origins=PAGE)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(type(client.app.state.services.models), "described", fail)
    headers = {"origin": PAGE, "X-Request-ID": "abc-1"}
    answer = client.get("/model/registry", params={"api_key": key}, headers=headers)
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal error."}
    assert answer.headers["X-Request-ID"] == "abc-1"
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert caplog.text.count("RuntimeError: broken") == 1


def test_an_answer_that_has_begun_is_cut_off() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("broken")

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    with pytest.raises(RuntimeError, match="broken"):
        anyio.run(UnexpectedFaults(app), {"type": "http"}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
