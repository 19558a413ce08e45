from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atrous.datasets.folders import (
    SPLIT_LAYOUTS,
    WHOLE_LAYOUTS,
    describe_layouts,
    find_folder_pairs,
    open_folders,
)
from atrous.domain.errors import BadDataset

CAMVID = [
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
]


@pytest.mark.parametrize(("images", "labels"), SPLIT_LAYOUTS)
def test_every_layout_by_split(
    tmp_path: Path,
    save_photo: Callable[..., Path],
    save_mask: Callable[..., Path],
    images: str,
    labels: str,
) -> None:
    for spelling in ("train", "val"):
        save_photo(tmp_path / images.replace("*", spelling) / "a.jpg")
        save_mask(tmp_path / labels.replace("*", spelling) / "a.png")
    dataset = open_folders(tmp_path, class_names=["background", "cat"])
    assert dataset.format == "folders"
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 1,
        "valid": 1,
    }
    assert not dataset.faults
    assert dataset.splits["valid"][0].read_label_map().shape == (6, 8)


@pytest.mark.parametrize(("images", "labels"), WHOLE_LAYOUTS)
@pytest.mark.parametrize("ending", ["", "_mask", "_label"])
def test_every_layout_without_splits_and_every_ending(
    tmp_path: Path,
    save_photo: Callable[..., Path],
    save_mask: Callable[..., Path],
    images: str,
    labels: str,
    ending: str,
) -> None:
    save_photo(tmp_path / images / "a.jpg")
    save_mask(tmp_path / labels / f"a{ending}.png")
    dataset = open_folders(tmp_path, class_names=["background", "cat"])
    assert [sample.name for sample in dataset.splits["train"]] == ["a"]
    assert dataset.splits["train"][0].label.paths()[0].name == f"a{ending}.png"


def test_camvid_ids_move_up_and_void_is_ignored(shared_data: Path) -> None:
    root = shared_data / "camvid"
    dataset = open_folders(root, class_names=CAMVID, ignore_id=11)
    counts = {split: len(samples) for split, samples in dataset.splits.items()}
    assert counts == {"train": 367, "valid": 101, "test": 233}
    assert dataset.classes.names == ("background", *CAMVID)
    assert dataset.classes.labelled_ids == tuple(range(1, 12))
    image, label_map = dataset.splits["valid"][0].read()
    assert image.shape == (360, 480, 3)
    assert set(np.unique(label_map)) <= {*range(1, 12), 255}


def test_classes_come_from_a_file_in_the_root_or_another(
    tmp_path: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]
) -> None:
    save_photo(tmp_path / "images/a.jpg")
    save_mask(tmp_path / "masks/a.png")
    with pytest.raises(BadDataset, match="--classes"):
        open_folders(tmp_path)
    (tmp_path / "labels.txt").write_text("sky\nroad\n")
    assert open_folders(tmp_path).classes.names == ("background", "sky", "road")
    (tmp_path / "other.txt").write_text("background\ncat\n")
    named = open_folders(tmp_path, classes_file=tmp_path / "other.txt")
    assert named.classes.names == ("background", "cat")


def test_partners_that_are_missing_are_faults_in_either_direction(
    tmp_path: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]
) -> None:
    save_photo(tmp_path / "train/a.jpg")
    save_photo(tmp_path / "train/lonely.jpg")
    save_photo(tmp_path / "train/a.png")
    save_mask(tmp_path / "trainannot/a.png")
    save_mask(tmp_path / "trainannot/stray.png")
    dataset = open_folders(tmp_path, class_names=["background", "cat"])
    assert {(fault.file, fault.kind) for fault in dataset.faults} == {
        ("train/lonely.jpg", "missing partner"),
        ("train/a.png", "name given twice"),
        ("trainannot/stray.png", "missing partner"),
    }


def test_a_split_without_labels_is_noted(
    tmp_path: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]
) -> None:
    save_photo(tmp_path / "images/train/a.jpg")
    save_photo(tmp_path / "images/test/b.jpg")
    save_mask(tmp_path / "masks/train/a.png")
    dataset = open_folders(tmp_path, class_names=["background", "cat"])
    assert dataset.notes == ("split test has no folder of labels and is left out",)


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    assert find_folder_pairs(tmp_path) == []
    assert "images/train + masks/train" in describe_layouts()
    with pytest.raises(BadDataset, match=r"train \+ trainannot"):
        open_folders(tmp_path, class_names=["a"])
