import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from atrous.domain.errors import AtrousError, BadInput, Busy, Conflict, NotFound
from atrous.server.errors import add_error_answers
from atrous.server.platform.routing import failure, platform_router

CASES = {
    "bad": (BadInput("no key atr_abcdefghijklm here"), 400, "no key [hidden] here"),
    "conflict": (Conflict("taken"), 409, "taken"),
    "busy": (Busy("wait"), 429, "wait"),
    "absent": (NotFound("there is no project"), 404, "there is no project"),
    "http": (HTTPException(413, "too large", {"X-Told": "yes"}), 413, "too large"),
}


@pytest.fixture
def client() -> TestClient:
    app, router = FastAPI(), platform_router("test")

    @router.get("/{case}")
    async def fail(case: str, number: int = 0) -> None:
        raise CASES[case][0] if case in CASES else AtrousError("/secret/path")

    app.include_router(router)
    add_error_answers(app)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("case", CASES)
def test_errors_have_the_shape_that_clients_read(client: TestClient, case: str) -> None:
    error, status, message = CASES[case]
    answer = client.get(f"/{case}")
    assert answer.status_code == status
    expected = {"message": message, "status": status, "type": type(error).__name__}
    assert answer.json() == {"error": expected, "message": message}
    assert ("retry-after" in answer.headers) == (status == 429)
    assert ("x-told" in answer.headers) == (case == "http")


def test_unexpected_errors_say_nothing(client: TestClient) -> None:
    answer = client.get("/other")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_invalid_parameters_are_explained(client: TestClient) -> None:
    answer = client.get("/bad", params={"number": "x"})
    assert answer.status_code == 400
    assert "query.number" in answer.json()["error"]["message"]


def test_failure_is_json() -> None:
    assert failure(418, "tea", "Pot", {"A": "b"}).headers["a"] == "b"
