from pathlib import Path

import pytest

from atrous.domain.errors import Conflict, NotFound
from atrous.store import Store
from atrous.store.blobs import Blob
from atrous.store.projects import Project
from atrous.store.trainings import ADD_MODEL, TRAIN_VERSION
from atrous.store.versions import Version


@pytest.fixture
def version(store: Store, project: Project, add_labelled) -> Version:
    add_labelled(project, 1)
    return store.versions.create(project, preprocessing={}, augmentation={}, seed=0)


def test_a_training_comes_with_its_job(store: Store, version: Version) -> None:
    training = store.trainings.create(version, "deeplabv3plus", {"epochs": 3})
    assert (training.state, training.model_type) == ("queued", "deeplabv3plus")
    job = store.jobs.claim("w:1", [TRAIN_VERSION])
    assert job is not None
    assert job.payload == {
        "version_id": version.id,
        "training_id": training.id,
        "settings": {"epochs": 3},
    }
    store.jobs.progress(job.id, "w:1", {"epoch": 1})
    running = store.trainings.get(version, training.id)
    assert (running.state, running.progress) == ("running", {"epoch": 1})
    assert running.started_at is not None
    store.jobs.finish(job.id, "w:1", {"model_id": "roads/1"})
    assert store.trainings.get(version, training.id).result == {"model_id": "roads/1"}


def test_a_version_has_many_trainings(store: Store, version: Version) -> None:
    made = [store.trainings.create(version, "deeplabv3plus", {}) for _ in range(3)]
    assert store.trainings.list(version) == made
    with pytest.raises(NotFound):
        store.trainings.get(version, "absent")


def test_trainings_are_numbered(store: Store, version: Version) -> None:
    made = [store.trainings.create(version, "deeplabv3plus", {}) for _ in range(2)]
    assert [training.number for training in made] == [1, 2]
    found = store.trainings.by_id(version.workspace_id, made[1].id)
    assert found == made[1]
    with pytest.raises(NotFound):
        store.trainings.by_id("another workspace", made[1].id)


def test_stopping_is_a_wish_of_a_running_training(store: Store, version: Version) -> None:
    training = store.trainings.create(version, "deeplabv3plus", {})
    job = store.jobs.claim("w", [TRAIN_VERSION])
    assert job is not None
    running = store.trainings.get(version, training.id)
    assert not store.trainings.is_asked_to_stop(training.id)
    store.trainings.ask_to_stop(running)
    assert store.trainings.is_asked_to_stop(training.id)
    assert store.trainings.get(version, training.id).state == "running"
    store.jobs.finish(job.id, "w")
    store.trainings.ask_to_stop(store.trainings.get(version, training.id))  # once more: nothing
    other = store.trainings.create(version, "deeplabv3plus", {})
    job = store.jobs.claim("w", [TRAIN_VERSION])
    assert job is not None
    store.jobs.finish(job.id, "w")
    with pytest.raises(Conflict, match="finished already"):
        store.trainings.ask_to_stop(store.trainings.get(version, other.id))


def test_one_that_has_not_begun_is_cancelled_by_a_stop(store: Store, version: Version) -> None:
    training = store.trainings.create(version, "deeplabv3plus", {})
    store.trainings.ask_to_stop(training)
    assert store.trainings.get(version, training.id).state == "cancelled"


def test_a_cancelled_training_publishes_nothing(
    store: Store, version: Version, package: Path
) -> None:
    training = store.trainings.create(version, "deeplabv3plus", {})
    job = store.jobs.claim("w", [TRAIN_VERSION])
    assert job is not None
    store.trainings.cancel(training)
    assert not store.jobs.heartbeat(job.id, "w")
    with pytest.raises(Conflict, match="cancelled"):
        store.models.publish(
            "roads",
            package,
            workspace_id=version.workspace_id,
            version=1,
            training_id=training.id,
        )
    assert list(store.home.packages.iterdir()) == []
    with pytest.raises(Conflict, match="cancelled already"):
        store.trainings.cancel(training)


def test_one_that_has_published_is_not_cancelled(
    store: Store, version: Version, package: Path
) -> None:
    training = store.trainings.create(version, "deeplabv3plus", {})
    store.jobs.claim("w", [TRAIN_VERSION])
    store.models.publish(
        "roads", package, workspace_id=version.workspace_id, version=1, training_id=training.id
    )
    with pytest.raises(Conflict, match="has published"):
        store.trainings.cancel(training)


@pytest.mark.parametrize("of", ["version", "project"])
def test_what_went_into_the_trash_meanwhile_is_not_trained(
    store: Store, project: Project, version: Version, of: str
) -> None:
    """A request that found the version, or a link to upload a model, may come after that."""
    if of == "version":
        store.trash.put_version(version.id)
    else:
        store.trash.put_project(project.id)
    with pytest.raises(NotFound, match="trash"):
        store.trainings.create(version, "deeplabv3plus", {})
    with pytest.raises(NotFound, match="trash"):
        store.trainings.add_uploaded(version, "deeplabv3plus", Blob("e" * 64, 1))
    assert store.jobs.claim("w", [TRAIN_VERSION, ADD_MODEL]) is None


def test_trainings_of_several_versions(store: Store, project: Project, version: Version) -> None:
    other = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    made = [store.trainings.create(version, "deeplabv3plus", {}) for _ in range(2)]
    assert store.trainings.of_versions([version, other]) == {version.id: made, other.id: []}
    assert store.trainings.of_versions([]) == {}
