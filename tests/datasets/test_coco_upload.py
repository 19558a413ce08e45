import math
from typing import Any

import numpy as np
import pytest

from atrous.datasets.coco_upload import coco_upload
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size

SIZE = Size(10, 12)
SQUARE = [[2, 2, 6, 2, 6, 6, 2, 6]]
WIDER = [[4, 2, 10, 2, 10, 6, 4, 6]]


def coco(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": [
            {"id": 1, "file_name": "train/a.jpg", "height": 10, "width": 12},
            {"id": 2, "file_name": "b.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": SQUARE},
            {"id": 2, "image_id": 1, "category_id": 5, "segmentation": WIDER},
            {"id": 3, "image_id": 2, "category_id": 5, "segmentation": SQUARE},
        ],
        "categories": [
            {"id": 0, "name": "things", "supercategory": "none"},
            {"id": 5, "name": "tree", "supercategory": "things"},
            {"id": 1, "name": "road", "supercategory": "things"},
        ],
    }
    return {**content, **changes}


def test_classes_are_ordered_by_category_without_the_group() -> None:
    upload = coco_upload(coco(), "a.json")
    assert upload.class_names == ("background", "road", "tree")
    assert upload.class_ids == {1: 1, 5: 2}


@pytest.mark.parametrize("photo", ["train/a.jpg", "a.jpg", "other/a.jpg", "a.webp", "x\\a.jpg"])
def test_a_photo_is_found_by_its_name_or_a_part_of_it(photo: str) -> None:
    label_map = coco_upload(coco(), "a.json").label_map(photo, SIZE)
    assert label_map[3, 3] == 1
    assert label_map[3, 5] == 2  # later annotations lie on top
    assert label_map[9, 9] == 0


def test_another_photo_has_its_own_annotations() -> None:
    label_map = coco_upload(coco(), "a.json").label_map("b.png", SIZE)
    assert set(np.unique(label_map)) == {0, 2}


def test_a_file_of_one_photo_is_for_whatever_name() -> None:
    images = [{"id": 1, "file_name": "before.jpg"}]
    label_map = coco_upload(coco(images=images), "a.json").label_map("now.jpg", SIZE)
    assert set(np.unique(label_map)) == {0, 1, 2}


def test_what_is_not_listed_or_does_not_fit() -> None:
    upload = coco_upload(coco(), "a.json")
    with pytest.raises(BadDataset, match="does not list 'c.jpg' among its 2"):
        upload.label_map("c.jpg", SIZE)
    with pytest.raises(BadDataset, match="annotated as 12x10"):
        upload.label_map("a.jpg", Size(5, 5))
    stray = [{"id": 1, "image_id": 1, "category_id": 9, "segmentation": SQUARE}]
    with pytest.raises(BadDataset, match="category 9"):
        coco_upload(coco(annotations=stray), "a.json").label_map("a.jpg", SIZE)


def test_a_placeholder_is_no_annotation() -> None:
    fake = [{"id": 999999999, "image_id": 999999999, "category_id": 0, "segmentation": []}]
    upload = coco_upload(coco(annotations=fake), "a.json")
    assert upload.class_names == ("background", "road", "tree")
    assert not upload.label_map("a.jpg", SIZE).any()


@pytest.mark.parametrize("outline", [[[0, 0, 5, 5, 10**400, 2]], 3, True])
def test_an_outline_that_can_not_be_drawn(outline: object) -> None:
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": outline}
    upload = coco_upload(coco(annotations=[entry]), "a.json")
    with pytest.raises(BadImage, match=r"a.json: a.jpg: .*(a polygon has|an outline is)"):
        upload.label_map("a.jpg", SIZE)


def test_ids_of_categories_may_be_texts() -> None:
    categories = [{"id": "0", "name": "all"}, {"id": "1", "name": "road", "supercategory": "all"}]
    upload = coco_upload(coco(categories=categories, annotations=[]), "a.json")
    assert upload.class_names == ("background", "road")


def test_one_name_given_twice_is_one_class_and_background_is_background() -> None:
    categories = [
        {"id": 1, "name": "road"},
        {"id": 2, "name": "Background"},
        {"id": 5, "name": "road"},
    ]
    upload = coco_upload(coco(categories=categories), "a.json")
    assert upload.class_names == ("background", "road")
    assert upload.class_ids == {1: 1, 2: 0, 5: 1}


def test_spaces_around_a_name_are_no_part_of_it() -> None:
    categories = [{"id": 1, "name": " road"}, {"id": 5, "name": "road "}]
    upload = coco_upload(coco(categories=categories), "a.json")
    assert upload.class_names == ("background", "road")
    assert upload.class_ids == {1: 1, 5: 1}


def test_a_basename_that_photos_of_two_folders_have_is_refused() -> None:
    images = [{"id": 1, "file_name": "cam1/1.jpg"}, {"id": 2, "file_name": "cam2/1.jpg"}]
    upload = coco_upload(coco(images=images), "a.json")
    assert upload.lists("1.jpg")
    with pytest.raises(BadDataset, match=r"a.json lists '1.jpg' more than once, .*'cam2/1.jpg'"):
        upload.label_map("1.jpg", SIZE)
    assert set(np.unique(upload.label_map("x/cam2/1.jpg", SIZE))) == {0, 2}
    same = [{"id": 2, "file_name": "1.jpg"}] * 2
    assert set(np.unique(coco_upload(coco(images=same), "a").label_map("1.jpg", SIZE))) == {0, 2}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        coco(images=[]),
        coco(images=[{"id": "x", "file_name": "a"}]),
        coco(images=[3]),
        coco(categories=None),
        coco(categories=[{"id": n, "name": f"c{n}"} for n in range(1, 300)]),
        coco(annotations=[{"id": 1}]),
        coco(annotations=[{"id": math.inf, "image_id": 1, "category_id": 1}]),
    ],
    ids=range(10),
)
def test_what_is_no_coco_file(content: Any) -> None:
    with pytest.raises(BadDataset):
        coco_upload(content, "a.json")
