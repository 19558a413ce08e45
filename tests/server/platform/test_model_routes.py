import io
import json
import zipfile

import pytest

from atrous.server.platform.links import BLOBS, Target, sign

PATH = "/default/roads"


@pytest.fixture
def trained(generate, train) -> None:
    generate()
    train()
    train(0.75)


def weights(api, model: str):
    link = api.get(f"{PATH}/{model}/ptFile").json()["weightsUrl"]
    return api.http.get(link)


def test_models_are_listed(api, trained) -> None:
    listed = api.get(f"{PATH}/models").json()
    assert [model["id"] for model in listed] == ["roads/1", "default/roads-1-deeplabv3plus-t2"]
    assert [model["metrics"]["mIoU"] for model in listed] == [0.5, 0.75]
    found = api.get("/models/default/roads-1-deeplabv3plus-t2").json()["model"]
    assert found == listed[1]
    assert api.get("/models/default/roads-1-deeplabv3plus-t3").status_code == 404


@pytest.mark.parametrize("model", ["1", "roads-1-deeplabv3plus-t2"])
def test_weights_are_a_zip_of_the_package(api, trained, model) -> None:
    answer = weights(api, model)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert "package/weights.onnx" in archive.namelist()
    link = api.get(f"{PATH}/{model}/ptFile").json()["weightsUrl"]
    part = api.http.get(link, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"PK\x03\x04")


def test_the_best_checkpoint_goes_along(api, trained, store) -> None:
    run = store.home.runs / "roads" / "0001" / "checkpoints"
    run.mkdir(parents=True)
    (run / "best.json").write_text(json.dumps({"tensors": "best-1.safetensors"}))
    (run / "best-1.safetensors").write_bytes(b"tensors")
    (run / "last-1.safetensors").write_bytes(b"optimizer")
    model = store.models.by_slug(store.workspaces.default().id, "roads-1-deeplabv3plus-t1")
    store.models.remove(model)
    again = store.models.publish(
        "roads",
        store.models.folder(model.model_id),
        workspace_id=model.workspace_id,
        version=2,
        facts={"run": "roads/0001"},
    )
    with zipfile.ZipFile(io.BytesIO(weights(api, str(again.version)).content)) as archive:
        names = [name for name in archive.namelist() if name.startswith("checkpoint/")]
    assert names == ["checkpoint/best-1.safetensors", "checkpoint/best.json"]


def test_weights_that_are_not_there(api, trained, store) -> None:
    for model in ("2", "9999999999", "colours-1-model-t1", "nothing"):
        assert api.get(f"{PATH}/{model}/ptFile").status_code in (400, 404), model
    target = Target("0" * 32, "application/zip", 9e9)
    for token in ("x", sign(target, store.secrets.get(BLOBS))):
        assert api.http.get(f"/weights/{token}/weights.pt").status_code == 404


def test_a_link_dies_with_its_model(api, trained, store) -> None:
    link = api.get(f"{PATH}/1/ptFile").json()["weightsUrl"]
    assert api.http.get(link).status_code == 200
    assert api.http.get(link.replace("/weights/", "/files/")).status_code == 404
    api.call("DELETE", PATH)
    assert api.http.get(link).status_code == 404


def test_models_of_another_workspace(stranger, trained, key_with) -> None:
    for path in (f"{PATH}/models", f"{PATH}/1/ptFile", "/models/default/roads-1-deeplabv3plus-t2"):
        assert stranger.get(path).status_code == 404
    assert stranger.get("/models/other/roads-1-deeplabv3plus-t2").status_code == 404
    assert key_with("infer").get(f"{PATH}/1/ptFile").status_code == 403
