import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.datasets.version import Dataset
from atrous.domain.errors import BadDataset
from atrous.jobs.sound_data import with_sound_split

NAMES = "Pixel Value, Class\n0, background\n1, cat\n"


def write(folder: Path, files: dict[str, int]) -> Dataset:
    """Photos by `split/name`, each with a mask whose left half has this value."""
    for number, (path, value) in enumerate(files.items()):
        photo = folder / f"{path}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        (photo.parent / "_classes.csv").write_text(NAMES)
        assert cv2.imwrite(str(photo), np.full((8, 8, 3), 10 * number, np.uint8))
        mask = np.zeros((8, 8), np.uint8)
        mask[:, :4] = value
        assert cv2.imwrite(str(photo.with_name(f"{photo.stem}_mask.png")), mask)
    return open_dataset(folder)


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: sorted(each.name for each in kept) for split, kept in dataset.splits.items()}


def test_values_without_a_name_are_refused_and_not_left_out_of_the_figures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = write(tmp_path, {"test/a": 1, "test/b": 7, "train/c": 9})
    with pytest.raises(BadDataset, match=r"1 faults: .*b_mask.png: .*7 .*--skip-bad leaves them"):
        with_sound_split(dataset, "test")
    with caplog.at_level(logging.WARNING):
        sound = with_sound_split(dataset, "test", skip_bad=True)
    assert names(sound) == {"test": ["a"]}
    assert "left out: test/b_mask.png" in caplog.text
    with pytest.raises(BadDataset, match="no photo of split 'train' .* is without a fault"):
        with_sound_split(dataset, "train", skip_bad=True)


def test_a_binary_mask_of_0_and_255(tmp_path: Path) -> None:
    """All pixels of its class would else be ignored, and what is left nearly perfect."""
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
    for name in "abc":
        photo = np.full((8, 8, 3), ord(name), np.uint8)
        assert cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), photo)
        mask = np.zeros((8, 8), np.uint8)
        mask[:4] = 255
        assert cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    dataset = open_dataset(tmp_path, DatasetOptions(classes=("background", "cat")))
    assert dataset.valid_is_drawn
    options = DatasetOptions(classes=("background", "my cat"), ignore_id=3)
    with pytest.raises(BadDataset, match=r"255 \(32 pixels\)") as refused:
        with_sound_split(dataset, "all", options=options)
    # the same options, and no --skip-bad, which would leave nothing
    command = f"atrous check {tmp_path} --classes 'background,my cat' --ignore-id 3"
    assert str(refused.value).endswith(f". `{command}` lists them")


def test_all_photos_together(tmp_path: Path) -> None:
    dataset = write(tmp_path, {"test/a": 1, "train/a": 1, "train/b": 0})
    seen = []
    sound = with_sound_split(dataset, "all", progress=lambda *counts: seen.append(counts))
    assert names(sound) == {"all": ["b", "test/a", "train/a"]}
    assert seen[-1] == (3, 3)


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    dataset = write(tmp_path, {"test/a": 1})
    with pytest.raises(BadDataset, match="no photos in split 'valid'; it has test"):
        with_sound_split(dataset, "valid")
