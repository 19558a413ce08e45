"""The process that runs one training: `python -m atrous.jobs.child JOB_ID WORKER`.

A process of its own, so that a crash, or memory that is not given back, ends with the job.
"""

import sys
import time
from pathlib import Path
from typing import Any

from atrous.jobs.demo import demo_request
from atrous.jobs.settling import run_and_settle
from atrous.jobs.train import finish_run, start_run
from atrous.jobs.training_request import TrainingRequest
from atrous.jobs.version_training import version_request
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.trainings import TRAIN_VERSION
from atrous.training.loop import Progress
from atrous.training.run_folder import RunFolder

REPORT_S = 1.0  # between two writes of progress: every one is flushed to the disk


def main(job_id: str, worker: str) -> int:
    """Run a training and settle its job; gives the exit code."""
    return run_and_settle(job_id, worker, lambda job, name, store: run_training(job, name, store))


def run_training(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Train and publish; a job that was begun before goes on from its run's last checkpoint."""
    known = dict(job.progress)
    if "run" in known:
        run = RunFolder(Path(known["run"]))
        request_of(job, store)  # the pictures are there again, if they went meanwhile
    else:
        store.jobs.progress(job.id, worker, {"stage": "reading the pictures"})
        run = start_run(request_of(job, store), store)
        known.update(stage="loading the network", run=str(run.path))
        store.jobs.progress(job.id, worker, known)

    written_s = 0.0

    def report(progress: Progress) -> None:
        nonlocal written_s
        now = time.monotonic()
        if now - written_s < REPORT_S and not progress.results:
            return
        written_s = now
        if progress.results:
            # The best epoch's weights are published, not the last one's.
            known["miou"] = max(known.get("miou", 0.0), progress.results["valid_miou"])
        known.update(
            stage="training",
            epoch=progress.epoch,
            fraction=progress.fraction,
            loss=progress.loss,
            left_s=progress.left_s,
        )
        store.jobs.progress(job.id, worker, known)

    model_id = finish_run(run, store, report)
    return {"model_id": str(model_id), "run": str(run.path), "miou": known.get("miou")}


def request_of(job: Job, store: Store) -> TrainingRequest:
    """What the job wants trained; the demo's pictures are drawn here, a version's are fetched."""
    if job.kind == "demo":
        return demo_request(store.home.folder)
    if job.kind == TRAIN_VERSION:
        return version_request(job, store)
    return TrainingRequest.from_json(job.payload)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
