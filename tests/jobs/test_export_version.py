import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from atrous.datasets.check import check_dataset
from atrous.datasets.detect import open_dataset
from atrous.datasets.zip_exports import FORMATS
from atrous.domain.errors import Conflict
from atrous.jobs.export_version import export_version, facts_of
from atrous.jobs.generate_version import generate_version
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.versions import Version


@pytest.fixture
def project(store: Store, dataset_project: ModuleType) -> Project:
    made: Project = dataset_project.fill_project(store)
    return made


@pytest.fixture
def version(store: Store, project: Project) -> Version:
    made = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    generate_version(job, "w", store)
    return store.versions.get(project, made.number)


def exported(store: Store, version: Version, wanted: str, folder: Path) -> Path:
    store.exports.request(version, wanted)
    job = store.jobs.claim("w", ["export"])
    assert job is not None
    result = export_version(job, "w", store)
    blob = store.exports.request(version, wanted).blob
    assert blob is not None
    assert result == {"digest": blob.digest, "size_bytes": blob.size_bytes}
    (folder / "a.zip").write_bytes(store.blobs.read(blob.digest))
    with zipfile.ZipFile(folder / "a.zip") as archive:
        archive.extractall(folder / wanted)
    return folder / wanted


@pytest.mark.parametrize("wanted", FORMATS)
def test_an_export_reads_back_to_the_masks(
    store: Store, version: Version, dataset_project: ModuleType, tmp_path: Path, wanted: str
) -> None:
    root = exported(store, version, wanted, tmp_path)
    dataset = open_dataset(root)
    assert dataset.classes.names == dataset_project.CLASSES
    assert check_dataset(dataset).faults == ()
    samples = {
        int(sample.name.partition("_")[0]): sample
        for split in dataset.splits.values()
        for sample in split
    }
    assert sorted(samples) == list(range(6))
    for number, sample in samples.items():
        expected = dataset_project.label_map(number)
        assert np.array_equal(sample.read_label_map(), expected)
        assert sample.image.read_bytes() == dataset_project.picture(number)


def test_nothing_is_left_beside(store: Store, version: Version, tmp_path: Path) -> None:
    exported(store, version, "coco", tmp_path)
    assert list(store.home.cache.glob("export-*")) == []


def test_a_version_that_is_not_made_is_refused(store: Store, project: Project) -> None:
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    store.exports.request(version, "coco")
    job = store.jobs.claim("w", ["export"])
    assert job is not None
    with pytest.raises(Conflict, match="generating"):
        export_version(job, "w", store)
    assert facts_of(project, version).title == "Roads v1"


def test_what_is_said_of_a_version(store: Store, project: Project) -> None:
    version = store.versions.create(
        project, preprocessing={"grayscale": True}, augmentation={}, seed=0
    )
    facts = facts_of(project, version)
    assert (facts.title, facts.group) == ("Roads v1", project.annotation)
    assert facts.steps == ("preprocessing grayscale",)


def test_labels_that_were_let_in_are_read_whatever_the_limit_is(
    store: Store, version: Version, tmp_path: Path, low_pixel_limit: None
) -> None:
    root = exported(store, version, "png-mask-semantic", tmp_path)
    assert len(list(root.glob("*/*_mask.png"))) == 6
