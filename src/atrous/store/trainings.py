"""Trainings: runs on a version, each with its job in the queue."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from atrous.domain.errors import Conflict, NotFound
from atrous.store.blobs import Blob
from atrous.store.database import Database, jobs, models, new_id
from atrous.store.dataset_tables import projects, trainings, versions
from atrous.store.jobs import State, add_job
from atrous.store.versions import Version

TRAIN_VERSION = "train-version"  # the kind of job
ADD_MODEL = "add-model"  # that of one whose model came as a file
OPEN = ("queued", "running")
IN_TRASH = ("trashed_at", "emptied_at")  # columns for the trash alone


@dataclass(frozen=True)
class Training:
    """One row of `trainings` with what its job says; times are seconds since 1970."""

    id: str
    workspace_id: str
    project_id: str
    version_id: str
    job_id: str
    number: int  # of those on the version, from 1; never given again
    model_type: str
    settings: dict[str, Any]  # as they were asked for
    created_at: float
    stop_asked_at: float | None  # when somebody wished it to end early, with what it has
    state: State
    progress: dict[str, Any]
    result: dict[str, Any]
    error: str | None
    started_at: float | None
    finished_at: float | None


class Trainings:
    """Queues and finds trainings."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def create(self, version: Version, model_type: str, settings: dict[str, Any]) -> Training:
        """Queue a training on a version; NotFound where that went into the trash meanwhile."""
        return self._add(version, TRAIN_VERSION, model_type, settings, {"settings": settings})

    def add_uploaded(self, version: Version, model_type: str, package: Blob) -> Training:
        """Queue the adding of a model that was trained elsewhere: a zip of its package.

        It counts as a training of the version, so that it is served, listed and put into the
        trash as others are. Raises what `create` raises.
        """
        payload = {"digest": package.digest, "size_bytes": package.size_bytes}
        return self._add(version, ADD_MODEL, model_type, {}, payload)

    def _add(
        self,
        version: Version,
        kind: str,
        model_type: str,
        settings: dict[str, Any],
        payload: dict[str, Any],
    ) -> Training:
        training_id, now = new_id(), self._clock()
        with self._database.write() as connection:
            _hold_version(connection, version)
            last = select(func.max(trainings.c.number)).where(trainings.c.version_id == version.id)
            about = {"version_id": version.id, "training_id": training_id, **payload}
            job = add_job(connection, kind, about, version.workspace_id, now)
            connection.execute(
                insert(trainings).values(
                    id=training_id,
                    workspace_id=version.workspace_id,
                    project_id=version.project_id,
                    version_id=version.id,
                    job_id=job.id,
                    number=int(connection.execute(last).scalar() or 0) + 1,
                    model_type=model_type,
                    settings=settings,
                    created_at=now,
                )
            )
        return self.get(version, training_id)

    def get(self, version: Version, training_id: str) -> Training:
        """Give a training of the version, else raise NotFound."""
        for training in self.list(version):
            if training.id == training_id:
                return training
        raise NotFound(f"there is no training {training_id[:100]!r} of this version")

    def by_id(self, workspace_id: str, training_id: str) -> Training:
        """Give a training of the workspace, also one that lies in the trash."""
        query = _with_job().where(
            trainings.c.workspace_id == workspace_id, trainings.c.id == training_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"there is no training {training_id[:100]!r} in this workspace")
        return _training(row)

    def list(self, version: Version) -> list[Training]:
        """Give the trainings of a version, oldest first."""
        return [*self.of_versions([version])[version.id]]

    def of_versions(self, chosen: Sequence[Version]) -> Mapping[str, Sequence[Training]]:
        """Give the trainings of several versions by their ids, oldest first, in one query."""
        found: dict[str, list[Training]] = {version.id: [] for version in chosen}
        query = (
            _with_job()
            .where(trainings.c.version_id.in_(list(found)), trainings.c.trashed_at.is_(None))
            .order_by(trainings.c.number)
        )
        with self._database.read() as connection:
            for row in connection.execute(query).mappings():
                found[row["version_id"]].append(_training(row))
        return found

    def ask_to_stop(self, training: Training) -> None:
        """Let a running training end early and publish the best it has.

        One that has not begun is cancelled; one that is over raises Conflict, unless it was asked
        to stop before.
        """
        if training.stop_asked_at is not None:
            return
        if training.state == "queued" and not training.progress:
            self.cancel(training)
            return
        if training.state not in OPEN:
            raise Conflict(f"the training is {training.state} already")
        with self._database.write() as connection:
            connection.execute(
                update(trainings)
                .where(trainings.c.id == training.id)
                .values(stop_asked_at=self._clock())
            )

    def is_asked_to_stop(self, training_id: str) -> bool:
        """Tell whether somebody wants the training to end early."""
        query = select(trainings.c.stop_asked_at).where(trainings.c.id == training_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar() is not None

    def cancel(self, training: Training) -> None:
        """End a training without a model; its worker sees it within a second or two.

        Raises Conflict for one that is over, or has published its model a moment ago.
        """
        of_job = jobs.c.id == training.job_id
        with self._database.write() as connection:
            lock = select(jobs.c.state).where(of_job).with_for_update()
            state = connection.execute(lock).scalar()
            if state not in OPEN:
                raise Conflict(f"the training is {state} already")
            published = select(models.c.id).where(models.c.training_id == training.id)
            if connection.execute(published).first():
                raise Conflict("the training has published its model; delete it instead")
            values = {"state": "cancelled", "finished_at": self._clock()}
            connection.execute(update(jobs).where(of_job).values(values))


def _hold_version(connection: Connection, version: Version) -> None:
    """Let nobody put the version or its project into the trash before this transaction ends."""
    there = (
        select(versions.c.id)
        .join(projects, projects.c.id == versions.c.project_id)
        .where(versions.c.id == version.id)
        .where(versions.c.trashed_at.is_(None), projects.c.trashed_at.is_(None))
        .with_for_update()
    )
    if connection.execute(there).first() is None:
        raise NotFound(f"version {version.number} is in the trash; restore it first")


def _with_job() -> "Select[Any]":
    return select(
        *(column for column in trainings.c if column.name not in IN_TRASH),
        jobs.c.state,
        jobs.c.progress,
        jobs.c.result,
        jobs.c.error,
        jobs.c.started_at,
        jobs.c.finished_at,
    ).join(jobs, jobs.c.id == trainings.c.job_id)


def _training(row: Mapping[Any, Any]) -> Training:
    return Training(**row)
