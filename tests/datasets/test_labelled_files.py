import io
import json

import numpy as np
import pytest
from PIL import Image

from atrous.datasets import labelled_files
from atrous.datasets.labelled_files import FoundLabel, LabelledFiles
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

SIZE = Size(4, 4)
LEFT_HALF = "0 0 0 0.5 0 0.5 1 0 1"


def mask(*values: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.resize(np.array(values, np.uint8), (4, 4))).save(buffer, "PNG")
    return buffer.getvalue()


def coco(*photos: str, name: str = "road") -> bytes:
    square = [[0, 0, 4, 0, 4, 2, 0, 2]]
    images = [{"id": n, "file_name": photo} for n, photo in enumerate(photos)]
    annotations = [
        {"id": n, "image_id": n, "category_id": 1, "segmentation": square}
        for n in range(len(photos))
    ]
    categories = [{"id": 1, "name": name}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content).encode()


def labels_in(files: dict[str, bytes], project_classes=("background",)):
    """The label of each photo, and the faults of other files."""

    def read(path: str) -> bytes:
        return files[path]

    found = LabelledFiles(files, read, project_classes)
    labels = {photo.path: found.label_of(photo, SIZE) for photo in found.files.photos}
    return labels, {fault.file: fault.message for fault in found.faults}


def test_masks_have_the_classes_of_the_nearest_list() -> None:
    labels, faults = labels_in(
        {
            "train/a.jpg": b"",
            "train/a_mask.png": mask(0, 1, 2, 255),
            "train/_classes.csv": b"Pixel Value, Class\n0, background\n1, road\n2, tree",
            "images/b.jpg": b"",
            "masks/b.png": mask(0, 1),
            "classes.txt": b"sky\nroad\n",
        }
    )
    assert labels["train/a.jpg"].class_names == ("background", "road", "tree")
    assert labels["train/a.jpg"].label_map[0].tolist() == [0, 1, 2, 255]
    assert labels["images/b.jpg"].class_names == ("background", "sky", "road")
    assert labels["images/b.jpg"].label_map[0].tolist() == [1, 2, 1, 2]
    assert not faults


def test_masks_without_a_list_have_the_projects_classes() -> None:
    files = {"a.jpg": b"", "a_mask.png": mask(0, 1, 255)}
    labels, _ = labels_in(files, ("background", "road"))
    assert labels["a.jpg"].class_names == ("background", "road")
    with pytest.raises(BadDataset, match=r"a_mask.png: the mask has the values \[1\]"):
        labels_in(files)


def test_yolo_has_the_names_of_the_nearest_list() -> None:
    labels, faults = labels_in(
        {
            "data.yaml": b"names: [tree]",
            "train/images/a.jpg": b"",
            "train/labels/a.txt": LEFT_HALF.encode(),
            "other/classes.txt": b"road",
            "other/images/b.jpg": b"",
            "other/labels/b.txt": b"",
            "c.jpg": b"",
        }
    )
    assert labels["train/images/a.jpg"].class_names == ("background", "tree")
    assert labels["train/images/a.jpg"].label_map[0].tolist() == [1, 1, 0, 0]
    assert labels["other/images/b.jpg"].class_names == ("background", "road")
    assert labels["c.jpg"] is None
    assert not faults


def test_a_file_over_many_photos_is_that_of_the_own_folder() -> None:
    labels, faults = labels_in(
        {
            "train/a.jpg": b"",
            "valid/a.jpg": b"",
            "train/_annotations.coco.json": coco("a.jpg", "gone.jpg"),
            "valid/_annotations.coco.json": coco("a.jpg", name="tree"),
            "broken.json": b"{",
        }
    )
    assert labels["train/a.jpg"].class_names == ("background", "road")
    assert labels["valid/a.jpg"].class_names == ("background", "tree")
    assert labels["valid/a.jpg"].label_map[:, 0].tolist() == [1, 1, 0, 0]
    assert list(faults) == ["broken.json"]


def test_a_file_in_another_folder_lists_photos_too() -> None:
    labels, _ = labels_in(
        {
            "annotations/all.json": coco("train/a.jpg", "b.jpg"),
            "images/train/a.jpg": b"",
            "x.png": b"",
        }
    )
    found = labels["images/train/a.jpg"]
    assert isinstance(found, FoundLabel)
    assert found.file == "annotations/all.json"
    assert labels["x.png"] is None


@pytest.mark.parametrize(
    "layout",
    [
        "annotations/instances_{}2017.json {}2017/0001.jpg",
        "annotations/{}.json images/{}/0001.jpg",
        "{}/annotations/instances_default.json {}/images/0001.jpg",
        "annotations/{}/all.json images/{}/0001.jpg",
        "coco_{}.json {}/0001.jpg",
    ],
)
@pytest.mark.parametrize("splits", [("train", "val"), ("cam1", "cam2")])
def test_numbers_may_begin_anew_in_each_folder(layout: str, splits: tuple[str, str]) -> None:
    layout = layout if splits[0] == "train" else layout.replace("2017", "")
    pairs = [layout.format(split, split).split() for split in splits]
    files = {photo: b"" for _, photo in pairs}
    for split, (annotations, _) in zip(splits, pairs, strict=True):
        files[annotations] = coco("0001.jpg", name=f"class of {split}")
    labels, faults = labels_in(files)
    for split, (annotations, photo) in zip(splits, pairs, strict=True):
        assert labels[photo].file == annotations
        assert labels[photo].class_names == ("background", f"class of {split}")
    assert not faults


def test_a_photo_never_has_the_label_of_another_split() -> None:
    labels, faults = labels_in(
        {
            "train2017/0001.jpg": b"",
            "val2017/0001.jpg": b"",
            "annotations/instances_train2017.json": coco("0001.jpg"),
            "annotations/instances_val2017.json": b"{",
        }
    )
    assert labels["train2017/0001.jpg"] is not None
    assert labels["val2017/0001.jpg"] is None
    assert list(faults) == ["annotations/instances_val2017.json"]


def test_folders_in_a_file_tell_photos_of_one_name_apart() -> None:
    labels, _ = labels_in(
        {
            "all.json": coco("cam1/1.jpg", "cam2/1.jpg").replace(
                b'"image_id": 1, "category_id": 1', b'"image_id": 0, "category_id": 1'
            ),
            "images/cam1/1.jpg": b"",
            "images/cam2/1.jpg": b"",
        }
    )
    assert labels["images/cam1/1.jpg"].label_map.max() == 1
    assert labels["images/cam2/1.jpg"].label_map.max() == 0


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.json": coco("1.jpg"), "b.json": coco("1.jpg")}, "x/1.jpg: a.json, b.json list this"),
        ({"a.json": coco("cam1/1.jpg", "cam2/1.jpg")}, "a.json lists 'x/1.jpg' more than once"),
    ],
)
def test_a_photo_that_is_listed_twice_has_a_fault_of_its_own(
    files: dict[str, bytes], said: str
) -> None:
    there = {**files, "x/1.jpg": b"", "x/2.jpg": b""}
    found = LabelledFiles(there, lambda path: there[path])
    twice, other = found.files.photos
    with pytest.raises(BadDataset, match=said):
        found.label_of(twice, SIZE)
    assert found.label_of(other, SIZE) is None
    assert found.faults == []


def test_numbers_that_can_not_be_read_spoil_no_other_photo() -> None:
    long = b"1" * 5000
    labels, faults = labels_in(
        {
            "a.jpg": b"",
            "a_mask.png": mask(0),
            "b.jpg": b"",
            "b.txt": b"",
            "_classes.csv": b"Pixel Value, Class\n" + long + b", cat",
            "data.yaml": b"names:\n  " + long + b": road",
            "all.json": coco("c.jpg").replace(b'"id": 0', b'"id": 1e999'),
        }
    )
    assert labels["a.jpg"].label_map.max() == 0
    assert labels["b.jpg"].label_map.max() == 0
    assert set(faults) == {"_classes.csv", "data.yaml", "all.json"}


def test_faults_are_of_their_file() -> None:
    files = {"a.jpg": b"", "a.txt": b"\xff\xfe", "a_mask.png": b"x", "b.jpg": b"", "b.xml": b"<a/>"}
    found = LabelledFiles(files, lambda path: files[path])
    for photo, said in zip(found.files.photos, ("label", "b.xml is XML of <a>"), strict=True):
        with pytest.raises(Exception, match=said):
            found.label_of(photo, SIZE)


def test_masks_are_as_large_as_their_photos(low_pixel_limit: None, monkeypatch) -> None:
    monkeypatch.setattr(labelled_files, "MAX_PIXELS", 1)
    labels, _ = labels_in({"a.jpg": b"", "a_mask.png": mask(0)})
    assert labels["a.jpg"].label_map.shape == (4, 4)
