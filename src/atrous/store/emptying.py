"""Emptying the trash: what has lain there for long is deleted for good."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, update

from atrous.store.database import Database, jobs, models
from atrous.store.dataset_tables import (
    batches,
    evaluations,
    exports,
    image_tags,
    images,
    label_classes,
    labels,
    projects,
    trainings,
    version_images,
    version_sources,
    versions,
)
from atrous.store.home import Home
from atrous.store.package_files import delete_files, delete_local_files
from atrous.store.runs import is_run

KEPT_DAYS = 30.0  # in the trash
SECONDS_PER_DAY = 86_400.0
OF_PHOTOS = (label_classes, labels, image_tags, images, batches)  # what others hang on comes last


@dataclass(frozen=True)
class Emptied:
    """How many things were deleted, or would be."""

    projects: int
    versions: int
    trainings: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.projects + self.versions + self.trainings


class Emptying:
    """Deletes photos, labels, pictures, evaluations, runs and models of things in the trash.

    Rows of projects, versions and trainings stay, emptied: their numbers and slugs are never
    given again. Blobs go with the next `Leftovers.remove`, as nothing names them any more.
    """

    def __init__(
        self, home: Home, database: Database, clock: Callable[[], float] = time.time
    ) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._home, self._database, self._clock = home, database, clock

    def remove(self, *, kept_days: float = KEPT_DAYS, only_look: bool = False) -> Emptied:
        """Delete what was put into the trash so many days ago, or earlier."""
        before = self._clock() - kept_days * SECONDS_PER_DAY
        found = [self._lying(table, before) for table in (projects, versions, trainings)]
        if not only_look:
            for table, ids in zip((projects, versions, trainings), found, strict=True):
                for thing in ids:
                    self._empty(table, thing, before)
        return Emptied(*map(len, found))

    def _lying(self, table: Table, before: float) -> list[str]:
        query = select(table.c.id).where(*_is_due(table, before)).order_by(table.c.trashed_at)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def _empty(self, table: Table, thing: str, before: float) -> None:
        """Rows first: of folders without a row nothing is served, and not the other way round."""
        with self._database.write() as connection:
            due = select(table.c.id).where(table.c.id == thing, *_is_due(table, before))
            if connection.execute(due.with_for_update()).first() is None:
                return  # taken out of the trash a moment ago
            folders = _delete_rows(connection, table, thing, self._clock())
        for folder in folders.packages:
            delete_local_files(self._home, folder)
        for version in folders.versions:
            shutil.rmtree(self._home.version_pictures / version, ignore_errors=True)
        for run in folders.runs:
            path = Path(run["run"]).resolve()
            is_ours = path.parent.parent == self._home.runs.resolve()
            if is_ours and is_run(path, run.get("run_id")):
                shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class _Folders:
    """What lies on the disk of the things that go."""

    packages: list[str]
    versions: list[str]  # ids of those whose pictures may lie there
    runs: list[dict[str, Any]]  # as jobs tell of them


def _is_due(table: Table, before: float) -> tuple[Any, ...]:
    return table.c.trashed_at <= before, table.c.emptied_at.is_(None)


def _delete_rows(connection: Connection, table: Table, thing: str, now: float) -> _Folders:
    if table is projects:
        its_versions, its_trainings = (
            versions.c.project_id == thing,
            trainings.c.project_id == thing,
        )
        for each in OF_PHOTOS:
            connection.execute(delete(each).where(each.c.project_id == thing))
    elif table is versions:
        its_versions, its_trainings = versions.c.id == thing, trainings.c.version_id == thing
    else:
        its_versions, its_trainings = versions.c.id.is_(None), trainings.c.id == thing
    training_ids = select(trainings.c.id).where(its_trainings)
    version_ids = list(connection.execute(select(versions.c.id).where(its_versions)).scalars())

    # Of a project, also those of no training.
    taken = models.c.training_id.in_(training_ids) | (models.c.trashed_by == thing)
    packages = list(connection.execute(select(models.c.folder).where(taken)).scalars())
    gone = taken & models.c.removed_at.is_(None)
    connection.execute(update(models).where(gone).values(removed_at=now))
    delete_files(connection, packages)
    runs = _runs_of(connection, select(trainings.c.job_id).where(its_trainings))

    of_training = evaluations.c.training_id.in_(training_ids)
    _delete_with_jobs(connection, evaluations, of_training)
    _delete_with_jobs(connection, exports, exports.c.version_id.in_(version_ids))
    for each in (version_sources, version_images):
        connection.execute(delete(each).where(each.c.version_id.in_(version_ids)))
    for each, condition in ((trainings, its_trainings), (versions, its_versions)):
        emptied = {"emptied_at": now, "trashed_at": _first_time(each, now)}
        connection.execute(update(each).where(condition).values(**emptied))
    connection.execute(update(table).where(table.c.id == thing).values(emptied_at=now))
    return _Folders(packages, version_ids, runs)


def _first_time(table: Table, now: float) -> Any:
    """What lies in a project that goes was perhaps not put into the trash by itself."""
    return func.coalesce(table.c.trashed_at, now)


def _runs_of(connection: Connection, job_ids: Any) -> list[dict[str, Any]]:
    found = connection.execute(select(jobs.c.progress).where(jobs.c.id.in_(job_ids))).scalars()
    return [progress for progress in found if progress.get("run")]


def _delete_with_jobs(connection: Connection, table: Table, condition: Any) -> None:
    """Delete rows, and the jobs that made them: their results name blobs."""
    job_ids = list(connection.execute(select(table.c.job_id).where(condition)).scalars())
    connection.execute(delete(table).where(condition))
    connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids)))
