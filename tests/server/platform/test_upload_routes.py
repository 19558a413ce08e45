import base64
import hashlib
import io
import json

import pytest
from PIL import Image

from atrous.store import Store


@pytest.fixture
def photo(png) -> bytes:
    return png


def test_a_form_is_stored_as_it_came(api, roads: str, store: Store, photo: bytes) -> None:
    answer = api.call(
        "POST",
        "/dataset/roads/upload",
        params={"batch": "b1", "tag": ["t1", "t2", "t1"]},
        data={"name": "street é.png", "split": "valid", "metadata": json.dumps({"camera": 3})},
        files={"file": ("other.png", photo, "image/png")},
    )
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    project = store.projects.get(store.workspaces.default().id, "roads")
    image = store.images.get(project, answer.json()["id"])
    assert (image.name, image.split, image.tags) == ("street é.png", "valid", ("t1", "t2"))
    assert image.user_metadata == {"camera": 3}
    assert store.images.batch(project, image.batch_id).name == "b1"
    assert store.blobs.read(image.digest) == photo
    assert not image.in_dataset
    with Image.open(io.BytesIO(store.blobs.read(image.thumb_digest))) as thumb:
        assert thumb.format == "JPEG"
        assert max(thumb.size) <= 256


@pytest.mark.parametrize("levels", [33, 900, 3000])
def test_metadata_of_many_levels_is_refused(api, roads: str, photo: bytes, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    url, parts = "/dataset/roads/upload", {"file": ("a.png", photo, "image/png")}
    answer = api.call("POST", url, data={"metadata": deep}, files=parts)
    assert answer.status_code == 400
    assert "metadata" in answer.json()["message"]


def test_one_content_is_a_duplicate(api, roads: str, photo: bytes) -> None:
    first = api.upload(photo).json()
    again = api.upload(photo, "renamed.png").json()
    assert again == {"id": first["id"], "duplicate": True}


@pytest.mark.parametrize("path", ["/dataset/roads/upload", "/default/roads/upload"])
@pytest.mark.parametrize("wrap", [base64.b64encode, bytes], ids=["base64", "bytes"])
def test_base64_and_bytes_are_read(api, roads: str, photo: bytes, path: str, wrap) -> None:
    answer = api.call(
        "POST",
        path,
        params={"name": "a.png", "split": "test"},
        content=wrap(photo),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["success"] is True
    assert api.get("/default/roads").json()["project"]["images"] == 1


def test_without_a_split_the_content_decides(api, roads: str, store: Store, photo: bytes) -> None:
    answer = api.call("POST", "/dataset/roads/upload", content=photo)
    project = store.projects.get(store.workspaces.default().id, "roads")
    image = store.images.get(project, answer.json()["id"])
    percent = int(hashlib.sha256(photo).hexdigest()[:8], 16) / 2**32
    assert image.split == ("train" if percent < 0.7 else "valid" if percent < 0.9 else "test")
    assert image.name == f"{image.digest[:12]}.png"


def test_a_url_is_fetched_behind_the_guard(api, roads: str) -> None:
    answer = api.call(
        "POST", "/dataset/roads/upload", params={"image": "https://127.0.0.1/a.png", "name": "a"}
    )
    assert answer.status_code == 400
    assert "not supported" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("params", "content"),
    [
        ({}, b""),
        ({}, b"%PDF-1.4 no picture"),
        ({}, b"\x89PNG\r\n\x1a\ncut off"),
        ({"split": "dev"}, None),
        ({"metadata": "[1]"}, None),
        ({"metadata": "{"}, None),
        ({"tag": "x" * 101}, None),
        ({"batch": "x" * 201}, None),
    ],
)
def test_what_can_not_be_used(api, roads: str, photo: bytes, params, content) -> None:
    body = photo if content is None else content
    answer = api.call("POST", "/dataset/roads/upload", params=params, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
    assert api.get("/default/roads").json()["project"]["images"] == 0


def test_an_unknown_project_is_404(api, photo: bytes) -> None:
    answer = api.call("POST", "/dataset/absent/upload", content=photo)
    assert answer.status_code == 404


def test_too_many_uploads_are_told_to_come_again(start, api, roads: str, photo: bytes) -> None:
    full = start(max_waiting_requests=0, http_api_threadpool_workers=1)
    with full.app.state.services.work.place("upload:roads"):
        answer = full.post("/dataset/roads/upload", params={"api_key": api.key}, content=photo)
    assert answer.status_code == 429
    assert answer.headers["retry-after"]
