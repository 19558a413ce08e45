"""Who of the workers of this data folder lives: each holds a lock that ends with it."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from atrous.store.opening import Store

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def present(folder: Path, worker: str) -> Iterator[int]:
    """Hold the worker's lock; gives its descriptor.

    Children must inherit that: the lock is let go of when the worker and all of them have ended,
    however they ended, so that none still writes when somebody else goes on with its job.
    """
    path = _lock_file(folder, worker)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def release_jobs_of_the_dead(store: Store) -> set[str]:
    """Queue those running jobs again whose worker, of this data folder, has died.

    Gives the workers that live, however long they were silent: a machine may have been suspended.
    Workers elsewhere are not known here: their silence tells.
    """
    living = set()
    for job in store.jobs.list(state="running"):
        if job.worker is None:
            continue
        lives = _lives(_lock_file(store.home.folder, job.worker))
        if lives:
            living.add(job.worker)
        elif lives is False and store.jobs.release(job.id, job.worker, counted=True):
            logger.warning("job %s: worker %s has died; it is tried again", job.id, job.worker)
    return living


def _lock_file(folder: Path, worker: str) -> Path:
    return folder / "workers" / f"{worker.replace('/', '_')}.lock"


def _lives(path: Path) -> bool | None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None  # it works on another data folder, or has ended in order
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)
