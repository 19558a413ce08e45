from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.datasets.class_lists import classes_and_lookup
from atrous.datasets.png_masks import MaskFile, open_png_masks
from atrous.datasets.version import LabelSource, Sample, find_split_folder, list_images
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size


def test_sample_reads_photo_and_label_of_one_size(png_masks_root: Path) -> None:
    sample = open_png_masks(png_masks_root).splits["train"][0]
    image, label_map = sample.read()
    assert image.shape == (6, 8, 3)
    assert np.unique(label_map[0]).tolist() == [1]
    assert not label_map[1:].any()
    np.testing.assert_array_equal(sample.read_label_map(), label_map)
    np.testing.assert_array_equal(sample.read_image(), image)
    assert isinstance(sample.label, LabelSource)


def test_label_of_a_turned_photo_has_the_size_of_the_upright_one(
    tmp_path: Path, save_mask: Callable[..., Path]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (8, 6)).save(tmp_path / "turned.jpg", exif=exif)
    _, lookup = classes_and_lookup(("background", "cat"))
    upright = save_mask(tmp_path / "upright.png", height=8, width=6)
    as_stored = save_mask(tmp_path / "as_stored.png", height=6, width=8)
    sample = Sample("turned", tmp_path / "turned.jpg", MaskFile(upright, lookup))
    assert sample.read()[1].shape == sample.read_label_map().shape == (8, 6)
    with pytest.raises(BadDataset, match="EXIF"):
        Sample("turned", tmp_path / "turned.jpg", MaskFile(as_stored, lookup)).read()


def test_without_drops_samples_and_empty_splits(png_masks_root: Path) -> None:
    dataset = open_png_masks(png_masks_root)
    fewer = dataset.without({("train", "a"), ("valid", "c"), ("test", "a")})
    assert {split: [sample.name for sample in kept] for split, kept in fewer.splits.items()} == {
        "train": ["b"],
        "test": ["d"],
    }
    assert len(dataset.splits["train"]) == 2


def test_fingerprint_changes_with_files_names_and_classes(
    png_masks_root: Path, save_photo: Callable[..., Path]
) -> None:
    first = open_png_masks(png_masks_root).fingerprint()
    assert first == open_png_masks(png_masks_root).fingerprint()
    seen = {first, open_png_masks(png_masks_root).without({("train", "a")}).fingerprint()}
    save_photo(png_masks_root / "train/a.png", height=60)
    seen.add(open_png_masks(png_masks_root).fingerprint())
    for split in ("train", "valid", "test"):
        (png_masks_root / split / "_classes.csv").write_text("Pixel Value, Class\n0, a\n1, b")
    seen.add(open_png_masks(png_masks_root).fingerprint())
    assert len(seen) == 4


def test_valid_may_be_spelled_val(tmp_path: Path) -> None:
    assert find_split_folder(tmp_path, "valid") is None
    (tmp_path / "val").mkdir()
    assert find_split_folder(tmp_path, "valid") == tmp_path / "val"
    assert find_split_folder(tmp_path, "train") is None


def test_images_are_listed_by_name_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "._a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG"]


def test_size_given_is_taken(png_masks_root: Path) -> None:
    sample = open_png_masks(png_masks_root).splits["train"][0]
    with pytest.raises(BadDataset, match="5x4"):
        sample.read_label_map(Size(height=4, width=5))
