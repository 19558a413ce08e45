from pathlib import Path

import pytest

from atrous.store import Store

UPLOAD = "/default/roads/1/uploadModel"


@pytest.fixture
def link(api, generate) -> str:
    generate()
    answer = api.get(UPLOAD, params={"modelType": "deeplabv3plus", "nocache": "true"})
    assert answer.status_code == 200, answer.text
    return answer.json()["url"].removeprefix("http://testserver")


def test_a_package_is_taken_and_queued(api, link: str, store: Store, package: Path, zipped) -> None:
    data = zipped({path.name: path.read_bytes() for path in package.iterdir()})
    sent = api.http.put(link, content=data)  # without a key
    assert sent.status_code == 200, sent.text
    job = store.jobs.claim("w", ["add-model"])
    assert job is not None
    assert store.blobs.read(job.payload["digest"]) == data
    (listed,) = api.get("/default/roads/1/v2/trainings").json()["trainings"]
    assert (listed["id"], listed["status"]) == (sent.json()["trainingId"], "training")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"weights.pt": b"\x80\x04"}, "atrous convert"),
        ({"a/best.safetensors": b"x"}, "atrous export"),
        ({"../weights.onnx": b"x"}, "may not lead out"),
        (None, "no zip"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(
    api, link: str, store: Store, files: dict[str, bytes] | None, message: str, zipped
) -> None:
    answer = api.http.put(link, content=zipped(files) if files else b"no zip")
    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert store.jobs.claim("w", ["add-model"]) is None


def test_a_link_is_for_models_alone(api, roads, link: str) -> None:
    zip_link = api.post(f"{roads}/upload/zip", {}).json()["url"].removeprefix("http://testserver")
    assert api.http.put(f"{zip_link}/model.zip", content=b"x").status_code == 404
    assert api.http.put(link.removesuffix("/model.zip"), content=b"x").status_code == 404
    assert api.http.get(link).status_code == 404


def test_a_version_has_to_be_ready_and_ones_own(api, labelled, stranger, key_with) -> None:
    body = {"preprocessing": {}, "augmentation": {}}
    assert api.post("/default/roads/generate", body).status_code == 200
    assert api.get(UPLOAD).status_code == 409
    assert stranger.get(UPLOAD).status_code == 404
    assert key_with("infer").get(UPLOAD).status_code == 403


def test_a_version_that_went_into_the_trash_takes_none(
    api, link: str, store: Store, package: Path, zipped
) -> None:
    api.call("DELETE", "/default/roads/1")
    data = zipped({path.name: path.read_bytes() for path in package.iterdir()})
    assert api.http.put(link, content=data).status_code == 404
    assert store.jobs.claim("w", ["add-model"]) is None
