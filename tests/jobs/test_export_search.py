import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from atrous.datasets.detect import open_dataset
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.jobs.dataset_child import run
from atrous.store.blobs import Blobs
from atrous.store.image_search import ImageQuery
from atrous.store.images import NewImage
from atrous.store.label_maps import store_label_map
from atrous.store.opening import Store
from atrous.store.photo_files import store_photo
from atrous.store.projects import Project, Projects


@pytest.fixture
def project(store: Store, dataset_project: ModuleType) -> Project:
    """Labelled pictures, and one that nobody has labelled."""
    made: Project = dataset_project.fill_project(store, count=3)
    photo = store_photo(dataset_project.picture(99), store.blobs, max_pixels=10_000)
    new = NewImage(
        name="plain.png",
        digest=photo.digest,
        thumb_digest=photo.thumb_digest,
        media_type=photo.media_type,
        size_bytes=photo.size_bytes,
        height=photo.size.height,
        width=photo.size.width,
        split="train",
        batch="b",
        tags=("rain",),
    )
    store.images.add(made, new)
    return made


def exported(store: Store, project: Project, query: ImageQuery, folder: Path) -> Path:
    store.search_exports.request(project, query, "png-mask-semantic", "Found")
    job = store.jobs.claim("w", ["export-search"])
    assert job is not None
    result = run(job, "w", store)
    (folder / "a.zip").write_bytes(store.blobs.read(result["digest"]))
    with zipfile.ZipFile(folder / "a.zip") as archive:
        archive.extractall(folder / "out")
    return folder / "out"


def test_all_that_is_found_is_in_the_zip(
    store: Store, project: Project, dataset_project: ModuleType, tmp_path: Path
) -> None:
    root = exported(store, project, ImageQuery(), tmp_path)
    assert "photos without a label: 1" in (root / "README.dataset.txt").read_text()
    dataset = open_dataset(root)
    samples = {
        sample.image.name.partition("_png")[0]: sample
        for split in dataset.splits.values()
        for sample in split
    }
    assert len(samples) == 4
    assert (samples["plain"].read_label_map() == 255).all()
    masks = {sample.read_label_map().tobytes() for sample in samples.values()}
    for number in range(3):
        assert np.ascontiguousarray(dataset_project.label_map(number)).tobytes() in masks


def test_the_query_chooses(store: Store, project: Project, tmp_path: Path) -> None:
    root = exported(store, project, ImageQuery(tag="rain", limit=1), tmp_path)
    assert [path.name[:5] for path in root.glob("*/*_mask.png")] == ["plain"]
    with pytest.raises(BadInput, match="finds no photo"):
        exported(store, project, ImageQuery(tag="snow"), tmp_path)


@pytest.mark.parametrize("when", ["first photo", "names"])
def test_a_class_that_comes_meanwhile_is_no_ignored_one(
    store: Store,
    project: Project,
    dataset_project: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """A photo is labelled anew, with a new class, while the export runs."""
    image = store.image_search.find_all(project, ImageQuery(tag="rain"))[0]
    names = ("background", "brand new")

    def label_anew() -> None:
        label_map = np.ones((image.height, image.width), np.uint8)
        new = store_label_map(store.projects, store.blobs, project, label_map, names, "new.png")
        store.labels.save(image, new, overwrite=True)

    read_names, read_blob = type(store.projects).class_names, store.blobs.read

    def names_read(projects: Projects, of: Project) -> tuple[str, ...]:
        found = read_names(projects, of)
        if when == "names":
            label_anew()
        return found

    def blob_read(blobs: Blobs, digest: str) -> bytes:
        if when == "first photo":
            label_anew()
        return read_blob(digest)

    monkeypatch.setattr(Projects, "class_names", names_read)
    monkeypatch.setattr(Blobs, "read", blob_read)
    root = exported(store, project, ImageQuery(), tmp_path)
    dataset = open_dataset(root)
    for sample in (sample for split in dataset.splits.values() for sample in split):
        shown = sample.read_label_map()
        assert not sample.label.unknown_ids(Size(*shown.shape))
        if sample.image.name.startswith("plain"):
            assert (shown == 255).all()  # as it was when the export began


def test_labels_that_were_let_in_are_read_whatever_the_limit_is(
    store: Store, project: Project, tmp_path: Path, low_pixel_limit: None
) -> None:
    root = exported(store, project, ImageQuery(), tmp_path)
    assert len(list(root.glob("*/*_mask.png"))) == 4
