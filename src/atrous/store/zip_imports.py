"""Zips of whole data sets: announced, received, and then a job that imports them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, select, update

from atrous.domain.errors import Conflict, NotFound
from atrous.images.decode import MAX_PIXELS
from atrous.store.blobs import Blob
from atrous.store.database import Database, jobs
from atrous.store.jobs import Job, add_job, read_job
from atrous.store.projects import Project

IMPORT = "import-zip"  # the kind of job that imports one
WAITING = "waiting"  # its state before the zip has come: no worker takes it
OVER = ("finished", "failed", "cancelled")
FORGOTTEN_AFTER_S = 7 * 86_400.0  # without its zip


@dataclass(frozen=True)
class ImportWishes:
    """What is said about all photos of a zip."""

    split: str | None  # None: as its folders are called, else train
    batch: str
    tags: tuple[str, ...]
    overwrite: bool  # labels that are there
    max_pixels: int = MAX_PIXELS  # of one photo: the setting of the server that was asked


class ZipImports:
    """Announces imports, and starts them when their zip is in the blobs."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def announce(self, project: Project, wishes: ImportWishes) -> Job:
        """Add an import that waits for its zip; those that got none for a week are forgotten."""
        payload = {"project_id": project.id, **vars(wishes), "tags": list(wishes.tags)}
        waiting = and_(jobs.c.kind == IMPORT, jobs.c.state == WAITING)
        with self._database.write() as connection:
            oldest = self._clock() - FORGOTTEN_AFTER_S
            connection.execute(delete(jobs).where(waiting, jobs.c.created_at < oldest))
            job = add_job(connection, IMPORT, payload, project.workspace_id, self._clock())
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(state=WAITING))
        return self._by_id(job.id)

    def start(self, task_id: str, blob: Blob) -> None:
        """Queue an import whose zip is stored; the same zip once more is no error."""
        job = self._by_id(task_id)
        payload = {**job.payload, "digest": blob.digest, "size_bytes": blob.size_bytes}
        waiting = and_(jobs.c.id == task_id, jobs.c.state == WAITING)
        with self._database.write() as connection:
            changed = update(jobs).where(waiting).values(state="queued", payload=payload)
            if connection.execute(changed).rowcount == 1:
                return
        if self._by_id(task_id).payload.get("digest") != blob.digest:
            raise Conflict("another zip came for this task already; ask for a new one")

    def get(self, workspace_id: str, task_id: str) -> Job:
        """Give an import of the workspace, else raise NotFound."""
        job = self._by_id(task_id)
        if job.workspace_id != workspace_id:
            raise NotFound(f"there is no zip upload {task_id[:100]!r}")
        return job

    def is_waiting(self, task_id: str) -> bool:
        """Whether an import still waits for its zip; NotFound where it is not there."""
        return self._by_id(task_id).state == WAITING

    def _by_id(self, task_id: str) -> Job:
        query = select(jobs).where(jobs.c.id == task_id, jobs.c.kind == IMPORT)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"there is no zip upload {task_id[:100]!r}")
        return read_job(row)


def is_over() -> "ColumnElement[bool]":
    """The condition on rows of `jobs` that are imports which need their zip no more."""
    return and_(jobs.c.kind == IMPORT, jobs.c.state.in_(OVER))
