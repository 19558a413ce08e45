import tracemalloc
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from atrous.masks.png import encode_label_map
from atrous.server.platform.image_routes import _boxes
from atrous.store import Store
from atrous.store.dataset_tables import images
from atrous.store.images import Image


def names_of(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["name"] for result in answer.json()["results"]]


def test_photos_are_found(api, labelled, made) -> None:
    api.upload(made.png_of(9), "street.png", tag="rain")
    search = "/default/roads/search"
    assert names_of(api.post(search, {})) == ["street.png", "2.png", "1.png", "0.png"]
    assert names_of(api.post(search, {"prompt": "STREET"})) == ["street.png"]
    assert names_of(api.post(search, {"tag": "rain"})) == ["street.png"]
    assert names_of(api.post(search, {"class_name": "road", "limit": 1})) == ["2.png"]
    assert names_of(api.post(search, {"in_dataset": False})) == ["street.png"]
    page = api.post(search, {"offset": 1, "limit": 2, "fields": ["id", "tags", "split"]}).json()
    assert (page["offset"], page["total"]) == (1, 4)
    assert page["results"][0] == {
        "id": labelled[2],
        "name": "2.png",
        "split": "valid",
        "tags": [],
        "mediaType": "image",
    }


def test_a_workspace_is_searched_page_by_page(api, labelled) -> None:
    body = {"query": "project:roads .png", "pageSize": 2}
    first = api.post("/default/search/v1", body).json()
    assert len(first["results"]) == 2
    assert first["total"] == 3
    body["continuationToken"] = first["continuationToken"]
    rest = api.post("/default/search/v1", body).json()
    assert len(rest["results"]) == 1
    assert "continuationToken" not in rest
    for words, count in (("*", 3), ("class:tree", 3), ("split:valid", 1), ('tag:"no rain"', 0)):
        found = api.post("/default/search/v1", {"query": f"project:roads {words}"}).json()
        assert found["total"] == count, words
    assert api.post("/default/search/v1", {"query": "cat"}).status_code == 400
    body["continuationToken"] = "9" * 5000  # more digits than Python reads
    assert api.post("/default/search/v1", body).status_code == 400
    assert api.post("/default/search/v1", {"query": "project:absent"}).status_code == 404
    negated = api.post("/default/search/v1", {"query": "project:roads -tag:rain"})
    assert negated.status_code == 400
    assert "'-tag:'" in negated.json()["error"]["message"]


@pytest.mark.parametrize(
    ("wishes", "count"),
    [
        ({"annotation_job": True}, 0),
        ({"annotation_job": False}, 3),
        ({"annotation_job_id": "abc"}, 0),
        ({"mediaTypes": ["video"]}, 0),
        ({"media_types": ["video"]}, 0),
        ({"mediaTypes": ["image", "video"]}, 3),
        ({"mediaTypes": None, "annotation_job": None, "in_dataset": None}, 3),
    ],
)
def test_there_are_no_annotation_jobs_and_no_videos(api, labelled, wishes, count: int) -> None:
    answer = api.post("/default/roads/search", wishes).json()
    assert (len(answer["results"]), answer["offset"], answer["total"]) == (count, 0, count)


def test_a_workspace_has_no_videos(api, labelled) -> None:
    body = {"query": "project:roads", "mediaTypes": ["video"]}
    assert api.post("/default/search/v1", body).json() == {"results": [], "total": 0}


@pytest.mark.parametrize(
    "body",
    [
        {"limit": -1},
        {"limit": 251},
        {"offset": "1"},
        {"tag": 1},
        {"fields": "id"},
        {"in_dataset": "true"},
        {"in_dataset": 1},
        {"annotation_job": "yes"},
        {"annotation_job_id": 7},
        {"mediaTypes": "image"},
    ],
)
def test_searches_that_are_not_understood(api, roads: str, body) -> None:
    assert api.post("/default/roads/search", body).status_code == 400


def test_one_photo_has_links_and_boxes(api, labelled, made) -> None:
    image = api.get(f"/default/roads/images/{labelled[0]}").json()["image"]
    assert (image["id"], image["name"], image["split"]) == (labelled[0], "0.png", "train")
    assert image["labels"] == ["road", "tree"]
    assert (image["annotation"]["width"], image["annotation"]["height"]) == (32, 24)
    assert {box["label"] for box in image["annotation"]["boxes"]} == {"road", "tree"}
    assert all(box["width"] <= 32 and box["height"] <= 24 for box in image["annotation"]["boxes"])
    original = api.http.get(image["urls"]["original"])
    assert original.content == made.png_of(0)
    assert original.headers["content-type"] == "image/png"
    assert api.http.get(image["urls"]["thumb"]).headers["content-type"] == "image/jpeg"
    assert api.http.get(image["urls"]["annotation"]).status_code == 200
    assert api.get("/default/roads/images/absent").status_code == 404


def test_boxes_go_round_the_pixels_of_a_class(api, labelled, made) -> None:
    """In a thread for heavy work: others verify keys in those of `look_up`."""
    queues: list[str] = []
    work = api.http.app.state.services.work
    run = work.run

    async def counted(queue: str, function):
        queues.append(queue)
        return await run(queue, function)

    work.run = counted
    answer = api.get(f"/default/roads/images/{labelled[0]}").json()["image"]
    assert queues == ["photo:roads"]
    for number, box in enumerate(answer["annotation"]["boxes"], start=1):
        rows, columns = np.nonzero(made.mask_of(0) == number)
        assert box["width"] == columns.max() + 1 - columns.min()
        assert box["height"] == rows.max() + 1 - rows.min()
        assert box["x"] == (columns.min() + columns.max() + 1) / 2
        assert box["y"] == (rows.min() + rows.max() + 1) / 2


def test_boxes_take_a_few_bytes_per_pixel() -> None:
    mask = encode_label_map(np.ones((1000, 1000), np.uint8))
    texts = [""] * 8
    photo = Image(*texts, 1, 1000, 1000, "train", True, True, {}, 0.0)
    tracemalloc.start()
    assert _boxes(mask, photo, ("background", "road"))[0]["width"] == 1000
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()


def test_photos_are_removed(api, labelled) -> None:
    answer = api.call("DELETE", "/default/roads/images", json={"images": [labelled[0], "absent"]})
    assert answer.status_code == 204
    assert answer.content == b""
    assert api.get("/default/roads").json()["project"]["images"] == 2
    assert api.get(f"/default/roads/images/{labelled[0]}").status_code == 404
    too_many = {"images": ["x"] * 10_001}
    assert api.call("DELETE", "/default/roads/images", json=too_many).status_code == 400


def test_batches(api, labelled) -> None:
    batches = api.get("/default/roads/batches").json()["batches"]
    assert [(batch["name"], batch["images"]) for batch in batches] == [("first", 3)]
    one = api.get(f"/default/roads/batches/{batches[0]['id']}").json()["batch"]
    assert one == batches[0]
    assert api.get("/default/roads/batches/absent").status_code == 404


def test_metadata_of_many_levels_is_refused(api, labelled) -> None:
    path = f"/default/images/{labelled[0]}/metadata"
    for levels, told in ((33, "on more than 32 levels"), (900, "on more than 64 levels")):
        deep: Any = 1
        for _ in range(levels):
            deep = {"a": deep}
        answer = api.post(path, {"metadata": deep})
        assert (answer.status_code, told in answer.json()["message"]) == (400, True)
    assert api.get(f"/default/roads/images/{labelled[0]}").status_code == 200


def test_metadata_of_many_levels_from_an_older_release_is_not_shown(
    api, labelled, store: Store
) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    with store.images._database.write() as connection:
        connection.execute(update(images).values(user_metadata={"deep": deep, "a": [1]}))
    for answer in (
        api.get(f"/default/roads/images/{labelled[0]}").json()["image"],
        api.post("/default/roads/search", {"fields": ["user_metadata"]}).json()["results"][0],
    ):
        assert answer["user_metadata"]["a"] == [1]
        assert "too deep to be shown" in answer["user_metadata"]["deep"]
    path = f"/default/images/{labelled[0]}/metadata"
    assert api.post(path, {"addTags": ["x"], "removeMetadata": ["deep"]}).status_code == 200


def test_metadata_and_tags_are_changed(api, labelled) -> None:
    path = f"/default/images/{labelled[0]}/metadata"
    body = {"metadata": {"a": 1, "b": 2}, "addTags": ["x", "y"]}
    assert api.post(path, body).json() == {"success": True}
    assert api.post(path, {"removeMetadata": ["a"], "removeTags": ["x"]}).status_code == 200
    image = api.get(f"/default/roads/images/{labelled[0]}").json()["image"]
    assert image["user_metadata"] == {"b": 2}
    assert image["tags"] == ["y"]
    assert api.post(path, {"metadata": [1]}).status_code == 400
    assert api.post("/default/images/absent/metadata", {}).status_code == 404
