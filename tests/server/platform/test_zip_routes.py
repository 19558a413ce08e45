import pytest

from atrous.store import Store
from atrous.store.zip_imports import IMPORT


@pytest.fixture
def announced(api, roads: str) -> dict[str, str]:
    answer = api.post(f"{roads}/upload/zip", {"annotationOverwrite": False, "tags": ["a", "a"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def path_of(announced: dict[str, str]) -> str:
    assert announced["signedUrl"] == announced["url"]
    return announced["url"].removeprefix("http://testserver")


def test_a_zip_is_sent_and_queued(api, announced, store: Store, made) -> None:
    status = f"/default/upload/zip/{announced['taskId']}"
    assert api.get(status).json()["status"] == "pending"
    data = made.zipped({"a.png": made.png_of(0)})
    sent = api.http.put(path_of(announced), content=data)  # without a key
    assert sent.json() == {"success": True, "taskId": announced["taskId"]}
    assert api.get(status).json()["status"] == "queued"
    assert api.http.put(path_of(announced), content=data).status_code == 409
    job = store.jobs.claim("w", [IMPORT])
    assert job is not None
    assert job.payload["tags"] == ["a"]
    assert store.blobs.read(job.payload["digest"]) == data
    store.jobs.progress(job.id, "w", {"done": 2, "total": 5})
    answer = api.get(status).json()
    assert (answer["status"], answer["progress"]) == ("processing", {"current": 2, "total": 5})
    result = {"images": 3, "duplicates": 1, "labels": 0, "unlabelled": 4, "faults": []}
    result["faultCount"] = 0
    store.jobs.finish(job.id, "w", result)
    answer = api.get(status).json()
    assert (answer["status"], answer["result"]) == ("completed", result)
    assert answer["progress"] == {"current": 4, "total": 4}


def test_a_failure_says_why(api, announced, store: Store, made) -> None:
    api.http.put(path_of(announced), content=made.zipped({"a.png": made.png_of(0)}))
    job = store.jobs.claim("w", [IMPORT])
    assert job is not None
    store.jobs.fail(job.id, "w", "the disk is full")
    answer = api.get(f"/default/upload/zip/{announced['taskId']}").json()
    assert (answer["status"], answer["error"]) == ("failed", "the disk is full")


def test_hostile_zips_are_refused_at_once(api, announced, store: Store, made) -> None:
    bomb = made.zipped({"a.bmp": bytes(8 << 20)})
    for data in (b"", b"no zip", made.zipped({"../a.jpg": b"x"}), bomb):
        answer = api.http.put(path_of(announced), content=data)
        assert answer.status_code == 400
        assert "zip" in answer.json()["error"]["message"]
    assert store.zip_imports.is_waiting(announced["taskId"])
    assert not any(store.home.cache.glob("body-*"))


def test_a_zip_may_be_larger_than_other_bodies(start, key, api, announced, made) -> None:
    client = start(max_body_bytes=1000, max_zip_bytes=100_000)
    path = path_of(announced)
    assert client.put(path, content=bytes(100_001)).status_code == 413
    photo = {"a.png": made.png_of(0), "b.png": made.png_of(1)}
    assert len(made.zipped(photo)) > 1000
    assert client.put(path, content=made.zipped(photo)).status_code == 200


def test_the_limit_on_pixels_goes_with_the_job(start, key, roads: str, made, store: Store) -> None:
    client = start(max_image_pixels=12_345)
    told = client.post(f"{roads}/upload/zip", params={"api_key": key}).json()
    sent = client.put(path_of(told), content=made.zipped({"a.png": made.png_of(0)}))
    assert sent.status_code == 200
    job = store.jobs.claim("w", [IMPORT])
    assert job is not None
    assert job.payload["max_pixels"] == 12_345


def test_links_and_tasks_of_others(api, stranger, announced, roads: str) -> None:
    assert api.http.put("/files/abc.def", content=b"").status_code == 404
    task = announced["taskId"]
    assert stranger.get(f"/default/upload/zip/{task}").status_code == 404
    assert stranger.get(f"/other/upload/zip/{task}").status_code == 404
    assert api.get("/default/upload/zip/absent").status_code == 404
    assert stranger.post(f"{roads}/upload/zip", {}).status_code == 404
    # the link takes a zip, and opens no file
    assert api.http.get(f"{path_of(announced)}/a.zip").status_code == 404


@pytest.mark.parametrize(
    "body", [{"split": "x"}, {"tags": "a"}, {"annotationOverwrite": "yes"}, {"batchName": 3}]
)
def test_wishes_that_are_not_understood(api, roads: str, body) -> None:
    assert api.post(f"{roads}/upload/zip", body).status_code == 400


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"tags": ["x" * 101]}, "1 tags can't be used"),
        ({"tags": ["a\nb"]}, "1 tags can't be used"),
        ({"tags": [str(number) for number in range(101)]}, "101 tags can't be used"),
        ({"batchName": "x" * 201}, "batch name"),
        ({"batchName": "a\nb"}, "batch name"),
    ],
)
def test_wishes_that_no_photo_can_have(api, roads: str, store: Store, body, told: str) -> None:
    answer = api.post(f"{roads}/upload/zip", body)
    assert (answer.status_code, told in answer.json()["message"]) == (400, True)
    assert store.jobs.list() == []


def test_the_scope_is_that_of_uploads(key_with, roads: str) -> None:
    assert key_with("infer").post(f"{roads}/upload/zip", {}).status_code == 403
