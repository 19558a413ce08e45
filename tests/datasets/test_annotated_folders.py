import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atrous.datasets.annotated_folders import annotated_format, open_annotated
from atrous.datasets.check import check_dataset
from atrous.datasets.detect import DatasetOptions, open_dataset, recognised_formats
from atrous.domain.errors import BadDataset

TOP = "0 0 0 1 0 1 0.5 0 0.5\n"  # the upper half
SIZE = "<size><width>8</width><height>6</height></size>"


@pytest.fixture
def yolo_root(tmp_path: Path, save_photo: Callable[..., Path]) -> Path:
    for split, names in (("train", "ab"), ("valid", "c")):
        for name in names:
            save_photo(tmp_path / split / "images" / f"{name}.png")
            labels = tmp_path / split / "labels"
            labels.mkdir(exist_ok=True)
            (labels / f"{name}.txt").write_text(TOP.replace("0", "1", 1) if name == "b" else TOP)
    (tmp_path / "data.yaml").write_text("names:\n  0: road\n  1: tree\n")
    return tmp_path


def voc_object(name: str, left: int) -> str:
    points = ((left, 0), (left + 2, 0), (left + 2, 6), (left, 6))
    body = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(points, 1))
    return f"<object><name>{name}</name><polygon>{body}</polygon></object>"


def test_yolo_is_read(yolo_root: Path) -> None:
    assert recognised_formats(yolo_root) == ["yolo-seg"]
    dataset = open_dataset(yolo_root)
    assert dataset.classes.names == ("background", "road", "tree")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 2,
        "valid": 1,
    }
    report = check_dataset(dataset)
    assert report.faults == ()
    assert report.class_pixels.tolist() == [3 * 24, 2 * 24, 24]


def test_what_is_missing_or_broken_is_a_fault(
    yolo_root: Path, save_photo: Callable[..., Path]
) -> None:
    save_photo(yolo_root / "train" / "images" / "d.png")
    (yolo_root / "valid" / "labels" / "c.txt").write_text("7 0 0 1 0 1 1")
    (yolo_root / "train" / "labels" / "b.txt").write_text("1 0.5 0.5")
    faults = {fault.file: fault for fault in open_annotated(yolo_root, "yolo-seg").faults}
    assert (
        "train/labels/b.txt, line 1: '1 0.5 0.5' is no area" in faults["train/images/b.png"].message
    )
    assert faults["train/images/d.png"].kind == "missing partner"
    assert faults["valid/images/c.png"].kind == "undecodable label"
    assert "class 7 has no name" in faults["valid/images/c.png"].message


def test_voc_labelme_and_cvat_are_read(tmp_path: Path, save_photo: Callable[..., Path]) -> None:
    for name in "ab":
        save_photo(tmp_path / "voc/JPEGImages" / f"{name}.jpg")
        save_photo(tmp_path / "labelme" / f"{name}.jpg")
        save_photo(tmp_path / "cvat/images" / f"{name}.jpg")
    (tmp_path / "voc/Annotations").mkdir()
    corners = [[0, 0], [2, 0], [2, 6], [0, 6]]
    images = ""
    for name, label in (("a", "tree"), ("b", "road")):
        text = f"<annotation>{SIZE}{voc_object(label, 0)}</annotation>"
        (tmp_path / f"voc/Annotations/{name}.xml").write_text(text)
        content = {"shapes": [{"label": label, "points": corners}]}
        (tmp_path / f"labelme/{name}.json").write_text(json.dumps(content))
        shape = f"<polygon label='{label}' points='0,0;2,0;2,6;0,6'/>"
        images += f"<image name='{name}.jpg' width='8' height='6'>{shape}</image>"
    (tmp_path / "cvat/annotations.xml").write_text(f"<annotations>{images}</annotations>")
    for name in ("voc", "labelme", "cvat"):
        assert annotated_format(tmp_path / name) == name
        dataset = open_dataset(tmp_path / name)
        assert dataset.classes.names == ("background", "tree", "road")
        assert check_dataset(dataset).class_pixels.tolist() == [2 * 36, 12, 12]


def test_boxes_are_noted_and_alone_refused(yolo_root: Path) -> None:
    labels = yolo_root / "train" / "labels"
    (labels / "a.txt").write_text("0 0.5 0.5 1 1\n")
    dataset = open_annotated(yolo_root, "yolo-seg")
    assert dataset.notes == ("1 of 3 annotations are boxes, which are filled as rectangles",)
    assert np.all(dataset.splits["train"][0].read_label_map() == 1)
    for path in yolo_root.glob("*/labels/*.txt"):
        path.write_text("0 0.5 0.5 1 1\n")
    with pytest.raises(BadDataset, match="boxes alone"):
        open_annotated(yolo_root, "yolo-seg")


def test_a_format_that_is_not_there(yolo_root: Path, tmp_path_factory) -> None:
    with pytest.raises(BadDataset, match="no voc annotations"):
        open_dataset(yolo_root, DatasetOptions(format="voc"))
    with pytest.raises(BadDataset, match="leave --ignore-id out"):
        open_dataset(yolo_root, DatasetOptions(ignore_id=3))
    assert annotated_format(tmp_path_factory.mktemp("empty")) is None
