import pytest

from atrous.datasets.label_files import PhotoFiles, distance, match_label_files, nearest


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
        ("train/p.png", "train/p_mask.png", None),  # a stem that the ending has too
        ("x/g.jpg", "x/g_mask.png", None),
        ("n.png", "n_mask.png", None),
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


@pytest.mark.parametrize(
    ("photo", "by_distance"),
    [
        ("images/a/1.jpg", ["images/a/x.json", "images/x.json", "x.json", "images/b/x.json"]),
        ("a/1.jpg", ["_annotations.coco.json", "instances.json", "instances_x.json", "x.json"]),
        ("val2017/1.jpg", ["l/instances_val2017.json", "l/person_val2017.json", "l/all.json"]),
        ("images/validation/1.jpg", ["l/val.json", "l/val_of_may.json", "l/all.json"]),
        ("a/1.jpg", ["l/a.json", "l/coco-a.json", "l/b.json", "l/old/b.json"]),
        ("a/images/1.jpg", ["a/l/x.json", "b/l/x.json"]),
    ],
)
def test_files_over_many_photos_are_nearer_or_farther(photo: str, by_distance: list[str]) -> None:
    distances = [distance(file, photo) for file in by_distance]
    assert None not in distances
    assert sorted(set(distances)) == distances


@pytest.mark.parametrize(
    ("file", "is_of_another"),
    [
        ("annotations/instances_train2017.json", True),
        ("train/_annotations.coco.json", True),
        ("test/labels/all.json", True),
        ("trainval.json", False),
        ("train_and_val.json", False),
        ("training.json", False),
    ],
)
def test_a_file_is_of_the_split_that_it_is_called_by(file: str, is_of_another: bool) -> None:
    assert (distance(file, "valid/1.jpg") is None) == is_of_another
    assert distance(f"train/{file}", "train/valid.jpg") is not None


def test_the_nearest_file_above() -> None:
    there = {"classes.txt", "train/_classes.csv"}
    assert nearest(("_classes.csv", "classes.txt"), "train/labels", there) == "train/_classes.csv"
    assert nearest(("_classes.csv", "classes.txt"), "valid", there) == "classes.txt"
    assert nearest(("x",), "valid", there) is None
