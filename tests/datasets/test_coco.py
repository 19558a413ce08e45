import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.datasets.coco import find_coco_files, open_coco
from atrous.datasets.png_masks import open_png_masks
from atrous.domain.errors import BadDataset, BadInput

CATEGORIES = [
    {"id": 0, "name": "pets", "supercategory": "none"},
    {"id": 2, "name": "dog", "supercategory": "pets"},
    {"id": 1, "name": "cat", "supercategory": "pets"},
]
TOP_ROWS = [[0, 0, 8, 0, 8, 2, 0, 2]]


def photo(number: int, name: str = "") -> dict[str, Any]:
    return {"id": number, "file_name": name or f"{number}.png", "height": 6, "width": 8}


def annotation(number: int, image_id: int, category_id: int, outline: Any = None) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": TOP_ROWS if outline is None else outline,
        "iscrowd": 0,
    }


def content(**changed: Any) -> dict[str, Any]:
    return {
        "images": [photo(0), photo(1)],
        "annotations": [annotation(0, 0, 1), annotation(1, 1, 2)],
        "categories": CATEGORIES,
        **changed,
    }


WriteCoco = Callable[..., Path]


@pytest.fixture
def write_coco(tmp_path: Path, save_photo: Callable[..., Path]) -> WriteCoco:
    """Writes a split whose listed photos are all there."""

    def write(split: str = "train", **changed: Any) -> Path:
        values = content(**changed)
        for entry in values["images"]:
            save_photo(tmp_path / split / entry["file_name"])
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(values))
        return tmp_path

    return write


def test_classes_by_category_id_without_the_group(write_coco: WriteCoco) -> None:
    dataset = open_coco(write_coco())
    assert dataset.format == "coco"
    assert dataset.classes.names == ("background", "cat", "dog")
    assert not dataset.faults
    maps = [sample.read_label_map() for sample in dataset.splits["train"]]
    assert [np.unique(label_map).tolist() for label_map in maps] == [[0, 1], [0, 2]]
    assert maps[0][:2].all()
    assert not maps[0][2:].any()


def test_category_0_is_a_class_where_it_is_used_in_any_split(write_coco: WriteCoco) -> None:
    write_coco()
    root = write_coco("valid", annotations=[annotation(0, 0, 0)])
    assert open_coco(root).classes.names == ("background", "pets", "cat", "dog")


def test_category_0_without_members_is_a_class(write_coco: WriteCoco) -> None:
    categories = [
        {"id": 0, "name": "cat", "supercategory": "pets"},
        {"id": 1, "name": "dog", "supercategory": "pets"},
    ]
    root = write_coco(categories=categories, annotations=[annotation(0, 0, 1)])
    assert open_coco(root).classes.names == ("background", "cat", "dog")


def test_a_group_named_as_its_class_is_no_class_twice(write_coco: WriteCoco) -> None:
    categories = [
        {"id": 0, "name": "cat", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "cat"},
    ]
    root = write_coco(categories=categories, annotations=[annotation(0, 0, 1)])
    assert open_coco(root).classes.names == ("background", "cat")


def test_sparse_ids_and_a_background_category(write_coco: WriteCoco) -> None:
    categories = [{"id": 7, "name": "Background"}, {"id": 90, "name": "cat"}]
    root = write_coco(
        categories=categories, annotations=[annotation(0, 0, 90), annotation(1, 0, 7)]
    )
    dataset = open_coco(root)
    assert dataset.classes.names == ("background", "cat")
    assert not dataset.splits["train"][0].read_label_map().any()


def test_spaces_around_a_name_are_not_of_it(write_coco: WriteCoco) -> None:
    write_coco()
    spaced = [{**entry, "name": f" {entry['name']}\n"} for entry in CATEGORIES]
    classes = open_coco(write_coco("valid", categories=spaced)).classes
    assert classes.names == ("background", "cat", "dog")


def test_splits_must_agree_on_the_categories(write_coco: WriteCoco) -> None:
    write_coco()
    root = write_coco("valid", categories=[*CATEGORIES, {"id": 3, "name": "hen"}])
    with pytest.raises(BadDataset, match="every split needs the same"):
        open_coco(root)


def test_annotations_that_lead_nowhere_are_faults(write_coco: WriteCoco) -> None:
    root = write_coco(
        annotations=[
            annotation(0, 0, 1),
            annotation(5, 77, 1),
            annotation(6, 1, 9),
            annotation(999_999_999, 999_999_999, 1),
        ]
    )
    assert [(fault.kind, fault.sample) for fault in open_coco(root).faults] == [
        ("annotation of an unknown image", None),
        ("id outside the class list", "1"),
    ]


def test_photos_without_partner_are_faults_in_either_direction(
    write_coco: WriteCoco, save_photo: Callable[..., Path]
) -> None:
    root = write_coco()
    (root / "train/1.png").unlink()
    save_photo(root / "train/extra.png")
    save_photo(root / "train/0_mask.png")  # of the same data set as PNG masks
    dataset = open_coco(root)
    assert {(fault.kind, fault.file) for fault in dataset.faults} == {
        ("missing partner", "train/1.png"),
        ("missing partner", "train/extra.png"),
    }
    assert [sample.name for sample in dataset.splits["train"]] == ["0"]


def test_boxes_among_outlines_are_noted_and_boxes_alone_refused(write_coco: WriteCoco) -> None:
    root = write_coco(annotations=[annotation(0, 0, 1), annotation(7, 1, 2, [])])
    dataset = open_coco(root)
    assert not dataset.faults
    assert "1 of 2 annotations have no outline" in dataset.notes[0]
    assert "the first is 7" in dataset.notes[0]
    write_coco(annotations=[annotation(0, 0, 1, [])])
    with pytest.raises(BadDataset, match="boxes alone"):
        open_coco(root)


def test_names_in_folders_stay_apart_and_inside(write_coco: WriteCoco) -> None:
    root = write_coco(images=[photo(0, "x/1.png"), photo(1, "y/1.png")])
    assert [sample.name for sample in open_coco(root).splits["train"]] == ["x_1", "y_1"]
    for name in ("../secret.png", "/etc/secret.png", ""):
        (root / "train/_annotations.coco.json").write_text(
            json.dumps(content(images=[{"id": 0, "file_name": name}]))
        )
        with pytest.raises(BadDataset, match="leads out of the data set"):
            open_coco(root)


def test_a_photo_listed_twice_is_a_fault(write_coco: WriteCoco) -> None:
    root = write_coco(images=[photo(0, "a.png"), photo(1, "a.png")])
    assert [fault.kind for fault in open_coco(root).faults] == ["name given twice"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"images": [], "annotations": []}',
        json.dumps(content(images=[{"id": 0}])),
        json.dumps(content(annotations=[{"id": 0}])),
        json.dumps(content(categories=["cat"])),
        json.dumps(content(images=None)),
    ],
)
def test_what_is_no_coco_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/_annotations.coco.json").write_text(text)
    with pytest.raises(BadDataset, match="is no COCO file"):
        open_coco(tmp_path)


def test_no_class_at_all_is_refused(write_coco: WriteCoco) -> None:
    with pytest.raises(BadInput, match="no class besides background"):
        open_coco(write_coco(categories=[], annotations=[]))


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_{}2017.json", "{}2017"),
        ("annotations/instances_{}2017.json", "images/{}2017"),
        ("annotations/{}.json", "images/{}"),
        ("annotations/{}.json", "images"),
    ],
)
def test_layouts_with_a_folder_of_annotations(
    tmp_path: Path, save_photo: Callable[..., Path], annotations: str, images: str
) -> None:
    for number, spelling in enumerate(("train", "val")):
        save_photo(tmp_path / images.format(spelling) / f"{number}.png")
        path = tmp_path / annotations.format(spelling)
        path.parent.mkdir(exist_ok=True)
        values = content(images=[photo(number)], annotations=[annotation(0, number, 1)])
        path.write_text(json.dumps(values))
        (path.parent / f"captions_{spelling}2017.json").write_text("{}")
    dataset = open_coco(tmp_path)
    assert {split: len(kept) for split, kept in dataset.splits.items()} == {"train": 1, "valid": 1}
    assert not dataset.faults


def test_one_file_in_the_root_is_train(tmp_path: Path, save_photo: Callable[..., Path]) -> None:
    assert find_coco_files(tmp_path) == {}
    with pytest.raises(BadDataset, match="no COCO annotations"):
        open_coco(tmp_path)
    for number in (0, 1):
        save_photo(tmp_path / f"images/{number}.png")
    (tmp_path / "annotations.json").write_text(json.dumps(content()))
    dataset = open_coco(tmp_path)
    assert list(dataset.splits) == ["train"]
    assert not dataset.faults


def test_nuclei_as_coco_and_as_masks_agree_but_for_outlines(shared_data: Path) -> None:
    coco, masks = open_coco(shared_data / "nuclei"), open_png_masks(shared_data / "nuclei")
    assert coco.classes == masks.classes
    for split, samples in masks.splits.items():
        assert [sample.name for sample in coco.splits[split]] == [s.name for s in samples]
        # outlines run through the middle of border pixels, so small nuclei lose some
        maps = [(a.read_label_map(), b.read_label_map())
                for a, b in zip(coco.splits[split][:5], samples[:5], strict=True)]  # fmt: skip
        assert np.mean([(one != other).mean() for one, other in maps]) < 0.04


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "[1]", '"a"'])
@pytest.mark.parametrize("place", ["images", "annotations", "categories"])
def test_hostile_ids_are_one_clear_error(tmp_path: Path, number: str, place: str) -> None:
    (tmp_path / "train").mkdir()
    entries = {
        "images": '{"id": 1, "file_name": "a.jpg"}',
        "annotations": '{"id": 1, "image_id": 1, "category_id": 1, "segmentation": []}',
        "categories": '{"id": 1, "name": "road"}',
    }
    entries[place] = entries[place].replace('"id": 1', f'"id": {number}')
    lists = ", ".join(f'"{name}": [{entry}]' for name, entry in entries.items())
    (tmp_path / "train" / "_annotations.coco.json").write_text(f"{{{lists}}}")
    with pytest.raises(BadDataset, match="is no COCO file"):
        open_coco(tmp_path)
