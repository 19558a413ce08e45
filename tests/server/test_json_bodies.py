import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from atrous.server.json_bodies import JsonRoute


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
