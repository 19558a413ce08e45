import pytest

from atrous.datasets.label_files import PhotoFiles, match_label_files, nearest


def matched(*paths: str) -> dict[str, tuple[str | None, str | None]]:
    files = match_label_files(paths)
    return {photo.path: (photo.mask, photo.text) for photo in files.photos}


@pytest.mark.parametrize(
    ("photo", "mask", "text"),
    [
        ("train/a.jpg", "train/a_mask.png", None),
        ("train/a.jpg", None, "train/a.xml"),
        ("a.jpg", None, "a.json"),
        ("train/images/a.jpg", None, "train/labels/a.txt"),
        ("images/train/a.jpg", "masks/train/a.png", None),
        ("images/a.b.jpg", "masks/a.b_label.png", None),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", "Annotations/a.xml"),
        ("train/a.png", "trainannot/a.png", None),
    ],
)
def test_labels_are_found_by_their_names(photo: str, mask: str | None, text: str | None) -> None:
    labels = [path for path in (mask, text) if path]
    assert matched(photo, *labels, "other.txt") == {photo: (mask, text)}


def test_masks_are_no_photos() -> None:
    paths = ("train/_classes.csv", "train/a.jpg", "train/a_mask.png", "train/b_mask.png")
    files = match_label_files(paths)
    assert [photo.path for photo in files.photos] == ["train/a.jpg"]
    assert files.lonely == ("train/b_mask.png",)
    alone = match_label_files(("b_mask.png",))  # nothing says that it is a mask
    assert [photo.path for photo in alone.photos] == ["b_mask.png"]


def test_files_over_many_photos_and_what_systems_leave() -> None:
    files = match_label_files(
        ("a.jpg", "_annotations.coco.json", "b/annotations.xml", ".x.json", "__MACOSX/a.jpg")
    )
    assert files.shared == ("_annotations.coco.json", "b/annotations.xml")
    assert len(files.photos) == 1


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/a.jpg", "train"),
        ("x/Val2017/a.jpg", "valid"),
        ("images/validation/a.jpg", "valid"),
        ("test/images/a.jpg", "test"),
        ("training/a.jpg", None),
        ("train.jpg", None),
    ],
)
def test_splits_are_folders(path: str, split: str | None) -> None:
    assert PhotoFiles(path).split == split


def test_the_nearest_file_above() -> None:
    there = {"classes.txt", "train/_classes.csv"}
    assert nearest(("_classes.csv", "classes.txt"), "train/labels", there) == "train/_classes.csv"
    assert nearest(("_classes.csv", "classes.txt"), "valid", there) == "classes.txt"
    assert nearest(("x",), "valid", there) is None
