import pytest

from atrous.domain.errors import NotFound
from atrous.store import Store
from atrous.store.projects import Project
from atrous.store.trainings import TRAIN_VERSION
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
