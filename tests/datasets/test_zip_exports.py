import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.datasets.check import check_dataset
from atrous.datasets.detect import open_dataset
from atrous.datasets.zip_exports import FORMATS, ExportedPhoto, ExportFacts, write_zip
from atrous.domain.errors import BadInput

NAMES = ("background", "zebra", "Apfel", "tree, old")
FACTS = ExportFacts("Roads v1", "2026-01-01T00:00:00+00:00")


def photo(number: int, split: str = "train", name: str = "street.JPG") -> ExportedPhoto:
    rng = np.random.default_rng(number)
    buffer = io.BytesIO()
    pixels = rng.integers(0, 255, (20 + number, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return ExportedPhoto(
        name=name,
        split=split,
        digest=f"{number:064x}"[::-1],
        media_type="image/png",
        data=buffer.getvalue(),
        label_map=rng.integers(0, len(NAMES), (20 + number, 30), dtype=np.uint8),
    )


def photos() -> list[ExportedPhoto]:
    """Many of one name; the last shows no class."""
    made = [photo(number, split) for number, split in enumerate(["train"] * 3 + ["valid", "test"])]
    empty = photo(5)
    return [*made, ExportedPhoto(**{**vars(empty), "label_map": np.zeros_like(empty.label_map)})]


def unpacked(tmp_path: Path, wanted: str) -> Path:
    write_zip(tmp_path / "a.zip", wanted, NAMES, iter(photos()), FACTS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("wanted", FORMATS)
def test_our_own_importer_reads_identical_masks(tmp_path: Path, wanted: str) -> None:
    root = unpacked(tmp_path, wanted)
    dataset = open_dataset(root)
    assert dataset.format == wanted.removesuffix("-segmentation")
    assert dataset.classes.names == NAMES
    report = check_dataset(dataset)
    assert report.faults == ()
    read = {
        (split, sample.image.name): sample
        for split, samples in dataset.splits.items()
        for sample in samples
    }
    assert len(read) == 6
    for expected in photos():
        sample = read[(expected.split, expected.file_name)]
        assert sample.image.read_bytes() == expected.data
        assert np.array_equal(sample.read_label_map(), expected.label_map)


def test_png_masks_lie_beside_the_photos(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "png-mask-semantic")
    assert (root / "train" / "_classes.csv").read_text() == (
        "Pixel Value, Class\n0, background\n1, zebra\n2, Apfel\n3, tree, old"
    )
    stems = {path.stem for path in (root / "valid").glob("*.png") if "_mask" not in path.stem}
    assert all((root / "valid" / f"{stem}_mask.png").exists() for stem in stems)


def test_coco_has_what_the_official_client_reads(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "coco")
    content = json.loads((root / "train" / "_annotations.coco.json").read_text())
    assert {"info", "licenses", "categories", "images", "annotations"} <= set(content)
    assert content["categories"][0]["supercategory"] == "none"
    assert [entry["name"] for entry in content["categories"][1:]] == list(NAMES[1:])
    for entry in content["annotations"]:
        assert {"id", "image_id", "category_id", "bbox", "area", "iscrowd"} <= set(entry)
        assert entry["area"] > 0


def test_yolo_has_folders_of_images_and_labels(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "yolo-seg")
    photos_there = {path.stem for path in (root / "train/images").iterdir()}
    assert photos_there == {path.stem for path in (root / "train/labels").glob("*.txt")}
    text = (root / "data.yaml").read_text()
    assert text.endswith('nc: 3\nnames: ["zebra", "Apfel", "tree, old"]\n')
    assert "val: ../valid/images" in text


@pytest.mark.parametrize("wanted", FORMATS)
def test_the_same_photos_give_the_same_bytes(tmp_path: Path, wanted: str) -> None:
    for name in ("a.zip", "b.zip"):
        write_zip(tmp_path / name, wanted, NAMES, photos(), FACTS)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("Straße 1.JPG", "Strae-1_jpg.rf."),
        ("../x/..png", "photo_png.rf."),
        ("道路", "photo.rf."),
        ("a" * 300 + ".png", "a" * 100 + "_png.rf."),
    ],
)
def test_file_names_are_plain(name: str, start: str) -> None:
    given = photo(1, name=name).file_name
    assert given.startswith(start)
    assert given.endswith(".png")
    assert "/" not in given


def test_a_format_that_is_not_offered(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="png-mask-semantic, coco"):
        write_zip(tmp_path / "a.zip", "yolov8", NAMES, [], FACTS)
