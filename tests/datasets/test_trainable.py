from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.datasets.trainable import why_untrainable
from atrous.datasets.version import Dataset

NAMES = ("background", "cat")


@pytest.fixture
def pair(tmp_path: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]) -> Path:
    for number in range(2):
        save_photo(tmp_path / f"images/{number}.png")
        save_mask(tmp_path / f"masks/{number}.png")
    return tmp_path


def opened(root: Path, ignore_id: int | None = None) -> Dataset:
    return open_dataset(root, DatasetOptions(classes=NAMES, ignore_id=ignore_id))


def test_a_set_with_two_classes_is_fine_and_so_is_one_that_was_not_counted(pair: Path) -> None:
    assert why_untrainable(opened(pair), [5, 3]) is None
    assert why_untrainable(opened(pair)) is None


def test_one_class_alone_says_which_other_is_wanted(pair: Path) -> None:
    alone = why_untrainable(opened(pair), [5, 0])
    assert alone is not None
    assert alone.endswith("Label another class than background in some of the photos")
    assert "Label a second class in" in (why_untrainable(opened(pair), [0, 5]) or "")
    assert "no class at all" in (why_untrainable(opened(pair), [0, 0]) or "")


def test_an_id_that_is_ignored_is_named(pair: Path) -> None:
    said = why_untrainable(opened(pair, 255), [5, 0])
    assert said is not None
    assert said.endswith("pixels of 255 are ignored: leave --ignore-id out if they mean a class")


def test_one_photo_and_none(pair: Path) -> None:
    (pair / "images/1.png").unlink()
    assert "one photo alone" in (why_untrainable(opened(pair)) or "")
    (pair / "images/0.png").rename(pair / "images/x.png")
    assert "train split is empty" in (why_untrainable(opened(pair)) or "")
