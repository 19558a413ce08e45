import pytest
from starlette.routing import compile_path

from atrous.server.inference import (
    json_routes,
    model_routes,
    operations,
    sam2_embed_project,
    sam2_routes,
)
from atrous.server.platform.paths import (
    AFTER_WORKSPACE,
    RESERVED,
    NumberConvertor,
    SlugConvertor,
    register_path_shapes,
)
from atrous.server.platform.routes import ROUTERS


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("/acme/roads", True),
        ("/acme/7-roads", True),
        ("/acme/7", False),
        ("/7/roads", False),
        ("/acme/Roads", False),
        ("/acme/..", False),
        ("/acme/" + "x" * 64, False),
        ("/acme/roads/1", False),
    ],
)
def test_slugs(path: str, fits: bool) -> None:
    register_path_shapes()
    pattern, _, _ = compile_path("/{workspace:slug}/{project:slug}")
    assert bool(pattern.match(path)) == fits


def test_numbers() -> None:
    pattern, _, convertors = compile_path("/{version:number}")
    assert pattern.match("/12")
    assert not pattern.match("/012")
    assert not pattern.match("/1234567890")
    assert NumberConvertor().convert("12") == 12
    assert NumberConvertor().to_string(12) == "12"
    assert SlugConvertor().to_string(SlugConvertor().convert("a")) == "a"
    assert list(convertors) == ["version"]


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("/colours/1", True),
        ("/Some Project/012", True),
        ("/filesystem/1", True),
        ("/files/1", False),
        ("/openapi.json/1", False),
        ("/acme/colours", False),
        ("/colours/1/", False),
        ("/acme/colours/1", False),
    ],
)
def test_numbered_models(path: str, fits: bool) -> None:
    register_path_shapes()
    pattern, _, _ = compile_path("/{project:free}/{version:digits}")
    assert bool(pattern.match(path)) == fits


def test_numbered_models_hide_no_other_route() -> None:
    """Their route is compared first: no other one may have paths like theirs."""
    others = (*ROUTERS, operations.router, model_routes.router, model_routes.registry_router)
    others += (json_routes.router, sam2_routes.router, sam2_embed_project.router)
    hidden = []
    for path in (route.path for router in others for route in router.routes):
        first, _, second = path[1:].partition("/")
        is_free = first.startswith("{") or first not in RESERVED
        is_number = second.startswith("{") and "/" not in second and ":slug" not in second
        if is_free and is_number:
            hidden.append(path)
    assert hidden == []


def test_no_project_can_be_called_like_a_route() -> None:
    """Each fixed word that follows a workspace in some route is kept free."""
    paths = [route.path for router in ROUTERS for route in router.routes]
    second = {path.split("/")[2] for path in paths if path.startswith("/{workspace:slug}/")}
    fixed = {word for word in second if not word.startswith("{")}
    assert fixed <= AFTER_WORKSPACE
    assert {"dataset", "files", "docs", "models"} <= RESERVED
    assert fixed


def test_no_project_is_made_that_inference_does_not_look_up(api) -> None:
    for word in sorted(RESERVED):
        answer = api.post("/default/projects", {"name": word.capitalize()})
        if answer.status_code == 200:  # a slug has other letters
            assert answer.json()["id"].removeprefix("default/") not in RESERVED
        else:
            assert answer.status_code == 400, word
            assert "choose another name" in answer.json()["error"]["message"]
