"""What every process does that runs one job: run it, settle it, end with its worker."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from atrous.domain.errors import AtrousError, DiskFull, Unavailable
from atrous.store.home import home_folder
from atrous.store.jobs import Job
from atrous.store.opening import Store, open_store

logger = logging.getLogger(__name__)
PARENT_POLL_S = 1.0
# What bad data or a bad disk make of a job.
FAULTS = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
OUTAGES = (Unavailable, DiskFull)  # of the database: they end by themselves, or somebody ends them
BROKEN_OFF = os.EX_TEMPFAIL  # exit code of a process that met an outage: it is no fault of the job
NICENESS = 5  # serving goes before slow work where both want the processor

Run = Callable[[Job, str, Store], dict[str, Any]]  # job, worker, store -> the job's result


def run_and_settle(job_id: str, worker: str, parent: int, run: Run) -> int:
    """Run a job and settle it; gives the exit code, 0 also for a job that failed and says so.

    parent: the worker's process, with which this one ends.
    One that met a database or an S3 that did not answer is not settled, and the code is BROKEN_OFF:
    its worker tries it again.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    os.nice(NICENESS)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    try:
        with open_store(home_folder()) as store:
            _settle(store.jobs.get(job_id), worker, store, run)
    except Unavailable:
        logger.exception("job %s is broken off", job_id)
        return BROKEN_OFF
    return 0


def _settle(job: Job, worker: str, store: Store, run: Run) -> None:
    try:
        result = run(job, worker, store)
    except Unavailable:
        raise
    except AtrousError as error:
        logger.warning("job %s failed: %s", job.id, error)
        store.jobs.fail(job.id, worker, told(str(error), store))
    except FAULTS as error:
        # Trying again would end the same way; the cause is kept instead.
        logger.exception("job %s failed", job.id)
        store.jobs.fail(job.id, worker, told(f"{type(error).__name__}: {error}", store))
    else:
        store.jobs.finish(job.id, worker, result)


def told(message: str, store: Store) -> str:
    """A message for everybody who may see the job: it does not say where the data folder lies."""
    return message.replace(str(store.home.folder), "the data folder")


def end_with(parent: int) -> None:
    """End this process when the worker that began it has died: another one takes the job over.

    The worker says which process it is: it may be dead before this one can ask.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


@contextlib.contextmanager
def unsaid_in_outages() -> Iterator[None]:
    """Go on where how far a job is can't be written: the work itself does not need it."""
    try:
        yield
    except OUTAGES as error:
        logger.warning("how far the job is could not be written: %s", error)


class FractionReport:
    """Writes how far a job is, at most once a second: every write is flushed to the disk."""

    def __init__(self, job: Job, worker: str, store: Store, total: int) -> None:
        """Report on so many steps."""
        self._job, self._worker, self._store = job, worker, store
        self._total, self._done = max(total, 1), 0
        self._written_s = 0.0

    def step(self) -> None:
        """Count one more step."""
        self._done += 1
        now = time.monotonic()
        if now - self._written_s >= PARENT_POLL_S:
            self._written_s = now
            fraction = min(self._done / self._total, 1.0)
            known = {"fraction": fraction, "done": self._done, "total": self._total}
            with unsaid_in_outages():
                self._store.jobs.progress(self._job.id, self._worker, known)
