"""Trainings: runs on a version, each with its job in the queue."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, insert, select

from atrous.domain.errors import NotFound
from atrous.store.database import Database, jobs, new_id
from atrous.store.dataset_tables import trainings
from atrous.store.jobs import State, add_job
from atrous.store.versions import Version

TRAIN_VERSION = "train-version"  # the kind of job


@dataclass(frozen=True)
class Training:
    """One row of `trainings` with what its job says; times are seconds since 1970."""

    id: str
    workspace_id: str
    project_id: str
    version_id: str
    job_id: str
    model_type: str
    settings: dict[str, Any]  # as they were asked for
    created_at: float
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
        """Queue a training on a version."""
        training_id, now = new_id(), self._clock()
        with self._database.write() as connection:
            payload = {"version_id": version.id, "training_id": training_id, "settings": settings}
            job = add_job(connection, TRAIN_VERSION, payload, version.workspace_id, now)
            connection.execute(
                insert(trainings).values(
                    id=training_id,
                    workspace_id=version.workspace_id,
                    project_id=version.project_id,
                    version_id=version.id,
                    job_id=job.id,
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

    def list(self, version: Version) -> list[Training]:
        """Give the trainings of a version, oldest first."""
        query = (
            _with_job()
            .where(trainings.c.version_id == version.id)
            .order_by(trainings.c.created_at, trainings.c.id)
        )
        with self._database.read() as connection:
            return [_training(row) for row in connection.execute(query).mappings()]


def _with_job() -> "Select[Any]":
    return select(
        trainings,
        jobs.c.state,
        jobs.c.progress,
        jobs.c.result,
        jobs.c.error,
        jobs.c.started_at,
        jobs.c.finished_at,
    ).join(jobs, jobs.c.id == trainings.c.job_id)


def _training(row: Mapping[Any, Any]) -> Training:
    return Training(**row)
