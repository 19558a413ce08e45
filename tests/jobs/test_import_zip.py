from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from atrous.datasets.zip_exports import ExportFacts, write_zip
from atrous.domain.errors import BadDataset, DiskFull
from atrous.images.draw import encode_png
from atrous.jobs.export_version import exported_photos
from atrous.jobs.generate_version import generate_version
from atrous.jobs.import_zip import import_zip
from atrous.masks.png import decode_label_map, encode_label_map
from atrous.store.image_search import ImageQuery
from atrous.store.images import Image, Images, NewImage
from atrous.store.jobs import Job
from atrous.store.labels import Labels, NewLabel
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.zip_imports import IMPORT, ImportWishes

OF_HALF_A_LETTER = (
    b'{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], '
    b'"categories": [{"id": 1, "name": "\\ud800"}]}'
)
CLASSES = b"Pixel Value, Class\n0, background\n1, road\n2, tree"


@pytest.fixture
def target(store: Store) -> Project:
    workspace = store.workspaces.default()
    return store.projects.create(
        workspace.id, "Target", kind="semantic-segmentation", annotation="x"
    )


def claimed(store: Store, project: Project, data: bytes, **wishes) -> Job:
    known = {"split": None, "batch": "zip", "tags": ("t",), "overwrite": False, **wishes}
    job = store.zip_imports.announce(project, ImportWishes(**known))
    store.zip_imports.start(job.id, store.blobs.put(data))
    found = store.jobs.claim("w", [IMPORT])
    assert found is not None
    return found


def labels_of(store: Store, project: Project) -> dict[str, tuple[str, np.ndarray | None]]:
    """Split and label map of each photo, by name."""
    found = {}
    for image in store.image_search.find(project, ImageQuery()).images:
        label = store.labels.get(image)
        mask = decode_label_map(store.blobs.read(label.digest)) if label else None
        found[image.name] = (image.split, mask)
    return found


@pytest.mark.parametrize("kind", ["png-mask-semantic", "coco", "yolo-seg"])
def test_an_export_comes_back_as_it_was(
    store: Store, target: Project, dataset_project: ModuleType, tmp_path: Path, kind: str
) -> None:
    version = store.versions.create(
        dataset_project.fill_project(store), preprocessing={}, augmentation={}, seed=0
    )
    made = store.jobs.claim("w", ["generate"])
    assert made is not None
    generate_version(made, "w", store)
    frozen = store.versions.by_id(version.workspace_id, version.id)
    photos = exported_photos(store.blobs, store.versions.images(frozen), lambda: None)
    facts = ExportFacts("Roads v1", "2026-01-01")
    write_zip(tmp_path / "a.zip", kind, frozen.class_names, photos, facts)

    result = import_zip(claimed(store, target, (tmp_path / "a.zip").read_bytes()), "w", store)
    assert (result["images"], result["labels"], result["faultCount"]) == (6, 6, 0)
    assert store.projects.class_names(target) == dataset_project.CLASSES
    found = {int(name.partition("_")[0]): kept for name, kept in labels_of(store, target).items()}
    for number, (split, mask) in found.items():
        assert np.array_equal(mask, dataset_project.label_map(number))
        assert split == ("valid" if number == 5 else "train")


def test_what_is_broken_is_told_and_the_rest_imported(
    store: Store, target: Project, dataset_project: ModuleType, zipped
) -> None:
    pictures = [dataset_project.picture(number) for number in range(4)]
    mask = encode_label_map(np.ones(dataset_project.SIZE, np.uint8))
    files = {
        "test/_classes.csv": CLASSES,
        "test/good.png": pictures[0],
        "test/good_mask.png": mask,
        "test/cut.png": pictures[1][:-30],
        "test/small.png": pictures[2],
        "test/small_mask.png": encode_label_map(np.ones((2, 2), np.uint8)),
        "test/lonely_mask.png": mask,
        "plain.png": pictures[3],
        "notes.json": b"[]",
    }
    job = claimed(store, target, zipped(files))
    result = import_zip(job, "w", store)
    assert {fault["file"] for fault in result["faults"]} == {
        "test/cut.png",
        "test/small_mask.png",
        "test/lonely_mask.png",
        "notes.json",
    }
    counts = {"images": 3, "duplicates": 0, "labels": 1, "unlabelled": 2, "faultCount": 4}
    assert {key: result[key] for key in counts} == counts
    labels = labels_of(store, target)
    assert labels["good.png"][0] == "test"
    assert labels["plain.png"][0] == "train"
    again = import_zip(job, "w", store)  # as after a crash in the middle
    assert (again["images"], again["duplicates"], again["labels"]) == (0, 3, 1)
    assert list(store.home.cache.glob("import-*")) == []


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("a/classes.txt", b"background\nroad\nroad\n", "given twice: road"),
        ("a/classes.txt", "".join(f"c{n}\n" for n in range(256)).encode(), "257 classes"),
        ("a/_annotations.coco.json", OF_HALF_A_LETTER, "class name '\\ud800'"),
    ],
)
def test_one_bad_list_of_classes_spoils_its_own_photo_alone(
    store: Store,
    target: Project,
    dataset_project: ModuleType,
    zipped,
    file: str,
    content: bytes,
    said: str,
) -> None:
    mask = encode_label_map(np.ones(dataset_project.SIZE, np.uint8))
    files = {"a/a.png": dataset_project.picture(0), file: content}
    if file.endswith(".txt"):
        files["a/a_mask.png"] = mask
    files |= {"b/_classes.csv": CLASSES, "b/b_mask.png": mask}
    data = zipped({**files, "b/b.png": dataset_project.picture(1)})
    result = import_zip(claimed(store, target, data), "w", store)
    assert (result["images"], result["labels"]) == (2, 1)
    (fault,) = result["faults"]
    assert said in fault["message"]


def test_a_photo_that_two_files_list_has_a_fault_and_no_label(
    store: Store, target: Project, dataset_project: ModuleType, zipped
) -> None:
    listing = (
        b'{"images": [{"id": 1, "file_name": "1.png"}], "annotations": [], '
        b'"categories": [{"id": 1, "name": "road"}]}'
    )
    names = ("train.json", "val.json", "test/one.json", "test/other.json")
    files = dict.fromkeys(names, listing)
    pictures = {
        f"{folder}/1.png": dataset_project.picture(number)
        for number, folder in enumerate(("train", "val", "test"))
    }
    result = import_zip(claimed(store, target, zipped({**files, **pictures})), "w", store)
    assert (result["images"], result["labels"], result["unlabelled"]) == (3, 2, 1)
    (fault,) = result["faults"]
    assert fault["file"] == "test/1.png"
    assert fault["message"].startswith("test/one.json, test/other.json list this photo")


def test_a_photo_removed_meanwhile_is_a_fault_of_its_own(
    store: Store, target: Project, dataset_project: ModuleType, zipped, monkeypatch
) -> None:
    save = Labels.save

    def save_too_late(self: Labels, image: Image, new: NewLabel, **wishes) -> None:
        if image.name == "a.png":
            store.images.remove(target, [image.id])
        save(self, image, new, **wishes)

    monkeypatch.setattr(Labels, "save", save_too_late)
    mask = encode_label_map(np.ones(dataset_project.SIZE, np.uint8))
    files = {"_classes.csv": CLASSES, "a_mask.png": mask, "b_mask.png": mask}
    pictures = {f"{name}.png": dataset_project.picture(n) for n, name in enumerate("ab")}
    result = import_zip(claimed(store, target, zipped({**files, **pictures})), "w", store)
    assert [fault["file"] for fault in result["faults"]] == ["a_mask.png"]
    assert result["labels"] == 1


def test_the_limit_on_pixels_is_the_servers(store: Store, target: Project, zipped) -> None:
    small, large = (encode_png(np.zeros((4, width, 3), np.uint8)) for width in (4, 5))
    data = zipped({"small.png": small, "large.png": large})
    result = import_zip(claimed(store, target, data, max_pixels=16), "w", store)
    assert result["images"] == 1
    (fault,) = result["faults"]
    assert fault["file"] == "large.png"
    assert "at most 16" in fault["message"]


def test_split_batch_tags_and_labels_that_are_there(
    store: Store, target: Project, dataset_project: ModuleType, zipped
) -> None:
    def files(value: int) -> bytes:
        mask = encode_label_map(np.full(dataset_project.SIZE, value, np.uint8))
        picture = dataset_project.picture(0)
        return zipped({"_classes.csv": CLASSES, "train/a.png": picture, "train/a_mask.png": mask})

    import_zip(claimed(store, target, files(1), split="valid"), "w", store)
    image = store.image_search.find(target, ImageQuery()).images[0]
    assert (image.split, image.tags, image.in_dataset) == ("valid", ("t",), True)
    assert store.images.batches(target)[0].name == "zip"
    kept = import_zip(claimed(store, target, files(2)), "w", store)
    assert "already annotated" in kept["faults"][0]["message"]
    assert labels_of(store, target)["a.png"][1].max() == 1
    import_zip(claimed(store, target, files(2), overwrite=True), "w", store)
    assert labels_of(store, target)["a.png"][1].max() == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [({"a.txt": b"x"}, "no photos"), ({"a.jpg": b"x"}, "no photo of the zip could be read")],
)
def test_zips_of_which_nothing_comes(
    store: Store, target: Project, files, said: str, zipped
) -> None:
    with pytest.raises(BadDataset, match=said):
        import_zip(claimed(store, target, zipped(files)), "w", store)


def test_a_disk_that_becomes_full_keeps_what_is_there(
    store: Store, target: Project, zipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        f"{number}.png": encode_png(np.full((4, 5, 3), number, np.uint8)) for number in (1, 2, 3)
    }
    job = claimed(store, target, zipped(files))
    add = Images.add

    def add_two(self: Images, project: Project, new: NewImage) -> tuple[Image, bool]:
        if new.name == "3.png":
            raise DiskFull("the disk is full, so that nothing was stored")
        return add(self, project, new)

    with monkeypatch.context() as full:
        full.setattr(Images, "add", add_two)
        with pytest.raises(DiskFull, match="2 of 3 photos are stored and stay") as told:
            import_zip(job, "w", store)
    assert "nothing" not in str(told.value)
    again = import_zip(claimed(store, target, zipped(files)), "w", store)
    assert (again["images"], again["duplicates"]) == (1, 2)
