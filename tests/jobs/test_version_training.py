import json
import os
import shutil
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.datasets.check import check_dataset
from atrous.datasets.detect import open_dataset
from atrous.domain.errors import Conflict, NotFound
from atrous.domain.recipes import StaticCrop
from atrous.jobs import child
from atrous.jobs.generate_version import generate_version
from atrous.jobs.version_training import choices_of_checkpoint, version_request
from atrous.packages.directory import ModelPackage, read_package
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.versions import Version


@pytest.fixture
def project(store: Store, dataset_project: ModuleType) -> Project:
    store.projects.create(
        store.workspaces.default().id, "Other", kind="semantic-segmentation", annotation="x"
    )
    made: Project = dataset_project.fill_project(store, count=8)
    return made


def ready(store: Store, project: Project, **steps: Any) -> Version:
    version = store.versions.create(project, preprocessing=steps, augmentation={}, seed=4)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    generate_version(job, "w", store)
    return store.versions.get(project, version.number)


def training_job(store: Store, version: Version, settings: dict[str, Any]) -> Job:
    store.trainings.create(version, "deeplabv3plus", settings)
    job = store.jobs.claim("w", ["train-version"])
    assert job is not None
    return job


def test_a_version_becomes_a_folder_that_can_be_trained_on(store: Store, project: Project) -> None:
    version = ready(store, project, resize={"width": 640, "height": 96})
    job = training_job(store, version, {"epochs": 3})
    request = version_request(job, store)
    assert (request.project, request.version) == ("roads", 1)
    assert request.workspace_id == project.workspace_id
    assert request.max_side == 640
    assert request.choices == {"epochs": 3}
    dataset = open_dataset(request.directory, request.options)
    assert check_dataset(dataset).faults == ()
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 7,
        "valid": 1,
    }
    assert request.from_json(request.to_json()) == request


def test_steps_that_photos_need_at_serving_travel_with_the_request(
    store: Store, project: Project
) -> None:
    version = ready(
        store,
        project,
        grayscale=True,
        contrast={"type": "Contrast Stretching"},
        tile={"rows": 2, "columns": 1},
        resize={"width": 32, "height": 32, "format": "Fit (white edges) in"},
        **{"static-crop": {"x_min": 0, "x_max": 50, "y_min": 0, "y_max": 100}},
    )
    request = version_request(training_job(store, version, {}), store)
    assert request.serving == {
        "static_crop": {"x_min": 0.0, "x_max": 50.0, "y_min": 0.0, "y_max": 100.0},
        "grayscale": True,
        "contrast": "Contrast Stretching",
        "resize_mode": "letterbox",
        "padding_value": 255,
    }
    assert request.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_the_folder_is_made_once_and_again_where_it_went(store: Store, project: Project) -> None:
    job = training_job(store, ready(store, project), {})
    first = version_request(job, store).directory
    before = open_dataset(first).fingerprint()
    (first / "kept").touch()
    assert (version_request(job, store).directory / "kept").exists()
    shutil.rmtree(first)
    again = version_request(job, store).directory
    assert again == first
    assert open_dataset(again).fingerprint() == before
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_two_workers_make_the_folder_at_once(
    store: Store, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes second takes the folder of the first, and leaves nothing of its own."""
    job = training_job(store, ready(store, project), {})
    replace, made = os.replace, []

    def second(source: Path, target: Path) -> None:
        if not made:
            shutil.copytree(source, target)
            made.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", second)
    request = version_request(job, store)
    folder = request.directory
    assert made == [folder]
    assert check_dataset(open_dataset(folder, request.options)).faults == ()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_begun_training_needs_only_its_pictures(store: Store, project: Project) -> None:
    """What it started from may be gone when it goes on."""
    job = training_job(store, ready(store, project), {"checkpoint": "gone/1"})
    with pytest.raises(NotFound):
        version_request(job, store)
    child.restore_pictures(job, store)
    assert any((store.home.cache / "versions").iterdir())


def test_a_version_that_is_not_made_is_refused(store: Store, project: Project) -> None:
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=4)
    with pytest.raises(Conflict, match="generating"):
        version_request(training_job(store, version, {}), store)


def test_the_model_gets_the_versions_number(
    store: Store, project: Project, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second version alone is trained: roads/2, which repeats that version's steps."""
    ready(store, project)
    steps = {
        "static-crop": {"x_min": 25, "x_max": 100, "y_min": 0, "y_max": 100},
        "tile": {"rows": 1, "columns": 2},
        "grayscale": True,
        "contrast": {"type": "Histogram Equalization"},
        "resize": {"width": 32, "height": 24},
    }
    job = training_job(store, ready(store, project, **steps), dict(tiny.CHOICES))
    result = child.run_training(job, "w", store)
    assert result["model_id"] == "roads/2"
    (model,) = store.models.list()
    assert str(model.model_id) == "roads/2"
    assert model.workspace_id == project.workspace_id
    served = read_package(store.models.package_folder(model.folder)).preprocess
    assert served.static_crop == StaticCrop(25.0, 100.0, 0.0, 100.0)
    assert (served.grayscale, served.contrast) == (True, "Histogram Equalization")
    assert (served.resize_mode, served.size.width >= 32) == ("stretch", True)


def test_a_training_may_start_from_a_model(
    store: Store, project: Project, package: ModelPackage
) -> None:
    publish = partial(store.models.publish, package=package.folder)
    workspace_id = project.workspace_id
    publish("roads", workspace_id=workspace_id, version=7, facts={"run": "roads/0001"})
    with pytest.raises(NotFound, match="no checkpoint on this machine"):
        choices_of_checkpoint(store, workspace_id, "roads/7")
    checkpoints = store.home.runs / "roads" / "0001" / "checkpoints"
    checkpoints.mkdir(parents=True)
    recipe = {"architecture": "deeplabv3", "backbone": "resnet50", "separable": False, "flip": 0}
    facts = {"tensors": "best-00003.safetensors", "recipe": recipe}
    (checkpoints / "best.json").write_text(json.dumps(facts))
    assert choices_of_checkpoint(store, workspace_id, "roads/7") == {
        "start": str(checkpoints / "best-00003.safetensors"),
        "architecture": "deeplabv3",
        "backbone": "resnet50",
        "separable": False,
    }
    with pytest.raises(NotFound):
        choices_of_checkpoint(store, "another workspace", "roads/7")
