import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from atrous.datasets.check import CheckReport, check_dataset
from atrous.datasets.detect import DatasetOptions, open_dataset

SavePhoto = Callable[..., Path]
SaveMask = Callable[..., Path]


def kinds(report: CheckReport) -> list[tuple[str, str, str | None]]:
    return [(fault.kind, fault.file, fault.sample) for fault in report.faults]


def test_a_sound_set_is_counted(png_masks_root: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = check_dataset(open_dataset(png_masks_root), lambda *step: steps.append(step))
    assert report.ok
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    train = report.counts["train"]
    assert (train.images, train.pixels.tolist(), train.images_with.tolist()) == (
        2,
        [80, 16],
        [2, 2],
    )
    assert train.pixels_beside.tolist() == [96, 96]
    assert report.class_pixels.tolist() == [160, 32]
    assert report.usable() == report.dataset


def test_every_kind_of_fault_is_found_with_its_file(
    png_masks_root: Path, save_photo: SavePhoto, save_mask: SaveMask
) -> None:
    train = png_masks_root / "train"
    for name in ("narrow", "unknown", "halved", "torn"):
        save_photo(train / f"{name}.png")
        save_mask(train / f"{name}_mask.png")
    save_mask(train / "narrow_mask.png", width=5)
    save_mask(train / "unknown_mask.png", np.full((6, 8), 4))
    (train / "halved.png").write_bytes((train / "halved.png").read_bytes()[:90])
    (train / "torn_mask.png").write_bytes(b"no png")
    (train / "lonely.png").write_bytes((train / "a.png").read_bytes())
    shutil.copy(train / "a.png", png_masks_root / "test/again.png")
    save_mask(png_masks_root / "test/again_mask.png")
    for path in (png_masks_root / "valid").glob("*.png"):
        path.unlink()

    report = check_dataset(open_dataset(png_masks_root))
    assert not report.ok
    assert set(kinds(report)) == {
        ("missing partner", "train/lonely.png", None),
        ("empty split", "valid", None),
        ("size mismatch", "train/narrow_mask.png", "narrow"),
        ("id outside the class list", "train/unknown_mask.png", "unknown"),
        ("undecodable image", "train/halved.png", "halved"),
        ("undecodable label", "train/torn_mask.png", "torn"),
        ("image in two splits", "train/a.png", "a"),
    }
    assert len(report.faults) == 7
    said = {fault.kind: fault.message for fault in report.faults}
    assert "4 (48 pixels)" in said["id outside the class list"]
    assert "--ignore-id 4" in said["id outside the class list"]
    assert "test/again.png" in said["image in two splits"]


def test_usable_leaves_faulty_samples_out_and_finds_validation_anew(
    png_masks_root: Path, save_photo: SavePhoto, save_mask: SaveMask
) -> None:
    save_photo(png_masks_root / "train/e.png")
    save_mask(png_masks_root / "train/e_mask.png", width=5)
    shutil.copy(png_masks_root / "valid/c.png", png_masks_root / "test/copy.png")
    save_mask(png_masks_root / "test/copy_mask.png")
    usable = check_dataset(open_dataset(png_masks_root)).usable()
    names = {split: {sample.name for sample in kept} for split, kept in usable.splits.items()}
    assert names["train"] | names["valid"] == {"a", "b"}
    assert names["test"] == {"copy", "d"}
    assert "held out" in usable.notes[-1]
    assert check_dataset(usable).ok


def test_copies_within_a_split_and_absent_classes_are_noted(
    png_masks_root: Path, save_mask: SaveMask
) -> None:
    train = png_masks_root / "train"
    shutil.copy(train / "a.png", train / "copy.png")
    for name in ("a", "b", "copy"):
        save_mask(train / f"{name}_mask.png")
    report = check_dataset(open_dataset(png_masks_root))
    assert report.ok
    assert report.notes == (
        "1 pictures of train are copies of others in it",
        "no training picture shows cat",
    )


def test_ignored_pixels_are_counted_apart(
    tmp_path: Path, save_photo: SavePhoto, save_mask: SaveMask
) -> None:
    for number in range(2):
        save_photo(tmp_path / f"images/{number}.png", height=1, width=3)
        save_mask(tmp_path / f"masks/{number}.png", [[0, 1, 11]])
    options = DatasetOptions(classes=("sky", "road"), ignore_id=11)
    report = check_dataset(open_dataset(tmp_path, options))
    assert report.ok
    assert report.class_pixels.tolist() == [0, 2, 2]
    assert report.counts["train"].pixels_beside[0] == 0  # of a class that no photo shows
    assert [counts.ignored_pixels for counts in report.counts.values()] == [1, 1]
    # without --ignore-id the same pixels are faults, and still counted as ignored
    unnamed = check_dataset(open_dataset(tmp_path, DatasetOptions(classes=("sky", "road"))))
    assert [fault.kind for fault in unnamed.faults] == ["id outside the class list"] * 2
    assert unnamed.counts["train"].ignored_pixels == 1


@pytest.mark.parametrize("format", ["png-mask-semantic", "coco"])
def test_nuclei_has_no_fault(shared_data: Path, format: str) -> None:
    dataset = open_dataset(shared_data / "nuclei", DatasetOptions(format=format))
    report = check_dataset(
        dataset.without({("train", sample.name) for sample in dataset.splits["train"][20:]})
    )
    assert report.ok
    assert report.counts["test"].images == 92


def test_pixels_that_are_read_otherwise_than_saved_are_told(
    png_masks_root: Path, save_mask: SaveMask
) -> None:
    train = png_masks_root / "train"
    ramp = np.linspace(0, 1, 48).reshape(6, 8)
    for name, pixels in {
        "clear": (np.dstack([ramp] * 4) * 255).astype(np.uint8),
        "deep": (np.dstack([ramp] * 3) * 65535).astype(np.uint16),
        "microscope": (ramp * 4095).astype(np.uint16),
    }.items():
        assert cv2.imwrite(str(train / f"{name}.png"), pixels)
        save_mask(train / f"{name}_mask.png")
    report = check_dataset(open_dataset(png_masks_root))
    assert report.ok
    told = [note for note in report.notes if "of 7 pictures: " in note]
    assert [note.rsplit(" ", 1)[1] for note in told] == ["clear", "deep", "microscope"]
    assert told[0].startswith("1 of 7 pictures: an alpha channel, which is dropped")
    assert "the upper 8 are seen" in told[1]
    assert "nearly black so" in told[2]
    assert "Scale them to 0..65535" in told[2]


def test_black_and_white_masks_are_told_how_to_be_saved(
    tmp_path: Path, save_photo: SavePhoto, save_mask: SaveMask
) -> None:
    for number in range(2):
        save_photo(tmp_path / f"images/{number}.png", height=1, width=3)
        save_mask(tmp_path / f"masks/{number}.png", [[0, 255, 255]])
    two = DatasetOptions(classes=("background", "cat"))
    said = {fault.message for fault in check_dataset(open_dataset(tmp_path, two)).faults}
    assert len(said) == 1
    assert "Save it with 1 instead of 255, as docs/data_sets.md#masks" in said.pop()
    three = DatasetOptions(classes=("background", "cat", "dog"))
    [fault, _] = check_dataset(open_dataset(tmp_path, three)).faults
    assert "black-and-white" not in fault.message
    save_mask(tmp_path / "masks/0.png", [[0, 1, 255]])
    [fault] = [
        fault for fault in check_dataset(open_dataset(tmp_path, two)).faults if fault.sample == "0"
    ]
    assert "black-and-white" not in fault.message
