import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.domain.errors import TrainingFailed
from atrous.domain.model_ids import ModelId
from atrous.jobs import child, settling
from atrous.jobs.training_request import TrainingRequest
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.training.loop import Progress
from atrous.training.run_folder import RunFolder


@pytest.fixture(autouse=True)
def same_niceness(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The child's `main` runs in this process, on the test's store, and must not slow it."""
    asked: list[int] = []
    monkeypatch.setattr(settling.os, "nice", asked.append)
    monkeypatch.setenv("ATROUS_HOME", str(store.home.folder))
    return asked


def claimed(store: Store, kind: str = "train", payload: dict[str, Any] | None = None) -> Job:
    store.jobs.enqueue(kind, payload or {}, workspace_id=store.workspaces.default().id)
    job = store.jobs.claim("w")
    assert job is not None
    return job


def training(tiny: ModuleType, directory: Path) -> dict[str, Any]:
    return TrainingRequest(directory, "cats", choices=dict(tiny.CHOICES)).to_json()


def test_figures_of_an_earlier_sitting(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert child._epochs_of(run) == []
    run.results.write_text("epoch,train_loss,valid_miou\n1,0.5,0.25\n2,0.4,\n3,0.3,0.75\n")
    rows = [(row["epoch"], row["loss"], row["miou"]) for row in child._epochs_of(run)]
    assert rows == [(1, 0.5, 0.25), (3, 0.3, 0.75)]


def epoch_done(miou: float) -> Progress:
    return Progress(1, 0.5, 0.7, 10.0, 10.0, {"valid_miou": miou})


def test_a_job_is_trained_and_published(
    store: Store, tiny: ModuleType, directory: Path, same_niceness: list[int]
) -> None:
    job = claimed(store, payload=training(tiny, directory))
    assert child.main(job.id, "w", os.getppid()) == 0
    done = store.jobs.get(job.id)
    assert done.state == "finished"
    assert done.result["model_id"] == "cats/1"
    assert Path(done.result["run"]).is_dir()
    assert 0 <= done.result["miou"] <= 1
    assert done.progress["stage"] == "training"
    assert done.progress["fraction"] == 1
    assert [str(model.model_id) for model in store.models.list()] == ["cats/1"]
    assert same_niceness == [settling.NICENESS]


def test_a_job_begun_before_goes_on_with_its_run(
    store: Store, tiny: ModuleType, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = claimed(store, payload=training(tiny, directory))

    def stop(run: RunFolder, *_: Any) -> ModelId:
        raise MemoryError  # nothing that atrous understands: the process ends

    monkeypatch.setattr(child, "finish_run", stop)
    with pytest.raises(MemoryError):
        child.main(job.id, "w", os.getppid())
    begun = store.jobs.get(job.id)
    assert begun.state == "running"
    store.jobs.release(job.id, "w", counted=True)
    store.jobs.claim("w2")
    went_on: list[Path] = []

    def finish(run: RunFolder, *_: Any) -> ModelId:
        went_on.append(run.path)
        return ModelId("cats", 1)

    monkeypatch.setattr(child, "finish_run", finish)
    assert child.main(job.id, "w2", os.getppid()) == 0
    assert went_on == [Path(begun.progress["run"])]
    assert store.jobs.get(job.id).state == "finished"
    assert len(list((store.home.runs / "cats").iterdir())) == 1


def test_a_job_whose_run_lies_on_another_machine_begins_anew(
    store: Store, tiny: ModuleType, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same path, as machines that are set up alike have them."""
    job = claimed(store, payload=training(tiny, directory))
    other = store.home.runs / "cats" / "0001"
    other.mkdir(parents=True)
    (other / "request.json").write_text('{"run_id": "that of another training"}')
    known = {"run": str(other), "run_id": "of this job", "epochs": [{"epoch": 1}]}
    store.jobs.progress(job.id, "w", known)
    began: list[Path] = []

    def finish(run: RunFolder, *_: Any) -> ModelId:
        began.append(run.path)
        return ModelId("cats", 1)

    monkeypatch.setattr(child, "finish_run", finish)
    assert child.main(job.id, "w", os.getppid()) == 0
    assert began == [store.home.runs / "cats" / "0002"]
    assert "epochs" not in store.jobs.get(job.id).progress


def test_a_failure_is_told(store: Store, tiny: ModuleType, tmp_path: Path) -> None:
    job = claimed(store, payload=training(tiny, tmp_path / "nowhere"))
    assert child.main(job.id, "w", os.getppid()) == 0
    failed = store.jobs.get(job.id)
    assert failed.state == "failed"
    assert str(tmp_path / "nowhere") in (failed.error or "")


def test_progress_is_written_once_a_second_and_after_each_epoch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(child.time, "monotonic", lambda: now[0])
    job = claimed(store)
    monkeypatch.setattr(child, "start_run", lambda *_: RunFolder(Path("runs/1")))
    monkeypatch.setattr(child, "request_of", lambda *_: None)
    written: list[tuple[float, Any]] = []
    progress = store.jobs.progress

    def write(job_id: str, worker: str, values: dict[str, Any]) -> bool:
        written.append((values.get("fraction", -1.0), values.get("miou")))
        return progress(job_id, worker, values)

    def finish(run: RunFolder, store: Store, report: Any) -> ModelId:
        for step in range(30):  # ten a second
            report(Progress(1, step / 100, 0.7, 1.0, None))
            now[0] += 0.1
        report(epoch_done(0.25))
        report(replace(epoch_done(0.25), epoch=2, results={"valid_miou": None}))
        report(Progress(3, 0.6, 0.7, 1.0, 5.0))
        return ModelId("cats", 1)

    monkeypatch.setattr(child, "finish_run", finish)
    store.jobs.progress = write  # type: ignore[method-assign]
    result = child.run_training(job, "w", store)
    steps = [fraction for fraction, _ in written if fraction >= 0]
    assert steps[0] == 0
    assert 3 <= len(steps) <= 5
    assert written[-1] == (0.5, 0.25)
    assert result == {"model_id": "cats/1", "run": "runs/1", "miou": 0.25}
    progressed = store.jobs.get(job.id).progress
    assert (progressed["left_s"], progressed["epoch"]) == (10, 2)
    # An epoch that was not measured has no figures to show.
    assert progressed["epochs"] == [{"epoch": 1, "loss": 0.7, "miou": 0.25}]


def test_the_demo_draws_its_own_pictures(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = TrainingRequest(Path("/drawn"), "shapes")
    monkeypatch.setattr(child, "demo_request", lambda home: wanted)
    assert child.request_of(claimed(store, "demo"), store) == wanted


def test_known_errors_only_settle_a_job(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = claimed(store)

    def fail(*_: Any) -> dict[str, Any]:
        raise TrainingFailed("the loss became nan")

    monkeypatch.setattr(child, "run_training", fail)
    assert child.main(job.id, "w", os.getppid()) == 0
    assert store.jobs.get(job.id).error == "the loss became nan"
