import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from atrous.server.app import add_routes
from atrous.server.described_bodies import file_body, json_body, picture_body
from atrous.server.inference import (
    hosted_route,
    json_routes,
    model_routes,
    sam2_embed_project,
    sam2_routes,
)
from atrous.server.platform.routes import ROUTERS
from atrous.server.settings import ServerSettings

READERS = ("read_json(", "read_posted(", "body_in_file(", "request.body(", "Body()]")
# Whatever these are sent is not looked at.
WITHOUT_BODY = {("POST", "/"), ("POST", "/model/clear")}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI()
    add_routes(app, ServerSettings())
    return app.openapi()


class Thing(BaseModel):
    """A thing."""

    name: str
    size: int | None = Field(None, ge=0)


def test_a_json_body_is_described_by_a_model() -> None:
    body = json_body(Thing)["requestBody"]
    assert (body["description"], body["required"]) == ("A thing.", True)
    schema = body["content"]["application/json"]["schema"]
    assert schema["required"] == ["name"]
    assert "$defs" not in schema  # the document has no place for them here
    assert json_body(Thing, required=False)["requestBody"]["required"] is False


def test_a_picture_comes_in_three_ways() -> None:
    body = picture_body("A photo.", {"name": {"type": "string"}})["requestBody"]
    assert body["required"] is False  # it may be a URL in the query
    form = body["content"]["multipart/form-data"]["schema"]
    assert sorted(form["properties"]) == ["file", "name"]
    assert len(body["content"]) == 3


def test_a_file_is_bytes() -> None:
    body = file_body("A zip.")["requestBody"]
    assert body["content"]["application/octet-stream"]["schema"]["format"] == "binary"


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_that_takes_a_body_describes_it(document) -> None:
    for method, path, operation in operations(document):
        if method in ("POST", "PUT", "PATCH"):
            has_body = "requestBody" in operation
            assert has_body != ((method, path) in WITHOUT_BODY), f"{method} {path}"


def test_who_describes_a_body_reads_one_and_nobody_else() -> None:
    """By the code: of an endpoint, and of the functions of its module that it calls."""
    inference = (hosted_route, json_routes, model_routes, sam2_routes, sam2_embed_project)
    routers = (*ROUTERS, *(module.router for module in inference))
    described = 0
    for route in (route for router in routers for route in router.routes):
        if not route.include_in_schema or route.methods == {"GET"}:
            continue
        extra = route.openapi_extra or {}
        describes = "requestBody" in extra or route.body_field is not None
        texts = list(sources(route.endpoint))
        assert describes == any(reader in text for text in texts for reader in READERS), route.path
        described += describes
    assert described > 25


def sources(endpoint: Any) -> Iterator[str]:
    text = inspect.getsource(endpoint)
    yield text
    for name, value in vars(inspect.getmodule(endpoint)).items():
        if inspect.isfunction(value) and f"{name}(" in text and name.startswith("_"):
            yield inspect.getsource(value)


def test_references_within_the_document_lead_somewhere(document) -> None:
    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found: Any = document
                for name in node["$ref"].removeprefix("#/").split("/"):
                    found = found[name]
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(document)


@pytest.mark.parametrize("path", ["/dataset/{project}/upload", "/{workspace}/{project}/upload"])
def test_an_upload_says_what_its_query_may_hold(document, path: str) -> None:
    operation = document["paths"][path]["post"]
    named = {parameter["name"] for parameter in operation["parameters"]}
    assert {"name", "split", "batch", "tag", "metadata", "image"} <= named
