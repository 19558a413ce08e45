import json

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from atrous.server.json_bodies import MAX_COMMAS, MAX_CONTAINERS, JsonRoute, refuse_many_values


class Wanted(BaseModel):
    size: int


@pytest.fixture
def client() -> TestClient:
    router = APIRouter(route_class=JsonRoute)

    @router.post("/")
    async def double(request: Request, wanted: Wanted) -> dict[str, object]:
        return {"doubled": 2 * wanted.size, "language": request.headers["accept-language"]}

    app = FastAPI()
    app.include_router(router)
    return TestClient(app, headers={"Accept-Language": "da"})


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "text/plain", "", None],
)
def test_bodies_are_json_under_any_content_type(
    client: TestClient, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = client.post("/", content=b'{"size": 3}', headers=headers)
    assert answer.json() == {"doubled": 6, "language": "da"}


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    assert client.post("/", data={"size": 3}).status_code == 422


@pytest.mark.parametrize(
    "many", [b"[" + b"[]," * MAX_CONTAINERS + b"0]", b"[" + b"1," * (MAX_COMMAS + 1) + b"0]"]
)
def test_more_values_than_a_request_can_need_are_413(client: TestClient, many: bytes) -> None:
    """Objects in memory take many times the bytes of their JSON, and nobody showed a key yet."""
    answer = client.post("/", content=b'{"size": 3, "more": ' + many + b"}")
    assert answer.status_code == 413
    assert "send less at once" in answer.json()["detail"]


def test_the_fullest_prompts_are_not_too_many_values() -> None:
    rows = [[-32.0] * 256] * 256
    points = [{"x": 1, "y": 2, "positive": True}] * 100
    few = [{"box": {"x": 1, "y": 1, "width": 1, "height": 1}, "mask_input": rows}] * 40
    refuse_many_values(json.dumps({"prompts": few}).encode())
    refuse_many_values(json.dumps({"prompts": [{"points": points}] * 256}).encode())
