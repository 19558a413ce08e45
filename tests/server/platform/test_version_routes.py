import io
import zipfile

import pytest

from atrous.jobs.dataset_child import run
from atrous.store import Store

EMPTY = {"preprocessing": {}, "augmentation": {}}
DOCUMENTED = {  # nearly every option at once, as the official package explains them
    "augmentation": {
        "bbblur": {"pixels": 1.5},
        "bbflip": {"horizontal": True, "vertical": False},
        "blur": {"pixels": 1.5},
        "brightness": {"brighten": True, "darken": False, "percent": 91},
        "crop": {"min": 12, "max": 71},
        "cutout": {"count": 26, "percent": 71},
        "exposure": {"percent": 30},
        "flip": {"horizontal": True, "vertical": False},
        "hue": {"degrees": 180},
        "image": {"versions": 3},
        "mosaic": True,
        "ninety": {"clockwise": True, "counter-clockwise": False, "upside-down": False},
        "noise": {"percent": 50},
        "rgrayscale": {"percent": 50},
        "rotate": {"degrees": 45},
        "saturation": {"percent": 50},
        "shear": {"horizontal": 45, "vertical": 45},
    },
    "preprocessing": {
        "auto-orient": True,
        "contrast": {"type": "Contrast Stretching"},
        "filter-null": {"percent": 50},
        "grayscale": True,
        "isolate": True,
        "remap": {"original_class_name": "new_class_name"},
        "resize": {"width": 20, "height": 20, "format": "Stretch to"},
        "static-crop": {"x_min": 10, "x_max": 90, "y_min": 10, "y_max": 90},
        "tile": {"rows": 2, "columns": 2},
    },
}


def work(store: Store) -> None:
    """What a worker does, in this process."""
    while job := store.jobs.claim("w", ["generate", "export"]):
        store.jobs.finish(job.id, "w", run(job, "w", store))


def test_a_version_is_listed_at_once_and_ready_when_it_was_made(api, labelled, store) -> None:
    body = {"preprocessing": {"auto-orient": True}, "augmentation": {}, "seed": 5}
    answer = api.post("/default/roads/generate", {**body, "versionName": "First"})
    assert answer.json() == {"message": "Generating", "version": 1}
    listed = api.get("/default/roads").json()["versions"]
    assert [(version["id"], version["images"]) for version in listed] == [("default/roads/1", 3)]
    assert api.get("/default/roads/1").json()["version"]["generating"] is True
    work(store)
    read = api.get("/default/roads/1", params={"nocache": "true"}).json()
    version = read["version"]
    assert version["generating"] is False
    assert (version["progress"], version["seed"], version["name"]) == (1.0, 5, "First")
    assert version["splits"] == {"train": 2, "valid": 1, "test": 0}
    assert version["preprocessing"] == {"auto-orient": {"enabled": True}}
    assert version["classes"] == ["background", "road", "tree"]
    assert "model" not in version
    assert "train" not in version
    assert read["project"]["versions"] == 1


def test_an_empty_data_set_is_refused(api, roads: str) -> None:
    answer = api.post("/default/roads/generate", EMPTY)
    assert answer.status_code == 400
    assert "no labelled image" in answer.json()["error"]["message"]
    assert api.get("/default/roads/1").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"preprocessing": {"isolate": "all"}},
        {"preprocessing": {"sharpen": True}},
        {"preprocessing": {"resize": {"width": 0, "height": 5}}},
        {"preprocessing": []},
        {"augmentation": {"mosaic": {"count": 3}}},
        {"augmentation": {"rotate": {"degrees": 200}}},
        {"seed": -1},
        {"seed": "x"},
        {"versionName": 3},
    ],
)
def test_steps_that_can_not_be_done_are_refused_at_once(api, labelled, body) -> None:
    answer = api.post("/default/roads/generate", {**EMPTY, **body})
    assert answer.status_code == 400, answer.text
    assert api.get("/default/roads").json()["versions"] == []


def test_a_refusal_names_key_value_and_range(api, labelled) -> None:
    answer = api.post(
        "/default/roads/generate", {**EMPTY, "augmentation": {"hue": {"degrees": 181}}}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        "augmentation 'hue': 'degrees' is '181'; give a number from 0 to 180"
    )


def test_every_step_of_the_clients_documentation_is_taken(api, labelled, store) -> None:
    answer = api.post("/default/roads/generate", DOCUMENTED)
    assert answer.status_code == 200, answer.text
    told = answer.json()["warnings"]
    assert [text.split("'")[1] for text in told] == ["bbblur", "bbflip", "remap"]
    assert "does not have; it has road, tree" in told[-1]
    work(store)
    version = api.get("/default/roads/1").json()["version"]
    assert version["generating"] is False
    assert "error" not in version
    splits = version["splits"]
    assert splits["train"] > 0
    assert splits["train"] % 3 == 0
    assert version["augmentation"]["cutout"] == {"enabled": True, "count": 26, "percent": 71}


def test_photos_are_chosen_by_tag(api, labelled) -> None:
    api.post(f"/default/images/{labelled[0]}/metadata", {"addTags": ["night"]})
    only = {"preprocessing": {"filter-tag": {"require": ["night"]}}}
    api.post("/default/roads/generate", {**EMPTY, **only})
    assert api.get("/default/roads/1").json()["version"]["images"] == 1
    none = {"preprocessing": {"filter-tag": {"require": ["moon"]}}}
    answer = api.post("/default/roads/generate", {**EMPTY, **none})
    assert answer.status_code == 400
    assert "filter-tag" in answer.json()["error"]["message"]


def test_an_export_is_made_and_downloaded(api, labelled, store) -> None:
    api.post("/default/roads/generate", EMPTY)
    path = "/default/roads/1/png-mask-semantic"
    assert api.get(path).status_code == 202
    work(store)
    waiting = api.get(path)
    assert (waiting.status_code, waiting.json()) == (202, {"progress": 0.0})
    work(store)
    ready = api.get(path).json()["export"]
    assert ready["format"] == "png-mask-semantic"
    assert ready["link"].endswith("/roads.v1i.png-mask-semantic.zip")
    assert ready["size"] > 0
    content = api.http.get(ready["link"]).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert "train/_classes.csv" in archive.namelist()
    assert api.get("/default/roads").json()["versions"][0]["exports"] == ["png-mask-semantic"]


def test_formats_that_are_not_offered(api, labelled) -> None:
    api.post("/default/roads/generate", EMPTY)
    answer = api.get("/default/roads/1/yolov8")
    assert answer.status_code == 400
    assert "png-mask-semantic, coco" in answer.json()["error"]["message"]
    assert api.get("/default/roads/2/coco").status_code == 404


def test_failures_are_told(api, labelled, store: Store) -> None:
    api.post("/default/roads/generate", EMPTY)
    job = store.jobs.claim("w")
    assert job is not None
    store.jobs.fail(job.id, "w", "the disk is full")
    version = api.get("/default/roads/1").json()["version"]
    assert version["generating"] is False  # the client stops waiting
    assert version["error"] == "the disk is full"
    answer = api.get("/default/roads/1/coco")
    assert answer.status_code == 409
    assert "the disk is full" in answer.json()["error"]["message"]
