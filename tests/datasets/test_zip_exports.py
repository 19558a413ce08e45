import io
import json
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.datasets.check import check_dataset
from atrous.datasets.detect import open_dataset
from atrous.datasets.labelled_files import LabelledFiles
from atrous.datasets.zip_exports import FORMATS, ExportedPhoto, ExportFacts, write_zip
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size

NAMES = ("background", "zebra", "Apfel", "tree, old")
FACTS = ExportFacts("Roads v1", "2026-01-01T00:00:00+00:00")


def photo(number: int, split: str = "train", name: str = "street.JPG") -> ExportedPhoto:
    """Noise of all classes; a corner is ignored."""
    rng = np.random.default_rng(number)
    buffer = io.BytesIO()
    pixels = rng.integers(0, 255, (20 + number, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    label_map = rng.integers(0, len(NAMES), (20 + number, 30), dtype=np.uint8)
    label_map[:7, :5] = label_map[9, 9] = 255
    return ExportedPhoto(
        name=name,
        split=split,
        digest=f"{number:064x}"[::-1],
        media_type="image/png",
        data=buffer.getvalue(),
        label_map=label_map,
    )


def photos() -> list[ExportedPhoto]:
    """Many of one name; the last shows no class."""
    made = [photo(number, split) for number, split in enumerate(["train"] * 3 + ["valid", "test"])]
    empty = photo(5)
    return [*made, ExportedPhoto(**{**vars(empty), "label_map": np.zeros_like(empty.label_map)})]


def without_ignored() -> list[ExportedPhoto]:
    return [
        ExportedPhoto(
            **{**vars(each), "label_map": np.where(each.label_map == 255, 0, each.label_map)}
        )
        for each in photos()
    ]


def unpacked(tmp_path: Path, wanted: str, made: list[ExportedPhoto] | None = None) -> Path:
    write_zip(tmp_path / "a.zip", wanted, NAMES, iter(made or photos()), FACTS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("made", [photos, without_ignored], ids=["with 255", "without"])
@pytest.mark.parametrize("wanted", FORMATS)
def test_our_own_importer_reads_identical_masks(tmp_path: Path, wanted: str, made) -> None:
    root = unpacked(tmp_path, wanted, made())
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
    for expected in made():
        sample = read[(expected.split, expected.file_name)]
        assert sample.image.read_bytes() == expected.data
        assert np.array_equal(sample.read_label_map(), expected.label_map)


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_zip_upload_reads_identical_masks(tmp_path: Path, wanted: str) -> None:
    root = unpacked(tmp_path, wanted)
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    files = LabelledFiles(paths, lambda path: (root / path).read_bytes())
    assert files.faults == []
    by_name = {found.path.rpartition("/")[2]: found for found in files.files.photos}
    for expected in photos():
        size = Size(*expected.label_map.shape)
        label = files.label_of(by_name[expected.file_name], size)
        assert label is not None
        assert label.class_names == NAMES
        assert np.array_equal(label.label_map, expected.label_map)


@pytest.mark.parametrize("wanted", FORMATS)
def test_names_with_quotes_come_back(tmp_path: Path, wanted: str) -> None:
    names = ("background", 'pipe 12"', '"', "road\u2028surface")
    write_zip(tmp_path / "a.zip", wanted, names, iter(without_ignored()), FACTS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "out")
    assert open_dataset(tmp_path / "out").classes.names == names


def test_ordinary_names_are_written_without_quotes(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "png-mask-semantic", without_ignored())
    expected = "Pixel Value, Class\n0, background\n1, zebra\n2, Apfel\n3, tree, old"
    assert (root / "train" / "_classes.csv").read_text() == expected


@pytest.mark.parametrize("wanted", FORMATS)
def test_ignored_pixels_are_told_of_where_there_are_any(tmp_path: Path, wanted: str) -> None:
    for made, is_told in ((photos(), True), (without_ignored(), False)):
        (tmp_path / str(is_told)).mkdir()
        root = unpacked(tmp_path / str(is_told), wanted, made)
        assert ("ignored pixels" in (root / "README.dataset.txt").read_text()) == is_told
        lists = [*root.glob("train/*.json"), *root.glob("data.yaml"), *root.glob("train/*.csv")]
        assert len(lists) == 1
        assert all(("__ignore__" in path.read_text()) == is_told for path in lists)


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_second_readme_counts_and_says_the_steps(tmp_path: Path, wanted: str) -> None:
    facts = replace(FACTS, steps=("preprocessing grayscale",))
    for each, told in (
        (facts, "Done to the photos:\n- preprocessing grayscale\n"),
        (FACTS, "Noth"),
    ):
        write_zip(tmp_path / "a.zip", wanted, NAMES, photos(), each)
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            said = archive.read("README.roboflow.txt").decode()
        assert said.startswith("Roads v1\nphotos: 6 (test 1, train 4, valid 1)\n")
        assert f"annotated in the format {wanted}\n\n{told}" in said


def test_png_masks_lie_beside_the_photos(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "png-mask-semantic", without_ignored())
    assert (root / "train" / "_classes.csv").read_text() == (
        "Pixel Value, Class\n0, background\n1, zebra\n2, Apfel\n3, tree, old"
    )
    stems = {path.stem for path in (root / "valid").glob("*.png") if "_mask" not in path.stem}
    assert all((root / "valid" / f"{stem}_mask.png").exists() for stem in stems)


def test_coco_has_what_the_official_client_reads(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "coco", without_ignored())
    content = json.loads((root / "train" / "_annotations.coco.json").read_text())
    assert {"info", "licenses", "categories", "images", "annotations"} <= set(content)
    assert content["categories"][0]["supercategory"] == "none"
    assert [entry["name"] for entry in content["categories"][1:]] == list(NAMES[1:])
    for entry in content["annotations"]:
        assert {"id", "image_id", "category_id", "bbox", "area", "iscrowd"} <= set(entry)
        assert entry["area"] > 0
        assert entry["iscrowd"] == 0


def test_the_group_of_coco_is_that_of_the_project(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", "coco", NAMES, photos(), replace(FACTS, group="surface"))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        categories = json.loads(archive.read("train/_annotations.coco.json"))["categories"]
    assert categories[0] == {"id": 0, "name": "surface", "supercategory": "none"}
    assert {entry["supercategory"] for entry in categories[1:]} == {"surface"}


def test_ignored_pixels_are_crowds_in_coco(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "coco")
    content = json.loads((root / "train" / "_annotations.coco.json").read_text())
    ignored = content["categories"][-1]
    assert (ignored["id"], ignored["name"]) == (len(NAMES), "__ignore__")
    crowds = [entry for entry in content["annotations"] if entry["iscrowd"]]
    assert {entry["category_id"] for entry in crowds} == {len(NAMES)}
    assert {entry["area"] for entry in crowds} == {36}


def test_yolo_has_folders_of_images_and_labels(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "yolo-seg", without_ignored())
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


def test_memory_does_not_grow_with_the_annotations(tmp_path: Path) -> None:
    """Of 100,000 photos they are gigabytes."""
    noise = np.random.default_rng(0).integers(0, len(NAMES), (64, 64), dtype=np.uint8)
    one = replace(photo(0), label_map=noise)
    many = (replace(one, digest=f"{number:064x}"[::-1]) for number in range(300))
    tracemalloc.start()
    write_zip(tmp_path / "a.zip", "coco", NAMES, many, FACTS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        size = archive.getinfo("train/_annotations.coco.json").file_size
    assert size > 1_500_000, "too little to tell"
    assert peak < 2 * size  # as objects, as text and as bytes they are more than three times that
