from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atrous.datasets import png_masks
from atrous.datasets.class_lists import classes_and_lookup
from atrous.datasets.png_masks import MaskFile, is_png_masks, open_png_masks
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size


def test_splits_classes_and_pairs(png_masks_root: Path) -> None:
    dataset = open_png_masks(png_masks_root)
    assert dataset.format == "png-mask-semantic"
    assert dataset.classes.names == ("background", "cat")
    assert dataset.classes.background_labelled
    names = {split: [sample.name for sample in kept] for split, kept in dataset.splits.items()}
    assert names == {"train": ["a", "b"], "valid": ["c"], "test": ["d"]}
    sample = dataset.splits["train"][0]
    assert sample.label.paths() == (png_masks_root / "train/a_mask.png",)
    assert not dataset.faults


def test_partners_that_are_missing_are_faults_in_either_direction(
    png_masks_root: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]
) -> None:
    save_photo(png_masks_root / "train/lonely.png")
    save_mask(png_masks_root / "test/stray_mask.png")
    dataset = open_png_masks(png_masks_root)
    assert {(fault.split, fault.file, fault.kind) for fault in dataset.faults} == {
        ("train", "train/lonely.png", "missing partner"),
        ("test", "test/stray_mask.png", "missing partner"),
    }
    assert len(dataset.splits["train"]) == 2


def test_two_photos_of_one_name_are_a_fault(
    png_masks_root: Path, save_photo: Callable[..., Path]
) -> None:
    save_photo(png_masks_root / "train/a.jpg")
    dataset = open_png_masks(png_masks_root)
    assert [(fault.kind, fault.file) for fault in dataset.faults] == [
        ("name given twice", "train/a.png")
    ]
    assert [sample.name for sample in dataset.splits["train"]] == ["a", "b"]


def test_classes_that_start_with_a_real_one_are_kept_behind_a_background(
    png_masks_root: Path,
) -> None:
    for split in ("train", "valid", "test"):
        (png_masks_root / split / "_classes.csv").write_text("Pixel Value, Class\n0, sky\n1, cat")
    dataset = open_png_masks(png_masks_root)
    assert dataset.classes.labelled_ids == (1, 2)
    assert np.unique(dataset.splits["train"][0].read_label_map()).tolist() == [1, 2]


def test_splits_must_agree_on_the_classes(png_masks_root: Path) -> None:
    (png_masks_root / "valid/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, dog")
    with pytest.raises(BadDataset, match=r"valid/_classes.csv lists \['background', 'dog'\]"):
        open_png_masks(png_masks_root)
    (png_masks_root / "valid/_classes.csv").unlink()
    with pytest.raises(BadDataset, match="can't be read"):
        open_png_masks(png_masks_root)


def test_a_folder_without_splits_is_train(
    tmp_path: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]
) -> None:
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat")
    assert not is_png_masks(tmp_path)
    save_photo(tmp_path / "a.jpg")
    save_mask(tmp_path / "a_mask.png")
    assert is_png_masks(tmp_path)
    assert [sample.name for sample in open_png_masks(tmp_path).splits["train"]] == ["a"]


def test_mask_of_another_size_or_without_ids_is_refused(
    tmp_path: Path, save_mask: Callable[..., Path]
) -> None:
    _, lookup = classes_and_lookup(("background", "cat"))
    mask = MaskFile(save_mask(tmp_path / "a_mask.png"), lookup)
    with pytest.raises(BadDataset, match="the mask is 8x6 but its photo is 6x8"):
        mask.read(Size(height=8, width=6))
    (tmp_path / "broken.png").write_bytes(mask.path.read_bytes()[:50])
    for path in (tmp_path / "broken.png", tmp_path / "none.png"):
        with pytest.raises(BadImage, match=path.name):
            MaskFile(path, lookup).read(Size(6, 8))


def test_unknown_ids_are_read_as_ignored_and_counted(
    tmp_path: Path, save_mask: Callable[..., Path]
) -> None:
    _, lookup = classes_and_lookup(("background", "cat"), ignore_id=9)
    mask = MaskFile(save_mask(tmp_path / "a_mask.png", [[0, 1, 7], [7, 9, 255]]), lookup)
    assert mask.read(Size(2, 3)).tolist() == [[0, 1, 255], [255, 255, 255]]
    assert mask.read_raw(Size(2, 3)).tolist() == [[0, 1, 7], [7, 9, 255]]
    assert mask.unknown_ids(Size(2, 3)) == {7: 2, 255: 1}


def test_masks_are_as_large_as_their_photos(
    tmp_path: Path,
    save_mask: Callable[..., Path],
    low_pixel_limit: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(png_masks, "MAX_PIXELS", 1)
    _, lookup = classes_and_lookup(("background", "cat"))
    mask = MaskFile(save_mask(tmp_path / "a_mask.png", [[0, 1]]), lookup)
    assert mask.read(Size(1, 2)).tolist() == [[0, 1]]
