import pytest
from fastapi.routing import APIRoute

from atrous.domain.errors import BadRequest
from atrous.server.authentication import is_open
from atrous.server.platform.access import flag_field, number_field, text_field, texts_field
from atrous.server.platform.routes import ROUTERS
from atrous.server.platform.routing import PlatformRoute

# What each route is asked for behind the wall of another workspace; ids are those of its photos.
FILLED = {
    "workspace:slug": "default",
    "project:slug": "roads",
    "version:number": "1",
    "format": "coco",
    "batch": "0" * 32,
    "training": "0" * 32,
    "model": "1",
    "evaluation": "0" * 32,
    "export": "0" * 32,
    "panel": "map-results",
    "task": "0" * 32,
}


def platform_routes() -> list[APIRoute]:
    routes = [route for router in ROUTERS for route in router.routes]
    assert all(isinstance(route, PlatformRoute) for route in routes)
    # Those that answer 501 to all are not in the schema; test_unsupported_routes.py asks them.
    return [route for route in routes if route.include_in_schema]


def test_no_route_lets_a_stranger_through(api, stranger, labelled) -> None:
    """Route by route: a key of another workspace is answered 404, and nothing is told."""
    api.post("/default/roads/generate", {"preprocessing": {}, "augmentation": {}})
    asked = 0
    for route in platform_routes():
        if is_open(route.endpoint) or route.path == "/":
            continue
        path = route.path
        for name, value in {**FILLED, "image": labelled[0]}.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, f"say how {route.path} is filled"
        for method in route.methods:
            answer = stranger.call(method, path, json={"images": [labelled[0]], "name": "x"})
            assert answer.status_code == 404, f"{method} {path}: {answer.text}"
            assert "road" not in answer.text.replace("roads", "")
            asked += 1
    assert asked > 15
    assert api.get("/default/roads").json()["project"]["images"] == 3


def test_every_route_needs_a_key(api, client, labelled) -> None:
    for route in platform_routes():
        if is_open(route.endpoint):
            continue
        path = route.path
        for name, value in {**FILLED, "image": labelled[0]}.items():
            path = path.replace(f"{{{name}}}", value)
        for method in route.methods:
            answer = client.request(method, path)
            assert answer.status_code == 401, f"{method} {path}"


def test_changes_need_the_scope_write(key_with, client, labelled) -> None:
    reader, refused = key_with("infer"), 0
    for route in platform_routes():
        if is_open(route.endpoint) or route.path == "/" or route.methods == {"GET"}:
            continue
        path = route.path
        for name, value in {**FILLED, "image": labelled[0]}.items():
            path = path.replace(f"{{{name}}}", value)
        for method in route.methods:
            answer = reader.call(method, path, json={"images": [labelled[0]]})
            assert answer.status_code == 403, f"{method} {path}: {answer.text}"
            refused += 1
    assert refused > 8


def test_fields_of_bodies() -> None:
    assert text_field({"a": "b"}, "a") == "b"
    assert text_field({}, "a", "default") == "default"
    assert texts_field({"a": ["b"]}, "a") == ["b"]
    assert texts_field({}, "a") == []
    assert number_field({"a": 3}, "a", 0, 5) == 3
    assert number_field({}, "a", 2, 5) == 2
    assert [flag_field(body, "a") for body in ({"a": True}, {"a": False}, {"a": None}, {})] == [
        True,
        False,
        None,
        None,
    ]
    for read in (
        lambda: text_field({}, "a"),
        lambda: text_field({"a": 1}, "a", ""),
        lambda: texts_field({"a": "b"}, "a"),
        lambda: texts_field({"a": [1]}, "a"),
        lambda: flag_field({"a": "true"}, "a"),
        lambda: flag_field({"a": 0}, "a"),
        lambda: number_field({"a": 6}, "a", 0, 5),
        lambda: number_field({"a": True}, "a", 0, 5),
        lambda: number_field({"a": "1"}, "a", 0, 5),
    ):
        with pytest.raises(BadRequest):
            read()
