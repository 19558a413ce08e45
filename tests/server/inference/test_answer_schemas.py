"""The OpenAPI document says of each answer what is really in it, field by field."""

import base64

import pytest

from atrous.server.inference import answer_schemas as schemas


@pytest.fixture
def post(client, key, png):
    def post(path, **arguments):
        return client.post(
            path, params={"api_key": key, **arguments.pop("params", {})}, **arguments
        )

    return post


def check(body, model) -> None:
    """Every field is described, with the right type; the others are those that may be left out."""
    assert model.model_validate(body, strict=True).model_dump(exclude_unset=True) == body


def test_masks(post, png) -> None:
    check(post("/colours/1", content=png).json(), schemas.HostedSegmentation)
    params = {"format": "image_and_json"}
    drawn = post("/colours/1", content=png, params=params).json()
    assert drawn["visualization"]
    check(drawn, schemas.HostedSegmentation)
    image = {"type": "base64", "value": base64.b64encode(png).decode()}
    body = {"model_id": "colours/1", "image": image}
    check(post("/infer/semantic_segmentation", json=body).json(), schemas.Segmentation)


def test_models_and_operations(post, client, key) -> None:
    check(post("/model/add", json={"model_id": "colours/1"}).json(), schemas.Registry)
    check(client.get("/start/colours/1", params={"api_key": key}).json(), schemas.Started)
    check(client.get("/info").json(), schemas.ServerInfo)
    for path in ("/healthz", "/readiness"):
        check(client.get(path).json(), schemas.Status)


def test_failures(post, client) -> None:
    check(post("/colours/1", content=b"").json(), schemas.Failure)
    check(post("/colours/2", content=b"").json(), schemas.Failure)
    check(client.post("/colours/1").json(), schemas.Failure)
    check(client.post("/colours/1?api_key=wrong").json(), schemas.Refusal)
    check(post("/model/add", json={}).json(), schemas.Invalid)


def test_every_route_of_inference_describes_its_answers(client) -> None:
    document = client.get("/openapi.json").json()
    seen = 0
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if operation["tags"][0] not in ("inference", "models") or path.startswith("/sam2"):
                continue
            if "4XX" in operation["responses"]:  # a route of the platform
                continue
            seen += 1
            assert {"200", "400", "401", "403", "404", "413", "422", "429"} <= set(
                operation["responses"]
            )
            assert operation["responses"]["200"]["content"]["application/json"]["schema"]
            invalid = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert invalid["$ref"].endswith("/Invalid")
    assert seen == 10
    hosted = document["paths"]["/{project}/{version}"]["post"]["responses"]["200"]["content"]
    assert set(hosted) == {"application/json", "image/jpeg"}
