"""The worker: claims jobs and runs each in a child process that it watches over."""

import logging
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence

from atrous.domain.errors import AtrousError, NotFound
from atrous.jobs.settling import BROKEN_OFF, OUTAGES
from atrous.jobs.worker_presence import present, release_jobs_of_the_dead
from atrous.store.jobs import Job
from atrous.store.opening import Store

logger = logging.getLogger(__name__)
TRAINING_KINDS = ("demo", "train", "train-version")  # what `atrous.jobs.child` knows
# What `atrous.jobs.dataset_child` knows.
DATASET_KINDS = (
    "generate",
    "export",
    "export-search",
    "import-zip",
    "add-model",
    "evaluate",
    "embed-project",
    "change-photos",
)
KINDS = (*TRAINING_KINDS, *DATASET_KINDS)
CLEAN_EVERY_S = 86_400.0
POLL_S = 1.0  # between looks into the queue, and at a running child
RETRY_S = 5.0  # after a database or an S3 that did not answer
TERMINATE_S = 10.0  # a child that was asked to end gets so long before it is killed


def worker_name() -> str:
    """A name that no other running worker has: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def work(store: Store, name: str, stopping: threading.Event, kinds: Sequence[str] = KINDS) -> None:
    """Run jobs, one at a time, oldest first, until `stopping` is set; then give back the job in
    hand.

    kinds: jobs of others are left to other workers.
    A database that does not answer, or has no room, is waited for.
    """
    logger.info("worker %s waits for jobs", name)
    cleaned_s = -math.inf
    with present(store.home.folder, name) as presence:
        while not stopping.is_set():
            try:
                living = release_jobs_of_the_dead(store)
                job = store.jobs.claim(name, kinds, living)
                if job is not None:
                    run_in_child(store, job, name, stopping, inherited=(presence,))
                elif time.monotonic() - cleaned_s > CLEAN_EVERY_S:
                    cleaned_s = time.monotonic()
                    clean(store)
                else:
                    stopping.wait(POLL_S)
            except OUTAGES as error:
                logger.warning("worker %s waits: %s", name, error)
                stopping.wait(RETRY_S)


def clean(store: Store) -> None:
    """Delete what lay in the trash for long, and what crashes and removed photos left behind, and
    take over packages that are no blobs yet; a failure is for the log alone.
    """
    try:
        taken = store.models.take_over_packages()
        emptied = store.emptying.remove()
        removed = store.leftovers.remove()
    except (OSError, AtrousError):
        logger.exception("what crashes and removed photos left behind could not be deleted")
        return
    if taken:
        logger.info("brought %d model packages into the blobs", taken)
    if emptied.total:
        logger.info("deleted %d things that had lain in the trash for a month", emptied.total)
    if removed.blobs or removed.files:
        logger.info(
            "deleted %d stored files (%d bytes) that nothing refers to, and %d others",
            removed.blobs,
            removed.size_bytes,
            len(removed.files),
        )


def run_in_child(
    store: Store,
    job: Job,
    name: str,
    stopping: threading.Event,
    inherited: Collection[int] = (),
) -> None:
    """Run one job to its end, its cancellation, or `stopping`.

    inherited: descriptors that stay open until the child has ended.
    The child settles the job itself. One that dies without doing so has its job queued again;
    the store fails a job that has killed too many children, but none that met outages.
    """
    logger.info("job %s (%s) begins, attempt %d", job.id, job.kind, job.attempts)
    command = child_command if job.kind in TRAINING_KINDS else dataset_child_command
    child = subprocess.Popen(command(job.id, name), pass_fds=inherited)
    try:
        while child.poll() is None:
            if stopping.is_set():
                _end(child)
                store.jobs.release(job.id, name, counted=False)
                return
            if not _is_held(store, job, name):
                if _is_cancelled(store, job):
                    logger.info("job %s was cancelled", job.id)
                _end(child)
                return
            stopping.wait(POLL_S)
    finally:
        _end(child)
    is_broken_off = child.returncode == BROKEN_OFF
    # Ctrl-C in a terminal reaches the child as well, which may end before `stopping` is seen.
    counted = not (is_broken_off or stopping.is_set())
    if store.jobs.release(job.id, name, counted=counted):
        logger.warning(
            "job %s: its process ended with exit code %d and is tried again",
            job.id,
            child.returncode,
        )
    if is_broken_off:
        stopping.wait(RETRY_S)


def _is_held(store: Store, job: Job, name: str) -> bool:
    """Give a sign of life; whether the job is still this worker's. It runs on while the database
    does not answer: was it taken over meanwhile, the next sign says so.
    """
    try:
        return store.jobs.heartbeat(job.id, name)
    except OUTAGES as error:
        logger.warning("job %s runs on: %s", job.id, error)
        return True


def _is_cancelled(store: Store, job: Job) -> bool:
    """Whether nobody wants it any more; the row may be gone with what it was for."""
    try:
        return store.jobs.get(job.id).state == "cancelled"
    except NotFound:
        return True


def child_command(job_id: str, worker: str) -> list[str]:
    """What runs one training in a process of its own."""
    return [sys.executable, "-m", "atrous.jobs.child", job_id, worker, str(os.getpid())]


def dataset_child_command(job_id: str, worker: str) -> list[str]:
    """What makes a version or an export, or measures a model, in a process of its own, without
    torch.
    """
    return [sys.executable, "-m", "atrous.jobs.dataset_child", job_id, worker, str(os.getpid())]


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(TERMINATE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
