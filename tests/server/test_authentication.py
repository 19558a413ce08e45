import base64
import time

import pytest
from fastapi.routing import APIRoute

from atrous.server import recent_reads
from atrous.server.authentication import is_open
from atrous.server.inference import hosted_route, json_routes, model_routes, operations
from atrous.server.json_bodies import MAX_CONTAINERS
from atrous.store.api_keys import ApiKeys

OPEN = {"/", "/docs", "/info", "/healthz", "/readiness", "/metrics"}
KEY_IN_PATH = {"/query/cliAuthToken/{token}"}  # it answers null to what is no key
PATHS = {
    ("GET", "/model/registry"),
    ("POST", "/model/add"),
    ("POST", "/model/remove"),
    ("POST", "/model/clear"),
    ("GET", "/clear_cache"),
    ("GET", "/start/colours/1"),
    ("POST", "/infer/semantic_segmentation"),
    ("POST", "/infer/instance_segmentation"),
    ("POST", "/colours/1"),
    ("GET", "/colours/1"),
}
BODY = {"model_id": "colours/1", "image": {"type": "base64", "value": ""}}


def send(client, method, path, key=None, **more):
    arguments = {"json": BODY} if method == "POST" else {}
    return client.request(method, path, **{**arguments, **more})


@pytest.mark.parametrize(("method", "path"), sorted(PATHS))
def test_every_route_needs_a_key(client, method, path) -> None:
    assert send(client, method, path).status_code == 401
    headers = {"authorization": "Bearer atr_" + "x" * 43}
    assert send(client, method, path, headers=headers).status_code == 403


def test_only_these_are_open(client) -> None:
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            concrete = path.replace("{project}", "colours").replace("{version}", "1")
            status = client.request(method.upper(), concrete, json=BODY).status_code
            is_open_to_all = method == "get" and path in OPEN | KEY_IN_PATH
            assert (status == 200) == is_open_to_all, f"{method} {path}"


def test_open_routes_carry_the_mark() -> None:
    routers = (
        operations.router,
        model_routes.router,
        model_routes.registry_router,
        json_routes.router,
        hosted_route.router,
    )
    routes = [route for router in routers for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in routes)
    marked = {route.path for route in routes if is_open(route.endpoint)}
    assert marked == OPEN | {"/redoc"}  # which the document leaves out


@pytest.mark.parametrize("host", ["x/docs?", "localhost/healthz", "a/info#"])
def test_a_hostile_host_header_opens_nothing(client, host) -> None:
    headers = {"host": host}
    assert client.get("/model/registry", headers=headers).status_code in (400, 401)
    assert client.post("/colours/1", headers=headers).status_code in (400, 401)


def test_a_key_comes_by_query_header_or_body(client, key) -> None:
    path = "/model/registry"
    assert client.get(path, params={"api_key": key}).status_code == 200
    assert client.get(path, headers={"authorization": f"Bearer {key}"}).status_code == 200
    assert client.get(path, headers={"authorization": f"bearer  {key} "}).status_code == 200
    assert client.get(path, headers={"authorization": f"Basic {key}"}).status_code == 401
    body = {"model_id": "colours/1", "api_key": key}
    assert client.post("/model/add", json=body).status_code == 200
    assert client.post("/model/add", json={**body, "api_key": [key]}).status_code == 401


def test_no_key_in_the_query_lets_the_others_count(client, key) -> None:
    headers = {"authorization": f"Bearer {key}"}
    for nothing in ("None", "", "null"):
        answer = client.get("/model/registry", params={"api_key": nothing}, headers=headers)
        assert answer.status_code == 200
    answer = client.get("/model/registry", params={"api_key": "wrong"}, headers=headers)
    assert answer.status_code == 403  # the query goes first, also where it is wrong


def test_a_revoked_key_is_refused_within_a_second(client, key, store) -> None:
    assert client.get("/model/registry", params={"api_key": key}).status_code == 200
    store.api_keys.revoke("test")
    assert recent_reads.FRESH_S < 1
    time.sleep(recent_reads.FRESH_S)
    assert client.get("/model/registry", params={"api_key": key}).status_code == 403


def test_scopes(client, store, png) -> None:
    workspace = store.workspaces.default()
    infer = store.api_keys.create("i", workspace, scopes=["infer"]).plain_text
    write = store.api_keys.create("w", workspace, scopes=["write"]).plain_text
    text = base64.b64encode(png)
    assert client.post("/colours/1", params={"api_key": infer}, content=text).status_code == 200
    assert client.post("/colours/1", params={"api_key": write}, content=text).status_code == 403
    answer = client.post("/model/clear", params={"api_key": infer})
    assert answer.status_code == 403
    assert "admin" in answer.json()["message"]


def test_without_keys_all_is_open(start, png) -> None:
    client = start(require_key=False)
    assert client.post("/colours/1", content=base64.b64encode(png)).status_code == 200
    assert client.post("/model/clear").status_code == 200


@pytest.fixture
def look_ups(monkeypatch) -> list[str]:
    """The secrets that are looked up in the store from now on."""
    seen: list[str] = []
    verify = ApiKeys.verify

    def counted(self: ApiKeys, secret: str) -> object:
        seen.append(secret)
        return verify(self, secret)

    monkeypatch.setattr(ApiKeys, "verify", counted)
    return seen


@pytest.mark.parametrize("path", ["/colours/1", "/infer/semantic_segmentation"])
def test_a_key_is_looked_up_once_in_a_request(client, key, look_ups, path) -> None:
    answer = client.post(path, params={"api_key": key}, json=BODY)
    assert answer.status_code == 400  # no picture
    assert look_ups == [key]


def test_requests_in_a_row_look_a_key_up_once(client, key, look_ups, monkeypatch) -> None:
    monkeypatch.setattr(recent_reads, "FRESH_S", 3600.0)
    for _ in range(3):
        client.post("/colours/1", params={"api_key": key}, json=BODY)
    assert look_ups == [key]


def test_one_found_a_while_ago_is_looked_up_again(client, key, look_ups, monkeypatch) -> None:
    """A body may take long to arrive, and its key be revoked meanwhile."""
    monkeypatch.setattr(recent_reads, "FRESH_S", -1.0)
    client.post("/infer/semantic_segmentation", params={"api_key": key}, json=BODY)
    assert look_ups == [key, key]


def test_headers_are_read_unless_a_setting_says_otherwise(start, key, png) -> None:
    bearer = {"Authorization": f"Bearer {key}"}
    assert start().post("/colours/1", content=png, headers=bearer).status_code == 200
    closed = start(allow_api_key_from_headers=False)
    assert closed.post("/colours/1", content=png, headers=bearer).status_code == 401
    assert closed.post("/colours/1", params={"api_key": key}, content=png).status_code == 200


def test_a_body_of_too_many_values_is_not_searched_for_a_key(client, key) -> None:
    many = b'{"a": [' + b"[]," * MAX_CONTAINERS + b'0], "api_key": "' + key.encode() + b'"}'
    answer = client.post("/colours/1", content=many)
    assert answer.status_code == 413
    assert "the key in the query or the header" in answer.json()["message"]
    in_query = client.post("/colours/1", params={"api_key": key}, content=many)
    assert in_query.status_code == 400  # it is no picture
