import threading
from dataclasses import replace

import pytest

from atrous.domain.errors import BadInput, NotFound
from atrous.store import Store
from atrous.store.projects import Project
from atrous.store.versions import GENERATE, TagFilter, Version

SETTINGS = {"preprocessing": {"auto-orient": True}, "augmentation": {}, "seed": 7}


@pytest.fixture
def filled(store: Store, project: Project, add_image, add_labelled) -> Project:
    store.projects.number_classes(project, ["road", "tree"])
    add_image(project, 1)  # without a label
    add_labelled(project, 2, [1])
    add_labelled(project, 3, [2], split="valid")
    return project


def test_a_version_freezes_the_labelled_photos(store: Store, filled: Project) -> None:
    version = store.versions.create(filled, **SETTINGS)
    assert (version.number, version.state, version.images) == (1, "generating", 2)
    assert version.splits == {"train": 1, "valid": 1, "test": 0}
    assert version.class_names == ("background", "road", "tree")
    assert (version.seed, version.preprocessing) == (7, {"auto-orient": True})
    frozen = store.versions.sources(version)
    assert [(image.name, image.split) for image in frozen] == [
        ("photo_002.jpg", "train"),
        ("photo_003.jpg", "valid"),
    ]
    assert frozen[0].image_digest == f"{2:064x}"
    assert frozen[0].label_digest == f"{10_002:064x}"
    assert store.versions.images(version) == []


def test_a_version_stays_as_it_was(store: Store, filled: Project, add_labelled) -> None:
    version = store.versions.create(filled, **SETTINGS)
    before = store.versions.sources(version)
    store.images.remove(filled, [store.images.find_content(filled, f"{2:064x}").id])
    store.projects.number_classes(filled, ["car"])
    add_labelled(filled, 4, [3])
    assert store.versions.sources(version) == before
    assert store.versions.get(filled, 1) == version
    second = store.versions.create(filled, **SETTINGS)
    assert second.class_names == ("background", "road", "tree", "car")
    assert [image.name for image in store.versions.sources(second)] == [
        "photo_003.jpg",
        "photo_004.jpg",
    ]
    assert [version.number for version in store.versions.list(filled)] == [2, 1]


def test_an_empty_data_set_is_refused(store: Store, project: Project, add_image) -> None:
    add_image(project, 1)
    with pytest.raises(BadInput, match="no labelled image"):
        store.versions.create(project, **SETTINGS)
    assert store.versions.list(project) == []
    assert store.jobs.list() == []


def test_the_job_comes_with_the_version(store: Store, filled: Project) -> None:
    version = store.versions.create(filled, name="First", **SETTINGS)
    job = store.jobs.claim("w:1", [GENERATE])
    assert job is not None
    assert job.payload == {"version_id": version.id}
    assert job.workspace_id == filled.workspace_id
    assert version.name == "First"
    store.jobs.progress(job.id, "w:1", {"fraction": 0.25})
    assert store.versions.get(filled, 1).progress == 0.25
    store.jobs.fail(job.id, "w:1", "the disk is full")
    failed = store.versions.get(filled, 1)
    assert (failed.state, failed.error) == ("failed", "the disk is full")


def test_what_was_made_is_published_at_once(store: Store, filled: Project) -> None:
    version = store.versions.create(filled, **SETTINGS)
    made = [
        replace(image, name=f"{image.name}-{tile}")
        for image in store.versions.sources(version)
        for tile in range(2)
    ]
    for _ in range(2):  # what is recorded again is written anew
        store.versions.record(version, {7: made[2], 9: made[3]})
        store.versions.record(version, {0: made[0], 2: made[1]})
        assert store.versions.images(version) == []
        assert store.versions.made_places(version) == [0, 2, 7, 9]
        assert store.versions.get(filled, 1).state == "generating"
    for _ in range(2):
        assert store.versions.publish(version, ["background", "ground"]) == 4
    ready = store.versions.get(filled, 1)
    assert (ready.state, ready.images, ready.progress) == ("ready", 4, 1.0)
    assert ready.class_names == ("background", "ground")
    assert ready.splits == {"train": 2, "valid": 2, "test": 0}
    assert store.versions.images(ready) == made


def test_nothing_is_not_published(store: Store, filled: Project) -> None:
    version = store.versions.create(filled, **SETTINGS)
    store.versions.record(version, {})
    assert store.versions.publish(version, ["background"]) == 0
    assert store.versions.get(filled, 1) == version


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (TagFilter(), ["photo_002.jpg", "photo_003.jpg", "photo_004.jpg"]),
        (TagFilter(required=("day",)), ["photo_002.jpg", "photo_004.jpg"]),
        (TagFilter(required=("day", "rain")), ["photo_004.jpg"]),
        (TagFilter(excluded=("rain",)), ["photo_002.jpg", "photo_003.jpg"]),
        (TagFilter(("day",), ("rain", "fog")), ["photo_002.jpg"]),
    ],
)
def test_photos_are_chosen_by_tag(
    store: Store, filled: Project, add_labelled, tags: TagFilter, names: list[str]
) -> None:
    add_labelled(filled, 4, [1])
    photos = {number: store.images.find_content(filled, f"{number:064x}") for number in (2, 4)}
    store.images.change(photos[2], add_tags=["day"])
    store.images.change(photos[4], add_tags=["day", "rain"])
    version = store.versions.create(filled, tags=tags, **SETTINGS)
    assert [image.name for image in store.versions.sources(version)] == names
    assert version.images == sum(version.splits.values()) == len(names)


def test_tags_that_no_photo_has_are_refused(store: Store, filled: Project) -> None:
    with pytest.raises(BadInput, match="filter-tag"):
        store.versions.create(filled, tags=TagFilter(required=("moon",)), **SETTINGS)
    assert store.versions.list(filled) == []


def test_two_create_versions_at_once(store: Store, filled: Project) -> None:
    made: list[Version] = []

    def create() -> None:
        made.append(store.versions.create(filled, **SETTINGS))

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version.number for version in made) == [1, 2, 3, 4, 5, 6]


def test_a_workspace_is_a_wall(store: Store, filled: Project, stranger: Project) -> None:
    version = store.versions.create(filled, **SETTINGS)
    assert store.versions.by_id(filled.workspace_id, version.id) == version
    with pytest.raises(NotFound):
        store.versions.by_id(stranger.workspace_id, version.id)
    with pytest.raises(NotFound):
        store.versions.get(stranger, 1)
    assert store.versions.list(stranger) == []
