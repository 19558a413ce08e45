"""The comparison of answers with the document finds what differs: controls."""

from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel


class Thing(BaseModel):
    name: str
    size: int | None = None


@pytest.fixture
def echo(load_beside) -> Any:
    """A client of an app that answers with the body that it is sent."""
    beside = load_beside("described_answers")
    if not beside.HAS_VALIDATOR:
        pytest.skip("jsonschema_rs comes with schemathesis, which Python 3.10 lacks")
    app = FastAPI()

    @app.post("/things/{status}", responses={200: {"model": Thing}, "4XX": {"model": Thing}})
    async def send_back(request: Request, status: int) -> Response:
        return Response(await request.body(), status, media_type="application/json")

    client = TestClient(app)
    client.described = beside.DescribedAnswers(app)
    client.event_hooks["response"].append(client.described.complain)
    return client


def none_left(echo: Any) -> list[str]:
    return echo.described.not_seen(lambda _: True)


@pytest.mark.parametrize("body", [{"name": "a"}, {"name": "a", "size": 3}])
def test_what_is_described_passes(echo, body) -> None:
    assert echo.post("/things/409", json=body).json() == body
    assert none_left(echo) == ["post /things/{status} 200"]
    assert echo.post("/things/200", json=body).json() == body
    assert none_left(echo) == []


@pytest.mark.parametrize(
    "body", ["{}", '{"name": 3}', '{"name": "a", "colour": "red"}', "[]", "null"]
)
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_not_described_is_found(echo, body: str, status: int) -> None:
    with pytest.raises(AssertionError, match="post /things"):
        echo.post(f"/things/{status}", content=body)


def test_a_status_that_is_not_described_is_found(echo) -> None:
    with pytest.raises(AssertionError, match="answers 503, which is not described"):
        echo.post("/things/503", json={"name": "a"})


def test_the_client_of_the_tests_compares(client) -> None:
    described = client.app.state.described
    described.document = {"paths": {"/healthz": {"get": {"responses": {}}}}}
    with pytest.raises(AssertionError, match="get /healthz answers 200"):
        client.get("/healthz")
