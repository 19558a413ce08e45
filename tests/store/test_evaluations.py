from pathlib import Path

import pytest

from atrous.domain.errors import NotFound
from atrous.store import Store
from atrous.store.evaluations import EVALUATE
from atrous.store.projects import Project
from atrous.store.trainings import Training


@pytest.fixture
def training(store: Store, project: Project, add_labelled, package: Path) -> Training:
    add_labelled(project, 1)
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    made = store.trainings.create(version, "deeplabv3plus", {})
    store.models.publish(
        "roads", package, workspace_id=project.workspace_id, version=1, training_id=made.id
    )
    return made


def test_an_evaluation_is_a_job(store: Store, project: Project, training: Training) -> None:
    asked = store.evaluations.create(training)
    assert (asked.project, asked.version, asked.run, asked.state) == ("roads", 1, 1, "queued")
    job = store.jobs.claim("w", [EVALUATE])
    assert job is not None
    assert job.payload == {"evaluation_id": asked.id, "training_id": training.id}
    store.jobs.finish(job.id, "w", {"splits": {}})
    done = store.evaluations.get(project.workspace_id, asked.id)
    assert (done.state, done.result) == ("finished", {"splits": {}})


def test_lists_are_narrowed(store: Store, project: Project, training: Training) -> None:
    made = [store.evaluations.create(training) for _ in range(3)]
    listed = store.evaluations.list(project.workspace_id)
    assert {each.id for each in listed} == {each.id for each in made}
    assert len(store.evaluations.list(project.workspace_id, limit=2)) == 2
    for narrow in ({"project": "fields"}, {"version": 2}, {"training_id": "x"}):
        assert store.evaluations.list(project.workspace_id, **narrow) == []
    for wide in ({"project": "roads"}, {"version": 1}, {"training_id": training.id}):
        assert len(store.evaluations.list(project.workspace_id, **wide)) == 3


def test_a_wall_is_around_them(store: Store, stranger: Project, training: Training) -> None:
    asked = store.evaluations.create(training)
    assert store.evaluations.list(stranger.workspace_id) == []
    with pytest.raises(NotFound):
        store.evaluations.get(stranger.workspace_id, asked.id)


def test_a_removed_model_takes_its_evaluations_along(
    store: Store, project: Project, training: Training
) -> None:
    asked = store.evaluations.create(training)
    (model,) = store.models.list()
    store.models.remove(model)
    with pytest.raises(NotFound):
        store.evaluations.get(project.workspace_id, asked.id)


def test_it_names_the_model_that_was_made(
    store: Store, project: Project, add_labelled, package: Path
) -> None:
    """A start of another architecture decides that of the model, whatever was asked for."""
    add_labelled(project, 1)
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    made = store.trainings.create(version, "deeplabv3plus", {})
    model_id = store.models.publish(
        "roads",
        package,
        workspace_id=project.workspace_id,
        version=1,
        facts={"architecture": "deeplabv3"},
        training_id=made.id,
    )
    asked = store.evaluations.create(made)
    slug = f"{asked.project}-{asked.version}-{asked.model_type}-t{asked.run}"
    assert slug == "roads-1-deeplabv3-t1"
    assert store.models.find(project.workspace_id, slug).model_id == model_id


def test_a_list_leaves_out_the_figures_of_photos(store: Store, training: Training) -> None:
    asked = store.evaluations.create(training)
    result = {
        "class_names": ["background"],
        "splits": {"valid": {"miou": 0.5, "photo_figures": [{"name": "a.png"}]}},
    }
    job = store.jobs.claim("w", [EVALUATE])
    assert job is not None
    store.jobs.finish(job.id, "w", result)
    (listed,) = store.evaluations.list(training.workspace_id)
    assert listed.result == {"class_names": ["background"], "splits": {"valid": {"miou": 0.5}}}
    assert store.evaluations.get(training.workspace_id, asked.id).result == result
