from pathlib import Path

import pytest

from atrous.domain.errors import Conflict, NotFound
from atrous.domain.model_ids import ModelId
from atrous.store import Store
from atrous.store.blobs import Blob
from atrous.store.evaluations import Evaluation
from atrous.store.image_search import ImageQuery
from atrous.store.projects import Project
from atrous.store.trainings import TRAIN_VERSION, Training
from atrous.store.versions import Version
from atrous.store.zip_imports import ImportWishes

ROADS_1 = ModelId("roads", 1)


@pytest.fixture
def version(store: Store, project: Project, add_labelled) -> Version:
    add_labelled(project, 1)
    return store.versions.create(project, preprocessing={}, augmentation={}, seed=0)


@pytest.fixture
def train(store: Store, version: Version, package: Path):
    """A finished training with its model."""

    def make() -> Training:
        training = store.trainings.create(version, "deeplabv3plus", {})
        job = store.jobs.claim("w", [TRAIN_VERSION])
        assert job is not None
        store.models.publish(
            "roads",
            package,
            workspace_id=version.workspace_id,
            version=1,
            facts={"architecture": "deeplabv3plus"},
            training_id=training.id,
        )
        store.jobs.finish(job.id, "w", {"miou": 0.5})
        return store.trainings.get(version, training.id)

    return make


def test_a_project_goes_with_its_models_and_comes_back(
    store: Store, project: Project, version: Version, train
) -> None:
    train()
    waiting = store.trainings.create(version, "deeplabv3plus", {})
    store.trash.put_project(project.id)
    assert store.projects.list(project.workspace_id) == []
    with pytest.raises(NotFound):
        store.projects.get(project.workspace_id, "roads")
    with pytest.raises(NotFound):
        store.models.get(ROADS_1)
    assert store.jobs.get(waiting.job_id).state == "cancelled"
    (item,) = store.trash.list(project.workspace_id)
    assert (item.kind, item.id, item.name) == ("project", project.id, "Roads")
    store.trash.restore(project.workspace_id, "project", "roads")
    assert store.projects.get(project.workspace_id, "roads").id == project.id
    assert store.models.get(ROADS_1).run == 1
    assert store.trash.list(project.workspace_id) == []


def test_a_project_takes_models_of_the_command_line_along(
    store: Store, project: Project, stranger: Project, package: Path
) -> None:
    for name, workspace_id in (
        ("roads", project.workspace_id),
        ("shapes", project.workspace_id),
        ("fields", stranger.workspace_id),
    ):
        store.models.publish(name, package, workspace_id=workspace_id)

    def served() -> list[str]:
        return [str(model.model_id) for model in store.models.list()]

    store.trash.put_project(project.id)
    assert served() == ["fields/1", "shapes/1"]
    store.trash.restore(project.workspace_id, "project", project.id)
    assert served() == ["fields/1", "roads/1", "shapes/1"]


def test_a_name_in_the_trash_is_free_again(store: Store, project: Project) -> None:
    store.trash.put_project(project.id)
    again = store.projects.create(
        project.workspace_id, "Roads", kind="semantic-segmentation", annotation="x"
    )
    assert again.slug.startswith("roads-")
    with pytest.raises(Conflict, match=f"'{again.slug}' exists already"):  # but free once
        store.projects.create(
            project.workspace_id, "Roads", kind="semantic-segmentation", annotation="x"
        )
    store.trash.restore(project.workspace_id, "project", project.id)
    assert len(store.projects.list(project.workspace_id)) == 2


def test_a_version_comes_back_only_into_a_project(
    store: Store, project: Project, version: Version, train
) -> None:
    training = train()
    store.trash.put_training(training.id)
    store.trash.put_version(version.id)
    store.trash.put_project(project.id)
    workspace_id = project.workspace_id
    assert {item.kind for item in store.trash.list(workspace_id)} == {
        "project",
        "version",
        "training",
    }
    with pytest.raises(Conflict, match="restore that first"):
        store.trash.restore(workspace_id, "version", "1", project.id)
    store.trash.restore(workspace_id, "project", project.id)
    with pytest.raises(NotFound):
        store.versions.get(project, 1)
    with pytest.raises(Conflict, match="restore that first"):
        store.trash.restore(workspace_id, "training", training.id)
    store.trash.restore(workspace_id, "version", "1", "roads")
    assert store.versions.get(project, 1).id == version.id
    with pytest.raises(NotFound):
        store.models.get(ROADS_1)  # the training still lies there
    store.trash.restore(workspace_id, "training", training.id)
    assert store.models.get(ROADS_1).training_id == training.id


def test_the_next_run_serves_when_the_first_goes(store: Store, version: Version, train) -> None:
    first, second = train(), train()
    assert (first.number, second.number) == (1, 2)
    assert [model.slug for model in store.models.list()] == [
        "roads-1-deeplabv3plus-t1",
        "roads-1-deeplabv3plus-t2",
    ]
    assert store.models.get(ROADS_1).training_id == first.id
    store.trash.put_training(first.id)
    assert store.models.get(ROADS_1).training_id == second.id
    assert store.trainings.list(version) == [second]
    assert train().number == 3  # a number is never given again
    store.trash.restore(version.workspace_id, "training", first.id)
    assert store.models.get(ROADS_1).training_id == first.id


def test_a_training_that_is_not_over_stays(store: Store, version: Version) -> None:
    training = store.trainings.create(version, "deeplabv3plus", {})
    with pytest.raises(Conflict, match="cancel it first"):
        store.trash.put_training(training.id)


def test_the_trash_is_behind_the_wall(
    store: Store, project: Project, stranger: Project, train
) -> None:
    evaluation: Evaluation = store.evaluations.create(train())
    store.trash.put_project(project.id)
    assert store.jobs.list(kind="evaluate")[0].state == "cancelled"
    with pytest.raises(NotFound):
        store.evaluations.get(project.workspace_id, evaluation.id)
    assert store.trash.list(stranger.workspace_id) == []
    with pytest.raises(NotFound):
        store.trash.restore(stranger.workspace_id, "project", project.id)


def test_what_works_for_a_project_alone_ends_with_it(
    store: Store, project: Project, stranger: Project
) -> None:
    wishes = ImportWishes(split=None, batch="b", tags=(), overwrite=False)
    waiting, sent, other = (
        store.zip_imports.announce(each, wishes) for each in (project, project, stranger)
    )
    store.zip_imports.start(sent.id, Blob("e" * 64, 1))
    exported = store.search_exports.request(project, ImageQuery(), "coco", "all")
    store.trash.put_project(project.id)
    states = [store.jobs.get(job.id).state for job in (waiting, sent, exported, other)]
    assert states == ["cancelled", "cancelled", "cancelled", "waiting"]
    with pytest.raises(Conflict):
        store.zip_imports.start(waiting.id, Blob("e" * 64, 1))
