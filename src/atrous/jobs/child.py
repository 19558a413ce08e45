"""The process that runs one job: `python -m atrous.jobs.child JOB_ID WORKER`.

A process of its own, so that a crash, or memory that is not given back, ends with the job.
"""

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from atrous.domain.errors import AtrousError
from atrous.jobs.demo import demo_request
from atrous.jobs.train import finish_run, start_run
from atrous.jobs.training_request import TrainingRequest
from atrous.store.home import home_folder
from atrous.store.jobs import Job
from atrous.store.opening import Store, open_store
from atrous.training.loop import Progress
from atrous.training.run_folder import RunFolder

logger = logging.getLogger(__name__)
REPORT_S = 1.0  # between two writes of progress: every one is flushed to the disk
PARENT_POLL_S = 1.0
NICENESS = 5  # serving goes before training where both want the processor


def main(job_id: str, worker: str) -> int:
    """Run the job and settle it; gives the exit code, 0 also for a job that failed and says so."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    os.nice(NICENESS)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    with open_store(home_folder()) as store:
        job = store.jobs.get(job_id)
        try:
            result = run_training(job, worker, store)
        except AtrousError as error:
            logger.warning("job %s failed: %s", job.id, error)
            store.jobs.fail(job.id, worker, str(error))
        except (OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
            # Trying again would end the same way; the cause is kept instead.
            logger.exception("job %s failed", job.id)
            store.jobs.fail(job.id, worker, f"{type(error).__name__}: {error}")
        else:
            store.jobs.finish(job.id, worker, result)
    return 0


def end_with(parent: int) -> None:
    """End this process when the worker that began it has died: another one takes the job over."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


def run_training(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Train and publish; a job that was begun before goes on from its run's last checkpoint."""
    known = dict(job.progress)
    if "run" in known:
        run = RunFolder(Path(known["run"]))
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
    """What the job wants trained; the demo's pictures are drawn here."""
    if job.kind == "demo":
        return demo_request(store.home.folder)
    return TrainingRequest.from_json(job.payload)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
