import io
import zipfile

import pytest

from atrous.jobs.dataset_child import run as run_job
from atrous.store import Store

EXPORT = "/default/search/export"


def test_an_export_is_made_and_downloaded(api, labelled, store: Store, stranger) -> None:
    asked = api.post(EXPORT, {"query": "split:train", "format": "coco", "name": "My roads"})
    assert asked.status_code == 202
    path = f"{EXPORT}/{asked.json()['link']}"
    assert api.get(path).json()["ready"] is False
    job = store.jobs.claim("w", ["export-search"])
    assert job is not None
    store.jobs.progress(job.id, "w", {"fraction": 0.5})
    assert api.get(path).json()["progress"] == 0.5
    store.jobs.finish(job.id, "w", run_job(job, "w", store))
    status = api.get(path).json()
    assert (status["ready"], status["images"]) == (True, 2)
    assert status["link"].endswith("/my-roads.coco.zip")
    file = api.http.get(status["link"].removeprefix("http://testserver"))
    assert int(file.headers["content-length"]) == len(file.content)
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert sum(name.startswith("train/") for name in archive.namelist()) == 3
    assert stranger.get(path).status_code == 404
    assert stranger.get(path.replace("default", "other")).status_code == 404


def test_a_failure_is_no_answer_to_wait_on(api, labelled, store: Store) -> None:
    export = api.post(EXPORT, {"query": "project:roads nowhere"}).json()["link"]
    job = store.jobs.claim("w", ["export-search"])
    assert job is not None
    assert job.payload["format"] == "coco"
    store.jobs.fail(job.id, "w", "the search finds no photo")
    answer = api.get(f"{EXPORT}/{export}")
    assert answer.status_code == 409
    assert "finds no photo" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": "*", "format": "yolov8"}, 400, "png-mask-semantic, coco"),
        ({"query": "project:absent *"}, 404, "no project"),
        ({"query": "*", "dataset": "absent"}, 404, "no project"),
        ({"query": "*", "annotationGroup": "absent"}, 400, "0 projects"),
        ({}, 400, "'query'"),
        ({"query": "*", "name": "a\nb"}, 400, "name"),
    ],
)
def test_what_can_not_be_exported_is_told(api, labelled, body, status: int, message: str) -> None:
    answer = api.post(EXPORT, body)
    assert answer.status_code == status
    assert message in answer.json()["message"]


def test_several_projects_have_to_be_told_apart(api, labelled) -> None:
    body = {"name": "Fields", "type": "semantic-segmentation", "license": "", "annotation": "y"}
    assert api.post("/default/projects", body).status_code == 200
    assert "2 projects" in api.post(EXPORT, {"query": "*"}).json()["message"]
    assert api.post(EXPORT, {"query": "*", "annotationGroup": "x"}).status_code == 202
    assert api.post(EXPORT, {"query": "*", "dataset": "roads"}).status_code == 202


def test_photos_are_behind_the_scope_that_uploads_them(key_with, labelled) -> None:
    assert key_with("infer").post(EXPORT, {"query": "*"}).status_code == 403
