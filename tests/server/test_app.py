import base64

import pytest


def test_the_document_names_every_route(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in (
        "/{project}/{version}",
        "/infer/semantic_segmentation",
        "/infer/instance_segmentation",
        "/model/registry",
        "/model/add",
        "/model/remove",
        "/model/clear",
        "/readiness",
        "/info",
    ):
        assert path in paths
    post = paths["/{project}/{version}"]["post"]
    assert "multipart/form-data" in post["requestBody"]["content"]
    [confidence] = [p for p in post["parameters"] if p["name"] == "confidence"]
    assert "40" in confidence["description"]


def test_operation_ids_are_unique(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    ids = [method["operationId"] for methods in paths.values() for method in methods.values()]
    assert len(ids) == len(set(ids))


def test_docs_are_served(client) -> None:
    assert client.get("/docs").status_code == 200


def test_models_stay_within_their_number(start, key, store, package, png) -> None:
    workspace = store.workspaces.default()
    for _ in range(3):
        store.models.publish("more", package, workspace_id=workspace.id)
    client = start(max_active_models=2)
    text = base64.b64encode(png)
    for path in ("/colours/1", "/more/1", "/more/2", "/more/3"):
        assert client.post(path, params={"api_key": key}, content=text).status_code == 200
    listed = client.get("/model/registry", params={"api_key": key}).json()["models"]
    assert {model["model_id"] for model in listed} == {"more/2", "more/3"}


def test_web_pages_of_other_origins_may_call_only_where_they_are_named(start, key, png) -> None:
    headers = {"origin": "https://pages.example"}
    params = {"api_key": key}
    closed = start().post("/colours/1", params=params, content=png, headers=headers)
    assert "access-control-allow-origin" not in closed.headers
    client = start(allow_origins="https://pages.example, https://other.example")
    answer = client.post("/colours/1", params=params, content=png, headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://pages.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert "X-Model-Id" in answer.headers["access-control-expose-headers"]
    for method, path in (("POST", "/colours/1"), ("PUT", "/files/a"), ("DELETE", "/default/a")):
        asked = {**headers, "access-control-request-method": method}
        assert client.options(path, headers=asked).status_code == 200
    stranger = {"origin": "https://stranger.example"}
    answer = client.get("/info", headers=stranger)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("off", ["core_models_enabled", "core_model_sam2_enabled"])
def test_sam2_can_be_switched_off(start, key, off: str) -> None:
    client = start(**{off: False})
    headers = {"Authorization": f"Bearer {key}"}
    assert client.post("/sam2/embed_image", json={}, headers=headers).status_code == 404
    assert not [path for path in client.app.openapi()["paths"] if path.startswith("/sam2/")]
    wanted = {"model_id": "sam2/hiera_tiny"}
    refused = client.post("/model/add", json=wanted, headers=headers)
    assert refused.status_code == 404
