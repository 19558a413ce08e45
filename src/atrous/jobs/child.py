"""The process that runs one training: `python -m atrous.jobs.child JOB_ID WORKER PARENT`.

A process of its own, so that a crash, or memory that is not given back, ends with the job.
"""

import csv
import sys
import time
from pathlib import Path
from typing import Any

from atrous.jobs.demo import demo_request
from atrous.jobs.settling import run_and_settle, unsaid_in_outages
from atrous.jobs.train import StoppedEarly, finish_run, start_run
from atrous.jobs.training_request import TrainingRequest
from atrous.jobs.version_training import version_folder, version_request
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.runs import is_run, run_id_of
from atrous.store.trainings import TRAIN_VERSION
from atrous.training.loop import Progress
from atrous.training.run_folder import RunFolder

REPORT_S = 1.0  # between two writes of progress: every one is flushed to the disk
EPOCHS_KEPT = 1000


def main(job_id: str, worker: str, parent: int) -> int:
    """Run a training and settle its job; gives the exit code."""
    return run_and_settle(
        job_id, worker, parent, lambda job, name, store: run_training(job, name, store)
    )


def run_training(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Train and publish; a job that was begun before goes on from its run's last checkpoint.

    Where that run lies on another machine, it begins anew.
    """
    known = dict(job.progress)
    if "run" in known and is_run(Path(known["run"]), known.get("run_id")):
        run = RunFolder(Path(known["run"]))
        restore_pictures(job, store)
        known["epochs"] = _epochs_of(run)  # the last one may not have been reported
    else:
        store.jobs.progress(job.id, worker, {"stage": "reading the pictures"})
        run = start_run(request_of(job, store), store)
        known = {
            "stage": "loading the network",
            "run": str(run.path),
            "run_id": run_id_of(run.path),
        }
        store.jobs.progress(job.id, worker, known)

    model_id = finish_run(run, store, _Reports(job, worker, store, known))
    if job.kind == TRAIN_VERSION:
        _ask_for_evaluation(job, store)
    return {"model_id": str(model_id), "run": str(run.path), "miou": known.get("miou")}


class _Reports:
    """Writes how far a training is, and ends it early where somebody asks for that."""

    def __init__(self, job: Job, worker: str, store: Store, known: dict[str, Any]) -> None:
        self._job, self._worker, self._store, self._known = job, worker, store, known
        self._written_s = 0.0

    def __call__(self, progress: Progress) -> None:
        known, now = self._known, time.monotonic()
        if now - self._written_s < REPORT_S and not progress.results:
            return
        self._written_s = now
        if progress.results and progress.results["valid_miou"] is not None:
            # The best epoch's weights are published, not the last one's.
            known["miou"] = max(known.get("miou", 0.0), progress.results["valid_miou"])
            _add_epoch(known, progress)
        known.update(
            stage="training",
            epoch=progress.epoch,
            fraction=progress.fraction,
            loss=progress.loss,
            left_s=progress.left_s,
        )
        with unsaid_in_outages():
            self._store.jobs.progress(self._job.id, self._worker, known)
            if known.get("epochs") and self._is_asked_to_stop():
                raise StoppedEarly

    def _is_asked_to_stop(self) -> bool:
        training_id = self._job.payload.get("training_id")
        return training_id is not None and self._store.trainings.is_asked_to_stop(training_id)


def _add_epoch(known: dict[str, Any], progress: Progress) -> None:
    """Keep the figures of the epochs that were measured, the newest of very many."""
    results = progress.results or {}
    done = [entry for entry in known.get("epochs", []) if entry["epoch"] < progress.epoch]
    entry = {"epoch": progress.epoch, "loss": progress.loss, "miou": results["valid_miou"]}
    known["epochs"] = [*done, entry][-EPOCHS_KEPT:]


def _epochs_of(run: RunFolder) -> list[dict[str, Any]]:
    """The figures of the epochs that a run has measured, as `_add_epoch` keeps them."""
    if not run.results.exists():
        return []
    with run.results.open(newline="") as file:
        rows = [
            {
                "epoch": int(row["epoch"]),
                "loss": float(row["train_loss"]),
                "miou": float(row["valid_miou"]),
            }
            for row in csv.DictReader(file)
            if row["valid_miou"]
        ]
    return rows[-EPOCHS_KEPT:]


def _ask_for_evaluation(job: Job, store: Store) -> None:
    training_id = job.payload["training_id"]
    if not store.evaluations.list(job.workspace_id, training_id=training_id, limit=1):
        store.evaluations.create(store.trainings.by_id(job.workspace_id, training_id))


def restore_pictures(job: Job, store: Store) -> None:
    """Make anew what a training that was begun reads, if it went meanwhile.

    What the training starts from may be gone as well; it is not asked for again.
    """
    if job.kind == "demo":
        demo_request(store.home.folder)
    elif job.kind == TRAIN_VERSION:
        version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
        project = store.projects.by_id(job.workspace_id, version.project_id)
        version_folder(store, project, version)


def request_of(job: Job, store: Store) -> TrainingRequest:
    """What the job wants trained; the demo's pictures are drawn here, a version's are fetched."""
    if job.kind == "demo":
        return demo_request(store.home.folder)
    if job.kind == TRAIN_VERSION:
        return version_request(job, store)
    return TrainingRequest.from_json(job.payload)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
