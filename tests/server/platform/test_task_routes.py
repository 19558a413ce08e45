from typing import Any

import pytest

from atrous.jobs.dataset_child import run as run_job
from atrous.store import Store

MANY = "/default/images/metadata"


def nested(levels: int) -> Any:
    inner: Any = 1
    for _ in range(levels):
        inner = {"a": inner}
    return inner


def test_many_photos_are_changed(api, labelled, store: Store, stranger) -> None:
    updates = [
        {"imageId": labelled[0], "metadata": {"a": 1, "b": 2}, "addTags": ["wet"]},
        {"imageId": labelled[0], "removeMetadata": ["a"]},
        {"imageId": labelled[1], "metadata": {"a": 3}, "addTags": None},
        {"imageId": "absent", "addTags": ["wet"]},
        {"imageId": labelled[2], "metadata": {"a": "x" * 100_000}},
    ]
    asked = api.post(MANY, {"updates": updates})
    assert asked.status_code == 202
    number = asked.json()["taskId"]
    path = f"/default/asynctasks/{number}"
    assert asked.json()["url"] == f"http://testserver{path}"
    waiting = {"taskId": number, "status": "queued", "progress": {"current": 0, "total": 5}}
    assert api.get(path).json() == waiting

    job = store.jobs.claim("w", ["change-photos"])
    assert job is not None
    store.jobs.progress(job.id, "w", {"fraction": 0.2, "done": 1, "total": 5})
    running = {"status": "running", "progress": {"current": 1, "total": 5}}
    assert api.get(path).json() == {**waiting, **running}
    store.jobs.finish(job.id, "w", run_job(job, "w", store))
    done = api.get(path).json()
    assert (done["status"], done["progress"]) == ("completed", {"current": 5, "total": 5})
    assert (done["result"]["succeeded"], done["result"]["failed"]) == (3, 2)
    faults = {fault["imageId"]: fault["error"] for fault in done["result"]["errors"]}
    assert set(faults) == {"absent", labelled[2]}
    assert "metadata would have" in faults[labelled[2]]
    images = [api.get(f"/default/roads/images/{one}").json()["image"] for one in labelled]
    assert [image["user_metadata"] for image in images] == [{"b": 2}, {"a": 3}, {}]
    assert [image["tags"] for image in images] == [["wet"], [], []]

    assert stranger.get(path).status_code == 404
    assert stranger.get(path.replace("default", "other")).status_code == 404


def test_photos_of_another_workspace_are_not_touched(api, labelled, store: Store, stranger) -> None:
    updates = [{"imageId": labelled[0], "addTags": ["mine"]}]
    task = stranger.post("/other/images/metadata", {"updates": updates}).json()["taskId"]
    job = store.jobs.claim("w", ["change-photos"])
    assert job is not None
    store.jobs.finish(job.id, "w", run_job(job, "w", store))
    assert stranger.get(f"/other/asynctasks/{task}").json()["result"]["failed"] == 1
    assert api.get(f"/default/roads/images/{labelled[0]}").json()["image"]["tags"] == []


def test_a_task_that_failed_says_why(api, labelled, store: Store) -> None:
    asked = api.post(MANY, {"updates": [{"imageId": labelled[0], "addTags": ["x"]}]}).json()
    job = store.jobs.claim("w", ["change-photos"])
    assert job is not None
    store.jobs.fail(job.id, "w", "the disk is full")
    told = api.get(f"/default/asynctasks/{asked['taskId']}").json()
    assert (told["status"], told["error"]) == ("failed", "the disk is full")


def test_other_work_is_no_task(api, store: Store) -> None:
    workspace = store.workspaces.default()
    job = store.jobs.enqueue("export-search", {}, workspace_id=workspace.id)
    for number in (job.id, "absent"):
        assert api.get(f"/default/asynctasks/{number}").status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "'updates' is 'None'"),
        ({"updates": []}, "send a list of objects"),
        ({"updates": {"imageId": "a"}}, "send a list of objects"),
        ({"updates": ["a"]}, "update 0 is 'a'"),
        ({"updates": [{"addTags": ["a"]}]}, "'imageId' is 'None'"),
        ({"updates": [{"imageId": "a", "metadata": [1]}]}, "'metadata' is '[1]'"),
        ({"updates": [{"imageId": "a", "metadata": nested(33)}]}, "on more than 32 levels"),
        ({"updates": nested(900)}, "the body is nested on more than 64 levels"),
        ({"updates": [{"imageId": "a", "addTags": "x"}]}, "'addTags' is 'x'"),
        ({"updates": [{"imageId": "a"}] * 1001}, "send at most 1000"),
    ],
)
def test_what_can_not_be_changed_is_told(api, store: Store, body, message: str) -> None:
    answer = api.post(MANY, body)
    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert store.jobs.claim("w") is None


def test_photos_of_projects_are_skipped(api, labelled, stranger) -> None:
    """`delete_images` of a workspace is for photos of no project."""
    answer = api.call("DELETE", "/default/images", json={"images": [*labelled, "absent"]})
    assert answer.json() == {"deleted": 0, "skipped": 3, "deletedSources": 0, "skippedSources": 3}
    assert api.post("/default/roads/search", {}).json()["total"] == 3
    assert stranger.call("DELETE", "/default/images", json={"images": labelled}).status_code == 404
    other = stranger.call("DELETE", "/other/images", json={"images": labelled})
    assert other.json()["skipped"] == 0
    many = api.call("DELETE", "/default/images", json={"images": ["a"] * 10_001})
    assert many.status_code == 400
