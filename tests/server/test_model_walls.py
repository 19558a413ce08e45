"""A key opens the models of its own workspace, on every route that names a model."""

import base64

import pytest


@pytest.fixture
def stranger(store) -> str:
    """The key of another workspace."""
    return store.api_keys.create("stranger", store.workspaces.create("other")).plain_text


@pytest.mark.parametrize("model", ["colours/1", "default/colours", "default/colours-1"])
def test_the_hosted_route(client, key, stranger, png, model) -> None:
    files = {"file": ("a.png", png, "image/png")}
    path = f"/{model}"
    assert client.post(path, params={"api_key": key}, files=files).status_code == 200
    refused = client.post(path, params={"api_key": stranger}, files=files)
    absent = client.post("/absent/1", params={"api_key": stranger}, files=files)
    assert refused.status_code == absent.status_code == 404
    assert refused.json() == absent.json()  # nothing tells that the model is there


def test_the_json_routes(client, key, stranger, png) -> None:
    image = {"type": "base64", "value": base64.b64encode(png).decode()}
    for secret, status in ((key, 200), (stranger, 404)):
        body = {"model_id": "colours/1", "image": image, "api_key": secret}
        assert client.post("/infer/semantic_segmentation", json=body).status_code == status


def test_loading_listing_and_dropping(client, key, stranger) -> None:
    add = {"model_id": "colours/1"}
    assert client.post("/model/add", json={**add, "api_key": stranger}).status_code == 404
    assert client.get("/start/colours/1", params={"api_key": stranger}).status_code == 404
    assert client.post("/model/add", json={**add, "api_key": key}).status_code == 200
    for request in (
        lambda: client.post("/model/remove", json={**add, "api_key": stranger}),
        lambda: client.post("/model/clear", params={"api_key": stranger}),
        lambda: client.get("/clear_cache", params={"api_key": stranger}),
    ):
        assert request().status_code == 200
    for secret, listed in ((stranger, []), (key, ["colours/1"])):
        models = client.get("/model/registry", params={"api_key": secret}).json()["models"]
        assert [model["model_id"] for model in models] == listed
    assert client.post("/model/clear", params={"api_key": key}).json()["models"] == []


def test_clearing_leaves_what_others_called_their_photos(start, key) -> None:
    """Names and embeddings of SAM 2 are of all workspaces: no key drops them, no keys do."""
    for keyed, left in ((True, ["cat"]), (False, [])):
        client = start(require_key=keyed)
        kept = ["cat"]
        sam2 = client.app.state.services.sam2
        sam2.image_ids.clear = kept.clear
        parameters = {"api_key": key} if keyed else {}
        assert client.post("/model/clear", params=parameters).status_code == 200
        assert kept == left


def test_without_keys_all_models_are_open(start, png) -> None:
    client = start(require_key=False)
    files = {"file": ("a.png", png, "image/png")}
    assert client.post("/colours/1", files=files).status_code == 200
