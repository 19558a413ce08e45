import base64
import json

import numpy as np
import pytest

from atrous.masks.png import decode_label_map
from atrous.server.platform import annotation_routes
from atrous.store import Store


def stored_label(store: Store, image_id: str, kind: str = "label") -> np.ndarray:
    project = store.projects.get(store.workspaces.default().id, "roads")
    label = store.labels.get(store.images.get(project, image_id), kind)
    assert label is not None
    return decode_label_map(store.blobs.read(label.digest))


@pytest.fixture
def image_id(api, roads: str, made) -> str:
    return api.upload(made.png_of(0), "photo.png").json()["id"]


@pytest.mark.parametrize("prefix", ["/dataset/roads", "/default/roads"])
def test_a_coco_file_becomes_a_label(api, image_id: str, store: Store, made, prefix) -> None:
    mask = made.mask_of(0)
    answer = api.post(
        f"{prefix}/annotate/{image_id}",
        {"annotationFile": made.coco_of({"photo.png": mask}), "labelmap": {"0": "cat"}},
        params={"name": "_annotations.coco.json", "jobName": "b1"},
    )
    assert answer.json() == {"success": True}
    assert np.array_equal(stored_label(store, image_id), mask)
    assert api.get("/default/roads").json()["project"]["splits"]["train"] == 1


def test_a_file_of_many_photos_is_asked_for_one(api, labelled, store: Store, made) -> None:
    for number, image_id in enumerate(labelled):
        assert np.array_equal(stored_label(store, image_id), made.mask_of(number))


def test_drawing_looks_whether_somebody_waits(
    api, image_id: str, made, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(annotation_routes, "stop_if_unwanted", lambda: looks.append(None))
    body = {"annotationFile": made.coco_of({"photo.png": made.mask_of(0)})}
    assert api.post(f"/dataset/roads/annotate/{image_id}", body).status_code == 200
    assert len(looks) == 2  # masks


def test_classes_keep_their_numbers(api, image_id: str, store: Store, made) -> None:
    """Another file that knows other classes in another order does not renumber those there."""
    first = {"annotationFile": made.coco_of({"photo.png": made.mask_of(0)})}
    api.post(f"/dataset/roads/annotate/{image_id}", first)
    second_id = api.upload(made.png_of(1), "second.png").json()["id"]
    mask = made.mask_of(1, classes=3)
    names = ("car", "tree", "road")
    second = {"annotationFile": made.coco_of({"second.png": mask}, names)}
    api.post(f"/dataset/roads/annotate/{second_id}", second)
    expected = np.array([0, 3, 2, 1], np.uint8)[mask]  # car 3, tree 2, road 1
    assert np.array_equal(stored_label(store, second_id), expected)


def test_a_label_is_replaced_on_purpose_only(api, image_id: str, store: Store, made) -> None:
    def annotate(number: int, **params: str):
        body = {"annotationFile": made.coco_of({"photo.png": made.mask_of(number)})}
        return api.post(f"/dataset/roads/annotate/{image_id}", body, params=params)

    assert annotate(0).status_code == 200
    assert annotate(0).status_code == 200  # the same once more
    refused = annotate(1)
    assert refused.status_code == 409
    assert "already annotated" in refused.json()["error"]["message"]
    assert annotate(1, overwrite="true").status_code == 200
    assert np.array_equal(stored_label(store, image_id), made.mask_of(1))


def test_a_refused_label_changes_nothing(api, image_id: str, made) -> None:
    def annotate(names: tuple[str, ...], **params: str):
        body = {"annotationFile": made.coco_of({"photo.png": made.mask_of(0)}, names)}
        return api.post(f"/dataset/roads/annotate/{image_id}", body, params=params)

    def classes() -> list[str]:
        return list(api.get("/default/roads").json()["project"]["classes"])

    assert annotate(("road", "tree", "sign")).status_code == 200  # no pixel is a sign
    assert classes() == ["road", "tree"]
    assert annotate(("road", "car")).status_code == 409
    assert classes() == ["road", "tree"]
    assert annotate(("road", "tree", "bus"), prediction="true").status_code == 200
    assert classes() == ["road", "tree"]


def test_suggestions_and_labels_outside_the_data_set(api, image_id, store: Store, made) -> None:
    body = {"annotationFile": made.coco_of({"photo.png": made.mask_of(0)})}
    path = f"/dataset/roads/annotate/{image_id}"
    assert api.post(path, body, params={"prediction": "true"}).status_code == 200
    project = api.get("/default/roads").json()["project"]
    assert project["unannotated"] == 1
    assert np.array_equal(stored_label(store, image_id, "prediction"), made.mask_of(0))
    assert api.post(path, body, params={"addToDataset": "false"}).status_code == 200
    project = api.get("/default/roads").json()["project"]
    assert project["unannotated"] == 0
    assert sum(project["splits"].values()) == 0


def test_a_placeholder_is_a_photo_without_classes(api, image_id, store: Store, made) -> None:
    content = json.loads(made.coco_of({"photo.png": made.mask_of(0)}))
    fake = {"id": 999999999, "image_id": 999999999, "category_id": 0, "segmentation": []}
    content["annotations"] = [fake]
    answer = api.post(
        f"/dataset/roads/annotate/{image_id}", {"annotationFile": json.dumps(content)}
    )
    assert answer.status_code == 200
    assert not stored_label(store, image_id).any()
    assert api.get("/default/roads").json()["project"]["unannotated"] == 0


CORNERS = [[0, 0], [8, 0], [8, 6], [0, 6]]
SQUARE = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(CORNERS))
TEXTS = {  # one area of 8x6 pixels, in a photo of 32x24
    "a.xml": f"<annotation><object><name>road</name><polygon>{SQUARE}</polygon></object>"
    "</annotation>",
    "annotations.xml": "<annotations><image name='photo.png' width='32' height='24'>"
    "<polygon label='road' points='0,0;8,0;8,6;0,6'/></image></annotations>",
    "a.json": json.dumps({"shapes": [{"label": "road", "points": CORNERS}]}),
    "a.txt": "1 0 0 0.25 0 0.25 0.25 0 0.25",
}


@pytest.mark.parametrize("name", TEXTS)
def test_other_formats_become_labels(api, image_id: str, store: Store, name: str) -> None:
    body = {"annotationFile": TEXTS[name], "labelmap": {"1": "road"}}
    path = f"/dataset/roads/annotate/{image_id}"
    assert api.post(path, body, params={"name": name}).json() == {"success": True}
    label = stored_label(store, image_id)
    assert (label[:6, :8] == 1).all()
    assert label.sum() == 48
    assert api.get("/default/roads").json()["project"]["classes"] == {"road": 1}


def test_numbers_without_names_and_labelmaps_that_are_none(api, image_id: str) -> None:
    path, text = f"/dataset/roads/annotate/{image_id}", TEXTS["a.txt"]
    for labelmap, said in ((None, "has no name"), ({"x": "y"}, "labelmap"), (["road"], "labelmap")):
        answer = api.post(path, {"annotationFile": text, "labelmap": labelmap})
        assert answer.status_code == 400
        assert said in answer.json()["error"]["message"]
    empty = {"annotationFile": ""}  # YOLO's way to say that a photo shows nothing
    assert api.post(path, empty, params={"name": "a.txt"}).json() == {"success": True}


@pytest.mark.parametrize(
    "text", ["", "{", "0 0.5 0.5", "<html/>", "[]", '{"images": []}', "{" * 100_000]
)
def test_annotations_that_are_not_understood(api, image_id: str, text: str) -> None:
    answer = api.post(f"/dataset/roads/annotate/{image_id}", {"annotationFile": text})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_bodies_and_photos_that_are_not_there(api, image_id: str, made) -> None:
    assert api.post(f"/dataset/roads/annotate/{image_id}", {}).status_code == 400
    body = {"annotationFile": made.coco_of({"photo.png": made.mask_of(0)})}
    assert api.post("/dataset/roads/annotate/absent", body).status_code == 404
    two = made.coco_of({"x.png": made.mask_of(0), "y.png": made.mask_of(1)})
    answer = api.post(f"/dataset/roads/annotate/{image_id}", {"annotationFile": two})
    assert answer.status_code == 400
    assert "does not list" in answer.json()["error"]["message"]


@pytest.mark.parametrize("wrap", [bytes, base64.b64encode], ids=["bytes", "base64"])
def test_a_mask_becomes_a_label(api, image_id: str, store: Store, made, wrap) -> None:
    mask = made.mask_of(0)
    mask[0, :3] = 255
    answer = api.call(
        "POST",
        f"/default/roads/images/{image_id}/mask",
        params={"classes": "background, road, tree"},
        content=wrap(made.png_mask(mask)),
    )
    assert answer.json() == {"success": True}
    assert np.array_equal(stored_label(store, image_id), mask)
    assert api.get("/default/roads").json()["project"]["classes"] == {"road": 1, "tree": 1}


def test_a_mask_without_names_has_the_projects_classes(api, labelled, store: Store, made) -> None:
    image_id = api.upload(made.png_of(7), "photo.png").json()["id"]
    path = f"/default/roads/images/{image_id}/mask"
    mask = made.mask_of(7)
    assert api.call("POST", path, content=made.png_mask(mask)).status_code == 200
    assert np.array_equal(stored_label(store, image_id), mask)


def test_masks_that_do_not_fit(api, image_id: str, made) -> None:
    path = f"/default/roads/images/{image_id}/mask"
    names = {"classes": "background,road"}
    wrong_size = made.png_mask(np.zeros((3, 3), np.uint8))
    unnamed = made.png_mask(made.mask_of(0))
    for body, params in ((wrong_size, names), (unnamed, names), (unnamed, {}), (b"x", names)):
        assert api.call("POST", path, content=body, params=params).status_code == 400
    assert api.get("/default/roads").json()["project"]["unannotated"] == 1


def test_masks_are_as_large_as_the_setting_says(api, image_id: str, made, low_pixel_limit) -> None:
    path = f"/default/roads/images/{image_id}"
    body, names = made.png_mask(made.mask_of(0)), {"classes": "background,road,tree,car"}
    assert api.call("POST", f"{path}/mask", content=body, params=names).status_code == 200
    assert api.get(path).json()["image"]["annotation"]["boxes"]


def test_what_stands_for_ignored_pixels_is_no_class(api, image_id: str, store: Store, made) -> None:
    mask = made.mask_of(0)
    names = {"classes": "background,road,__ignore__"}
    path = f"/default/roads/images/{image_id}/mask"
    answer = api.call("POST", path, params=names, content=made.png_mask(mask))
    assert (answer.status_code, "the value 255 in a mask" in answer.text) == (400, True)
    body = {"annotationFile": made.coco_of({"photo.png": mask}, ("road", "__ignore__"))}
    assert api.post(f"/dataset/roads/annotate/{image_id}", body).status_code == 200
    assert np.array_equal(stored_label(store, image_id), np.array([0, 1, 255], np.uint8)[mask])


def test_names_that_can_not_be_kept_are_the_callers_fault(api, image_id: str, made) -> None:
    mask = made.png_mask(np.zeros_like(made.mask_of(0)))
    path = f"/default/roads/images/{image_id}/mask"
    names = {"classes": "background," + ",".join(["a"] * 300)}
    answer = api.call("POST", path, params=names, content=mask)
    assert answer.status_code == 400
    assert "301 class names" in answer.json()["error"]["message"]
    half = made.coco_of({"photo.png": made.mask_of(0)}, ("\ud800", "tree"))
    answer = api.post(f"/dataset/roads/annotate/{image_id}", {"annotationFile": half})
    assert answer.status_code == 400
    assert "class name" in answer.json()["error"]["message"]
