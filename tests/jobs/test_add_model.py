from types import ModuleType

import pytest

from atrous.domain.errors import BadPackage
from atrous.jobs.dataset_child import run
from atrous.packages.directory import ModelPackage
from atrous.store.opening import Store
from atrous.store.versions import Version


def version_of(store: Store, dataset_project: ModuleType, names: tuple[str, ...]) -> Version:
    project = dataset_project.fill_project(store, count=2)
    store.projects.number_classes(project, names)
    made = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    store.jobs.finish(job.id, "w", run(job, "w", store))
    return store.versions.get(project, made.number)


@pytest.fixture
def sent(package: ModelPackage, zipped) -> bytes:
    """The package as a zip, with a file that is none of its own."""
    files = {f"package/{path.name}": path.read_bytes() for path in package.folder.iterdir()}
    return zipped({**files, "checkpoint/best.pt": b"never opened"})


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, dataset_project: ModuleType, package: ModelPackage):
    """Projects have the classes of the package."""
    monkeypatch.setattr(dataset_project, "CLASSES", package.class_names)


def test_a_package_is_published_and_evaluated(
    store: Store, dataset_project: ModuleType, sent: bytes, known
) -> None:
    version = version_of(store, dataset_project, ())
    blob = store.blobs.put(sent)
    training = store.trainings.add_uploaded(version, "deeplabv3plus", blob)
    job = store.jobs.claim("w", ["add-model"])
    assert job is not None
    for _ in range(2):  # once more, as after a crash
        result = run(job, "w", store)
    store.jobs.finish(job.id, "w", result)
    model = store.models.of_training(training.id)
    assert model is not None
    assert str(model.model_id) == result["model_id"]
    assert model.slug.endswith("-1-deeplabv3plus-t1")
    assert len(store.models.list()) == 1
    assert len(store.evaluations.list(version.workspace_id)) == 1


def test_other_classes_are_refused(store: Store, dataset_project: ModuleType, sent: bytes) -> None:
    version = version_of(store, dataset_project, ("an", "other"))
    blob = store.blobs.put(sent)
    store.trainings.add_uploaded(version, "deeplabv3plus", blob)
    job = store.jobs.claim("w", ["add-model"])
    assert job is not None
    with pytest.raises(BadPackage, match="the same classes"):
        run(job, "w", store)
    assert store.models.list() == []
