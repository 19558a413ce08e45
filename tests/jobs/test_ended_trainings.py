"""Trainings that end before their time: stopped, cancelled, killed."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.domain.errors import Conflict
from atrous.jobs import child
from atrous.jobs.dataset_child import run
from atrous.store.jobs import STALE_AFTER_S, Job, Jobs
from atrous.store.opening import Store
from atrous.store.trainings import Training
from atrous.store.versions import Version

# What a worker's child does, but for its end: it is killed when the first epoch has been told.
KILLED = """
import os, signal, sys
from atrous.jobs import child
from atrous.store.jobs import Jobs
tell = Jobs.progress
def tell_and_die(jobs, job_id, worker, values):
    told = tell(jobs, job_id, worker, values)
    if values.get("epochs"):
        os.kill(os.getpid(), signal.SIGKILL)
    return told
Jobs.progress = tell_and_die
child.main(*sys.argv[1:], os.getppid())
"""


@pytest.fixture
def version(store: Store, dataset_project: ModuleType) -> Version:
    project = dataset_project.fill_project(store, count=8)
    store.versions.create(project, preprocessing={}, augmentation={}, seed=4)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    run(job, "w", store)
    return store.versions.get(project, 1)


def begun(store: Store, version: Version, choices: dict[str, Any]) -> tuple[Training, Job]:
    store.trainings.create(version, "deeplabv3plus", choices)
    job = store.jobs.claim("w", ["train-version"])
    assert job is not None
    return store.trainings.list(version)[-1], job


def rows_of(run_folder: str) -> list[dict[str, str]]:
    with (Path(run_folder) / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_stopped_training_publishes_its_best(
    store: Store, version: Version, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, job = begun(store, version, {**tiny.CHOICES, "epochs": 50})
    monkeypatch.setattr(child, "REPORT_S", 0.0)
    store.trainings.ask_to_stop(training)  # before an epoch is done: the first one is waited for
    result = child.run_training(job, "w", store)
    assert result["model_id"] == "roads/1"
    assert len(rows_of(result["run"])) == 1
    (model,) = store.models.list()
    assert (model.training_id, model.run) == (training.id, 1)


def test_a_cancelled_training_publishes_nothing(
    store: Store, version: Version, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, job = begun(store, version, {**tiny.CHOICES, "epochs": 1})
    publish = store.models.publish

    def cancel_first(*given: Any, **named: Any) -> Any:
        store.trainings.cancel(training)
        return publish(*given, **named)

    monkeypatch.setattr(store.models, "publish", cancel_first)
    with pytest.raises(Conflict, match="cancelled"):
        child.run_training(job, "w", store)
    assert store.models.list() == []


def test_a_killed_training_goes_on_with_the_next_worker(
    store: Store, version: Version, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATROUS_HOME", str(store.home.folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _, job = begun(store, version, {**tiny.CHOICES, "epochs": 3})
    process = subprocess.run([sys.executable, "-c", KILLED, job.id, "w"])
    assert process.returncode == -signal.SIGKILL
    killed = store.jobs.get(job.id)
    before = rows_of(killed.progress["run"])
    assert len(before) == 1

    later = Jobs(store._database, lambda: time.time() + STALE_AFTER_S + 1)
    again = later.claim("w2", ["train-version"])  # the heartbeats have ended
    assert again is not None
    assert (again.id, again.attempts) == (job.id, 2)
    result = child.run_training(again, "w2", store)
    after = rows_of(result["run"])
    assert after[0] == before[0]  # this epoch was not trained again
    assert len(after) == 3
    assert result["run"] == killed.progress["run"]
    assert [row["epoch"] for row in store.jobs.get(job.id).progress["epochs"]] == [1, 2, 3]
    assert [str(model.model_id) for model in store.models.list()] == ["roads/1"]
