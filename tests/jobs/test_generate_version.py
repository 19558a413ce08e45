from types import ModuleType
from typing import Any

import numpy as np
import pytest

from atrous.domain.errors import BadDataset, DamagedBlob
from atrous.images.decode import decode_image
from atrous.jobs.generate_version import generate_version
from atrous.masks.png import decode_label_map
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.versions import Version


@pytest.fixture
def project(store: Store, dataset_project: ModuleType) -> Project:
    made: Project = dataset_project.fill_project(store)
    return made


def generated(store: Store, project: Project, seed: int = 3, **steps: Any) -> Version:
    version = store.versions.create(project, preprocessing=steps, augmentation={}, seed=seed)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    store.jobs.finish(job.id, "w", generate_version(job, "w", store))
    return store.versions.get(project, version.number)


def labels(store: Store, version: Version) -> list[np.ndarray]:
    return [
        decode_label_map(store.blobs.read(image.label_digest))
        for image in store.versions.images(version)
    ]


def test_without_steps_photos_are_the_originals(
    store: Store, project: Project, dataset_project: ModuleType
) -> None:
    version = generated(store, project, **{"auto-orient": True})
    assert (version.state, version.images) == ("ready", 6)
    assert version.splits == {"train": 5, "valid": 1, "test": 0}
    for number, image in enumerate(store.versions.images(version)):
        assert store.blobs.read(image.image_digest) == dataset_project.picture(number)
        expected = dataset_project.label_map(number)
        assert np.array_equal(labels(store, version)[number], expected)


def test_the_same_steps_and_seed_give_the_same_version(store: Store, project: Project) -> None:
    steps = {"resize": {"width": 16, "height": 16}, "filter-null": {"percent": 100}}
    first, second = generated(store, project, **steps), generated(store, project, **steps)
    assert store.versions.images(first) == store.versions.images(second)
    assert first.images == 5  # one of six shows no class
    assert all(image.height == image.width == 16 for image in store.versions.images(first))


def test_tiles_are_photos_of_their_own(store: Store, project: Project) -> None:
    version = generated(store, project, tile={"rows": 2, "columns": 2})
    assert version.images == 24
    names = [image.name for image in store.versions.images(version)]
    assert names[:2] == ["0_r1c1.png", "0_r1c2.png"]


def test_classes_are_remapped_in_the_version_alone(
    store: Store, project: Project, dataset_project: ModuleType
) -> None:
    version = generated(store, project, remap={"tree": "plant", "road": ""})
    assert version.class_names == ("background", "plant")
    table = np.arange(256, dtype=np.uint8)
    table[1], table[2] = 0, 1
    assert np.array_equal(labels(store, version)[0], table[dataset_project.label_map(0)])
    assert store.projects.class_names(project) == dataset_project.CLASSES


@pytest.mark.parametrize("steps", [{}, {"auto-orient": True}, {"grayscale": True}])
def test_turned_photos_and_their_labels_lie_alike(
    store: Store, project: Project, dataset_project: ModuleType, steps: dict[str, Any]
) -> None:
    """Written upright where a step changes pixels; else the file as it came, with its EXIF."""
    dataset_project.add_picture(store, project, 20, kind="JPEG", orientation=6)
    version = generated(store, project, **steps)
    image = store.versions.images(version)[-1]
    assert (image.height, image.width) == (32, 24)
    data = store.blobs.read(image.image_digest)
    assert decode_image(data).shape[:2] == (32, 24)
    stored = decode_image(data, auto_orient=False).shape[:2]
    assert stored == ((32, 24) if steps else (24, 32))
    assert labels(store, version)[-1].shape == (32, 24)


def test_nothing_left_is_a_failure(store: Store, dataset_project: ModuleType) -> None:
    project = dataset_project.fill_project(store, count=1, slug_name="Empty")
    steps = {"remap": {"road": "", "tree": ""}, "filter-null": {"percent": 100}}
    with pytest.raises(BadDataset, match="leave no image"):
        generated(store, project, **steps)
    assert store.versions.get(project, 1).state == "generating"


def test_a_damaged_photo_stops_it(store: Store, project: Project) -> None:
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    digest = store.versions.sources(version)[0].image_digest
    path = next(store.home.blobs.rglob(digest))
    path.write_bytes(path.read_bytes()[:-1])
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    with pytest.raises(DamagedBlob):
        generate_version(job, "w", store)
    assert store.versions.images(version) == []
