import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from atrous.datasets.detect import DatasetOptions
from atrous.domain.classes import ClassTable
from atrous.domain.errors import BadDataset, BadModelId, BadPackage, Conflict, NotFound
from atrous.domain.model_ids import ModelId
from atrous.jobs import train as train_module
from atrous.jobs.evaluate import measure_package
from atrous.jobs.train import finish_run, latest_unfinished_run, start_run
from atrous.jobs.training_request import TrainingRequest
from atrous.masks.split_figures import SplitFigures
from atrous.packages.directory import ModelPackage, read_package
from atrous.store.opening import Store
from atrous.training import run_folder
from atrous.training.run_folder import RunFolder


def quiet(progress: Any) -> None:
    """Report nothing."""


def raising(error: type[BaseException]) -> Callable[..., Any]:
    """A function that does nothing but raise."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.fixture
def request_of(tiny: ModuleType, directory: Path) -> Callable[..., TrainingRequest]:
    def make(folder: Path = directory, **fields: Any) -> TrainingRequest:
        return TrainingRequest(folder, "cats", choices=dict(tiny.CHOICES), **fields)

    return make


@pytest.fixture
def quick_export(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Exports are copies of a package made before; gives the folders they went to."""
    made: list[Path] = []

    def export(
        network: Any, classes: Any, recipe: Any, samples: Any, folder: Path, facts: dict[str, Any]
    ) -> ModelPackage:
        shutil.copytree(package.folder, folder)
        made.append(folder)
        return replace(read_package(folder), manifest={**package.manifest, **facts})

    monkeypatch.setattr(train_module, "export_package", export)
    return made


def copy_of(directory: Path, target: Path) -> Path:
    shutil.copytree(directory, target)
    return target


def test_from_a_folder_to_a_published_model(
    store: Store,
    request_of: Callable[..., TrainingRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def by_photos(figures: SplitFigures) -> dict[str, Any]:
        """Best thresholds that differ from split to split, however little was learnt."""
        confidence = {3: 0.1, 2: 0.9}[figures.matrix.counts.sum() // 64**2]
        return {"confidence": confidence, "per_class_confidence": {}}

    monkeypatch.setattr(SplitFigures, "recommended_parameters", by_photos)
    run = start_run(request_of(), store)
    assert run.path == store.home.runs / "cats" / "0001"
    model_id = finish_run(run, store, quiet)
    assert model_id == ModelId("cats", 1)
    [model] = store.models.list()
    assert model.facts["class_names"] == ["background", "circle", "square", "triangle"]
    assert model.facts["input_size"] == {"height": 64, "width": 64}
    assert model.facts["backbone"] == "lcnet_035"
    package = read_package(store.models.folder(model_id))
    assert package.manifest["metrics"]["valid"]["miou"] >= 0
    assert package.manifest["metrics"]["test"]["miou"] >= 0
    assert package.manifest["parity"]["photos"] == 3
    # Thresholds are those of the validation photos, on the test photos as well.
    _, dataset = train_module.reopen(run)
    figures = package.manifest["metrics"]
    for split in ("valid", "test"):
        again = measure_package(package, dataset, split).report
        assert figures[split]["miou_at_recommended"] == again["miou_at_recommended"]
        found = again["recommended_parameters"] == package.manifest["recommended_parameters"]
        assert found == (split == "valid")
    strict = measure_package(replace(package, best_thresholds=0.9), dataset, "test").report
    assert figures["test"]["miou_at_recommended"] != strict["miou_at_recommended"]
    assert sorted(path.name for path in run.path.iterdir()) == [
        "augmented.png",
        "checkpoints",
        "metrics.json",
        "package",
        "pictures",
        "published.json",
        "recipe.json",
        "report-without-photos.html",
        "report.html",
        "request.json",
        "results.csv",
    ]
    # What is published is not published again.
    assert finish_run(run, store, quiet) == model_id
    assert len(store.models.list()) == 1
    with pytest.raises(NotFound, match="no unfinished run"):
        latest_unfinished_run(store, "cats")


def test_a_kill_between_export_and_publishing(
    store: Store,
    request_of: Callable[..., TrainingRequest],
    quick_export: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = start_run(request_of(), store)
    with monkeypatch.context() as patch:
        patch.setattr(store.models, "publish", raising(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            finish_run(run, store, quiet)
    assert run.package.exists()
    assert store.models.list() == []
    found = latest_unfinished_run(store, "cats")
    assert found.path == run.path
    facts = {"run": "cats/0001", "run_id": "of another machine, or of a run that was deleted"}
    workspace_id = store.workspaces.default().id
    store.models.publish("cats", run.package, workspace_id=workspace_id, facts=facts)
    assert finish_run(found, store, quiet) == ModelId("cats", 2)
    (run.path / "published.json").unlink()  # killed right after publishing
    assert finish_run(found, store, quiet) == ModelId("cats", 2)
    assert len(store.models.list()) == 2
    assert len(quick_export) == 1


def test_a_failed_export_is_not_left_behind(
    store: Store,
    request_of: Callable[..., TrainingRequest],
    quick_export: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = start_run(request_of(), store)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "measure_package", raising(MemoryError))
        with pytest.raises(MemoryError):
            finish_run(run, store, quiet)
    assert not run.package.exists()
    assert not list(run.path.glob(".export-*"))
    # The report of the training is there all the same.
    assert "unfinished; epoch" in (run.path / "report.html").read_text()
    assert finish_run(run, store, quiet) == ModelId("cats", 1)
    assert "is published" in (run.path / "report.html").read_text()


def test_the_next_version_and_the_next_run(
    store: Store,
    request_of: Callable[..., TrainingRequest],
    quick_export: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = start_run(request_of(), store)
    second = start_run(request_of(), store)
    assert [run.path.name for run in (first, second)] == ["0001", "0002"]
    monkeypatch.setattr(run_folder, "CLAIM_S", 0.0)
    with second.claimed(), pytest.raises(Conflict, match="being trained by another process"):
        finish_run(second, store, quiet)
    assert latest_unfinished_run(store, "cats").path == second.path
    assert finish_run(second, store, quiet) == ModelId("cats", 1)
    assert latest_unfinished_run(store, "cats").path == first.path
    assert finish_run(first, store, quiet) == ModelId("cats", 2)


def faulty(directory: Path, target: Path) -> Path:
    copy = copy_of(directory, target)
    picture = sorted((copy / "train").glob("*.jpg"))[0]
    picture.write_bytes(b"no picture")
    return copy


def test_a_faulty_set_trains_nothing(
    store: Store, request_of: Callable[..., TrainingRequest], directory: Path, tmp_path: Path
) -> None:
    folder = faulty(directory, tmp_path / "faulty")
    with pytest.raises(BadDataset, match=r"1 faults.*train/shapes_0000.jpg.*--skip-bad"):
        start_run(request_of(folder), store)
    for picture in (folder / "train").glob("*.jpg"):
        picture.write_bytes(b"no picture")
    with pytest.raises(BadDataset, match=r"`atrous check [^ ]*/faulty` lists them$"):
        start_run(request_of(folder), store)  # --skip-bad would leave nothing
    assert not list(store.home.runs.rglob("*"))


def test_a_name_that_no_package_can_hold_trains_nothing(
    store: Store, request_of: Callable[..., TrainingRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = train_module.open_dataset

    def with_two_lines(*arguments: Any) -> Any:
        dataset = opened(*arguments)
        return replace(dataset, classes=ClassTable(("background", "a\nb", "c", "d")))

    monkeypatch.setattr(train_module, "open_dataset", with_two_lines)
    with pytest.raises(BadPackage, match="line break"):
        start_run(request_of(), store)
    assert not list(store.home.runs.rglob("*"))


def test_skip_bad_trains_on_the_rest(
    store: Store,
    request_of: Callable[..., TrainingRequest],
    quick_export: list[Path],
    directory: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = request_of(faulty(directory, tmp_path / "faulty"), skip_bad=True)
    run = start_run(request, store)
    assert "left out: train/shapes_0000.jpg" in caplog.text
    _, dataset = train_module.reopen(run)  # as a resumed run does
    assert len(dataset.splits["train"]) == 7
    assert finish_run(run, store, quiet) == ModelId("cats", 1)


def test_no_more_than_five_faults_are_listed(
    store: Store, request_of: Callable[..., TrainingRequest], directory: Path, tmp_path: Path
) -> None:
    copy = copy_of(directory, tmp_path / "faulty")
    for picture in (copy / "train").glob("*.jpg"):
        picture.write_bytes(b"no picture")
    with pytest.raises(BadDataset, match="8 faults.*; and 3 more") as refused:
        start_run(request_of(copy), store)
    assert str(refused.value).count(".jpg") == 5


@pytest.mark.parametrize("what", ["a picture", "the classes", "everything"])
def test_a_set_that_has_changed_is_not_resumed(
    store: Store,
    request_of: Callable[..., TrainingRequest],
    directory: Path,
    tmp_path: Path,
    what: str,
) -> None:
    folder = copy_of(directory, tmp_path / "copy")
    run = start_run(request_of(folder), store)
    if what == "a picture":
        for path in folder.glob("train/shapes_0001*"):
            path.unlink()
    elif what == "the classes":
        for path in folder.glob("*/_classes.csv"):
            path.write_text(path.read_text().replace("circle", "disc"))
    else:
        shutil.rmtree(folder)
    with pytest.raises(BadDataset, match=str(folder)):
        finish_run(run, store, quiet)
    assert not run.results.exists()


def test_a_project_that_can_not_be(
    store: Store, request_of: Callable[..., TrainingRequest]
) -> None:
    with pytest.raises(BadModelId):
        start_run(replace(request_of(), project="../cats"), store)
    with pytest.raises(BadModelId):
        latest_unfinished_run(store, "..")
    assert not list(store.home.runs.rglob("*"))


def test_a_run_that_never_began_is_not_resumed(
    store: Store, request_of: Callable[..., TrainingRequest]
) -> None:
    run = start_run(request_of(), store)
    (store.home.runs / "cats" / "0002").mkdir()  # a kill before the request was written
    assert latest_unfinished_run(store, "cats").path == run.path
    # under another name the run is named, as a folder is whose training had --as
    with pytest.raises(NotFound, match="unfinished: cats/0001; give --as cats, or"):
        latest_unfinished_run(store, "pictures")


def test_options_of_the_set_are_kept(
    store: Store, request_of: Callable[..., TrainingRequest]
) -> None:
    run: RunFolder = start_run(request_of(options=DatasetOptions(ignore_id=0)), store)
    request, dataset = train_module.reopen(run)
    assert request.options == DatasetOptions(ignore_id=0)
    assert json.loads((run.path / "request.json").read_text())["fingerprint"] == (
        dataset.fingerprint()
    )


@pytest.mark.slow
def test_one_photo_of_50_megapixels_becomes_a_model(
    store: Store, request_of: Callable[..., TrainingRequest], tmp_path: Path
) -> None:
    """The least set that there can be: one photo to train on, one to validate with."""
    photo = np.zeros((5780, 8660, 3), np.uint8)
    photo[:, : photo.shape[1] // 2] = 200
    mask = (photo[:, :, 0] > 0).astype(np.uint8)
    for split in ("train", "valid"):
        photo += 20  # no two alike
        folder = tmp_path / "set" / split
        folder.mkdir(parents=True)
        (folder / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, thing\n")
        assert cv2.imwrite(str(folder / "large.jpg"), photo)
        assert cv2.imwrite(str(folder / "large_mask.png"), mask)
    run = start_run(request_of(tmp_path / "set"), store)
    model_id = finish_run(run, store, quiet)
    metrics = read_package(store.models.folder(model_id)).manifest["metrics"]
    assert sum(entry["pixels"] for entry in metrics["valid"]["classes"]) == mask.size
    assert (run.path / "report.html").is_file()
