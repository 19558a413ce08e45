from pathlib import Path

import pytest

from atrous.domain.errors import NotFound
from atrous.store import Store
from atrous.store.blobs import Blob
from atrous.store.emptying import Emptied
from atrous.store.exports import EXPORT
from atrous.store.projects import Project
from atrous.store.trainings import TRAIN_VERSION
from atrous.store.versions import Version

NOTHING = Emptied(0, 0, 0)


@pytest.fixture
def version(store: Store, project: Project, add_labelled) -> Version:
    """With an export, and a training that has a run, a model and an evaluation."""
    add_labelled(project, 1, tags=("rain",))
    return store.versions.create(project, preprocessing={}, augmentation={}, seed=0)


@pytest.fixture
def run(store: Store, version: Version, package: Path) -> Path:
    training = store.trainings.create(version, "deeplabv3plus", {})
    job = store.jobs.claim("w", [TRAIN_VERSION])
    assert job is not None
    run = store.home.runs / "roads" / "0001"
    (run / "checkpoints").mkdir(parents=True)
    store.jobs.progress(job.id, "w", {"run": str(run)})
    store.models.publish(
        "roads", package, workspace_id=version.workspace_id, version=1, training_id=training.id
    )
    store.jobs.finish(job.id, "w", {"miou": 0.5})
    store.evaluations.create(store.trainings.get(version, training.id))
    zipped = store.blobs.put(b"zip")
    store.exports.request(version, "coco")
    store.exports.finish(version, "coco", Blob(zipped.digest, 3))
    job = store.jobs.claim("w", [EXPORT])
    assert job is not None
    store.jobs.finish(job.id, "w", {"digest": zipped.digest, "size_bytes": 3})
    return run


def test_a_version_goes_with_all_that_was_made_of_it(
    store: Store, project: Project, version: Version, run: Path
) -> None:
    pictures = store.home.version_pictures / version.id
    pictures.mkdir(parents=True)
    store.trash.put_version(version.id)
    assert store.emptying.remove() == NOTHING  # it came a moment ago
    assert run.exists()
    assert store.emptying.remove(kept_days=0.0, only_look=True) == Emptied(0, 1, 0)
    assert store.emptying.remove(kept_days=0.0) == Emptied(0, 1, 0)
    assert store.emptying.remove(kept_days=0.0) == NOTHING
    assert store.trash.list(project.workspace_id) == []
    assert store.versions.sources(version) == []
    assert store.evaluations.list(project.workspace_id) == []
    assert not run.exists()
    assert not pictures.exists()
    assert list(store.home.packages.iterdir()) == []
    assert [job.kind for job in store.jobs.list()] == ["generate", TRAIN_VERSION]
    with pytest.raises(NotFound):
        store.trash.restore(project.workspace_id, "version", "1")
    assert store.projects.counts(project).images == 1  # the project's own photos stay


def test_no_number_is_given_again(
    store: Store, project: Project, version: Version, run: Path
) -> None:
    first = store.trainings.list(version)[0]
    store.trash.put_training(first.id)
    assert store.emptying.remove(kept_days=0.0) == Emptied(0, 0, 1)
    assert store.trainings.create(version, "deeplabv3plus", {}).number == 2
    store.trash.put_version(version.id)
    store.emptying.remove(kept_days=0.0)
    assert store.versions.create(project, preprocessing={}, augmentation={}, seed=0).number == 2


def test_a_project_goes_with_its_blobs(
    store: Store, project: Project, version: Version, run: Path
) -> None:
    store.trash.put_project(project.id)
    assert store.leftovers.named_blobs()
    assert store.emptying.remove(kept_days=0.0) == Emptied(1, 0, 0)
    assert store.leftovers.named_blobs() == set()
    store.leftovers.remove(grace_s=0.0)
    assert list(store.blobs.stored()) == []
    assert store.trash.list(project.workspace_id) == []
    again = store.projects.create(
        project.workspace_id, "Roads", kind="semantic-segmentation", annotation="x"
    )
    assert again.slug != "roads"  # its models had that name


def test_a_project_goes_with_models_of_the_command_line(
    store: Store, project: Project, version: Version, package: Path
) -> None:
    for name in ("roads", "shapes"):
        store.models.publish(name, package, workspace_id=project.workspace_id)
    other = store.models.of_project(project.workspace_id, "shapes")[0]
    store.trash.put_version(version.id)
    store.emptying.remove(kept_days=0.0)
    assert len(store.models.of_project(project.workspace_id, "roads")) == 1
    store.trash.put_project(project.id)
    store.emptying.remove(kept_days=0.0)
    assert [path.name for path in store.home.packages.iterdir()] == [other.folder]
    assert store.models.list() == [other]


def test_what_was_taken_out_again_stays(store: Store, project: Project, version: Version) -> None:
    store.trash.put_version(version.id)
    store.trash.restore(project.workspace_id, "version", "1")
    assert store.emptying.remove(kept_days=0.0) == NOTHING
    assert len(store.versions.sources(version)) == 1
