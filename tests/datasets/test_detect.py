import json
from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.datasets.detect import DatasetOptions, open_dataset, recognised_formats
from atrous.domain.errors import BadDataset


@pytest.fixture
def both_formats(png_masks_root: Path) -> Path:
    """PNG masks and COCO side by side."""
    for folder in png_masks_root.iterdir():
        images = [path.name for path in folder.glob("*.png") if "_mask" not in path.name]
        values = {
            "images": [{"id": i, "file_name": name} for i, name in enumerate(images)],
            "annotations": [],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (folder / "_annotations.coco.json").write_text(json.dumps(values))
    return png_masks_root


def test_png_masks_win_over_coco_and_a_note_says_so(both_formats: Path) -> None:
    assert recognised_formats(both_formats) == ["png-mask-semantic", "coco"]
    dataset = open_dataset(both_formats)
    assert dataset.format == "png-mask-semantic"
    assert "--format coco chooses the other" in dataset.notes[0]
    other = open_dataset(both_formats, DatasetOptions(format="coco"))
    assert other.format == "coco"
    assert not other.faults


def test_folders_are_recognised_and_get_a_valid_split(
    tmp_path: Path, save_photo: Callable[..., Path], save_mask: Callable[..., Path]
) -> None:
    for number in range(10):
        save_photo(tmp_path / f"images/{number}.jpg")
        save_mask(tmp_path / f"masks/{number}.png")
    options = DatasetOptions(classes=("background", "cat"), ignore_id=255)
    dataset = open_dataset(tmp_path, options)
    assert dataset.format == "folders"
    assert {split: len(kept) for split, kept in dataset.splits.items()} == {"train": 8, "valid": 2}
    assert "held out" in dataset.notes[0]
    assert open_dataset(tmp_path, options).splits == dataset.splits
    seeded = DatasetOptions(classes=("background", "cat"), seed=3)
    assert open_dataset(tmp_path, seeded).splits["valid"] != dataset.splits["valid"]


def test_an_unknown_folder_says_what_is_there(tmp_path: Path) -> None:
    said = r"no pictures in it\. docs/data_sets.md shows .*: png-mask-semantic, coco, .*masks"
    with pytest.raises(BadDataset, match=said):
        open_dataset(tmp_path)
    with pytest.raises(BadDataset, match="not a folder"):
        open_dataset(tmp_path / "nothing")


def test_a_folder_too_high_names_the_one_below(png_masks_root: Path) -> None:
    with pytest.raises(BadDataset, match="a data set lies in cats/: name that folder"):
        open_dataset(png_masks_root.parent)


def test_a_forced_format_must_be_one_and_be_there(png_masks_root: Path) -> None:
    with pytest.raises(BadDataset, match="none of png-mask-semantic, coco, yolo-seg, voc, "):
        open_dataset(png_masks_root, DatasetOptions(format="yolo"))
    with pytest.raises(BadDataset, match="no COCO annotations"):
        open_dataset(png_masks_root, DatasetOptions(format="coco"))


def test_options_that_a_format_does_not_take_are_refused(both_formats: Path) -> None:
    with pytest.raises(BadDataset, match="leave --classes out"):
        open_dataset(both_formats, DatasetOptions(classes=("cat",)))
    with pytest.raises(BadDataset, match="leave --ignore-id out"):
        open_dataset(both_formats, DatasetOptions(format="coco", ignore_id=5))
    assert open_dataset(both_formats, DatasetOptions(ignore_id=0)).classes.labelled_ids == (1,)
