from types import ModuleType
from typing import Any

import numpy as np
import pytest

from atrous.datasets import regions
from atrous.domain.errors import BadDataset, DamagedBlob, NotFound
from atrous.images.decode import decode_image
from atrous.jobs import generate_version as generate_module
from atrous.jobs.generate_version import generate_version
from atrous.masks.png import decode_label_map
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.versions import Version

EVERYTHING = {
    "image": {"versions": 3},
    "flip": {"horizontal": True, "vertical": True},
    "rotate": {"degrees": 20},
    "hue": {"degrees": 90},
    "noise": {"percent": 10},
    "cutout": {"count": 2, "percent": 20},
    "mosaic": True,
}


@pytest.fixture
def project(store: Store, dataset_project: ModuleType) -> Project:
    made: Project = dataset_project.fill_project(store)
    return made


def generated(
    store: Store,
    project: Project,
    seed: int = 3,
    augmentation: dict[str, Any] | None = None,
    **steps: Any,
) -> Version:
    version = store.versions.create(
        project, preprocessing=steps, augmentation=augmentation or {}, seed=seed
    )
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
    whole = store.versions.get(project, version.number)
    assert whole.splits == {"train": 20, "valid": 4, "test": 0}


def test_only_photos_to_train_on_are_multiplied(store: Store, project: Project) -> None:
    plain = generated(store, project)
    version = generated(store, project, augmentation=EVERYTHING)
    assert version.splits == {"train": 15, "valid": 1, "test": 0}
    images = store.versions.images(version)
    assert [image.name for image in images[:3]] == ["0.png", "0_a2.png", "0_a3.png"]
    unchanged = [image for image in images if "_a" not in image.name]
    assert unchanged == store.versions.images(plain)
    assert len({image.image_digest for image in images}) == 16


def test_generated_twice_a_version_is_the_same_to_the_byte(store: Store, project: Project) -> None:
    first, second, other = (
        generated(store, project, seed=seed, augmentation=EVERYTHING) for seed in (5, 5, 6)
    )
    assert store.versions.images(first) == store.versions.images(second)
    assert store.versions.images(first) != store.versions.images(other)


def test_other_photos_do_not_change_what_becomes_of_one(
    store: Store, project: Project, dataset_project: ModuleType
) -> None:
    """But for mosaics, which take parts of them."""
    alone = {name: value for name, value in EVERYTHING.items() if name != "mosaic"}
    before = store.versions.images(generated(store, project, augmentation=alone))
    dataset_project.add_picture(store, project, 30)
    after = store.versions.images(generated(store, project, augmentation=alone))
    assert len(after) == len(before) + 3
    assert [image for image in after if not image.name.startswith("30")] == before


def test_it_goes_on_where_it_was_killed(
    store: Store, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.versions.images(generated(store, project, augmentation=EVERYTHING))
    monkeypatch.setattr(generate_module, "ROWS_AT_ONCE", 1)
    version = store.versions.create(project, preprocessing={}, augmentation=EVERYTHING, seed=3)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    done = 0

    def fail_later(making: Any, source: Any) -> Any:
        nonlocal done
        done += 1
        if done > 3:
            raise KeyboardInterrupt
        return make(making, source)

    make = generate_module._make
    monkeypatch.setattr(generate_module, "_make", fail_later)
    monkeypatch.setattr(generate_module.os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        generate_version(job, "w", store)
    assert store.versions.images(version) == []
    recorded = len(store.versions.made_places(version))
    assert 0 < recorded < len(whole)
    again: list[str] = []
    monkeypatch.setattr(
        generate_module, "_make", lambda making, one: again.append(one.name) or make(making, one)
    )
    generate_version(job, "w", store)
    assert len(again) == 6 - recorded // 3
    assert store.versions.images(store.versions.get(project, version.number)) == whole


def test_photos_without_classes_are_left_out_before_they_are_multiplied(
    store: Store, project: Project
) -> None:
    steps = {"filter-null": {"percent": 100}, "tile": {"rows": 2, "columns": 1}}
    version = generated(store, project, augmentation=EVERYTHING, **steps)
    assert version.splits == {"train": 2 * 4 * 3, "valid": 2, "test": 0}
    version = generated(store, project, **{"filter-null": {"percent": 100}})
    assert [image.name for image in store.versions.images(version)] == [
        f"{number}.png" for number in (0, 1, 2, 3, 5)
    ]


def test_regions_of_classes_are_photos_of_their_own(
    store: Store, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "MIN_PIXELS", 5)
    version = generated(store, project, isolate=True)
    assert version.images > 6
    for label in labels(store, version):
        assert (label % 255 > 0).any()


def test_long_names_keep_their_ending(store: Store, project: Project) -> None:
    assert generate_module._named("n" * 296 + ".jpg", "_a2") == "n" * 293 + "_a2.jpg"
    assert generate_module._named("photo", "_r1c1") == "photo_r1c1"


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
    with pytest.raises(DamagedBlob, match="the photo '"):
        generate_version(job, "w", store)
    assert store.versions.images(version) == []


def test_a_lost_photo_is_named(store: Store, project: Project) -> None:
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    lost = store.versions.sources(version)[0]
    next(store.home.blobs.rglob(lost.image_digest)).unlink()
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    with pytest.raises(NotFound, match=f"the photo '{lost.name}' can't be read"):
        generate_version(job, "w", store)


def test_photos_that_were_let_in_are_read_whatever_the_limit_is(
    store: Store, project: Project, low_pixel_limit: None
) -> None:
    augmented = {"image": {"versions": 2}, "mosaic": True}
    version = generated(store, project, augmentation=augmented, **{"auto-orient": True})
    assert version.images == 11
