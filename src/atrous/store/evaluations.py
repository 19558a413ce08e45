"""Evaluations: what a training's model reaches on the splits of its version, measured by a job."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, func, insert, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from atrous.domain.errors import NotFound
from atrous.store.database import Database, jobs, models, new_id
from atrous.store.dataset_tables import evaluations, projects, trainings, versions
from atrous.store.images import SPLITS
from atrous.store.jobs import State, add_job
from atrous.store.trainings import Training

EVALUATE = "evaluate"  # the kind of job


@dataclass(frozen=True)
class Evaluation:
    """One row of `evaluations` with what it is of and what its job says."""

    id: str
    workspace_id: str
    project_id: str
    version_id: str
    training_id: str
    created_at: float  # seconds since 1970
    project: str  # slug
    version: int
    run: int  # the training's number on its version
    model_type: str  # of the model, which need not be what was asked for
    state: State
    result: dict[str, Any]  # by the job: the figures
    error: str | None


class _WithoutPhotos(FunctionElement[Any]):
    """The JSON of a result without the figures of single photos."""

    inherit_cache = True
    type = JSON()


@compiles(_WithoutPhotos, "sqlite")
def _leave_out_in_sqlite(element: _WithoutPhotos, compiler: SQLCompiler, **options: Any) -> str:
    paths = ", ".join(f"'$.splits.{split}.photo_figures'" for split in SPLITS)
    return f"json_remove({compiler.process(element.clauses, **options)}, {paths})"


@compiles(_WithoutPhotos, "postgresql")
def _leave_out_in_postgresql(element: _WithoutPhotos, compiler: SQLCompiler, **options: Any) -> str:
    paths = "".join(f" #- '{{splits,{split},photo_figures}}'" for split in SPLITS)
    return f"CAST({compiler.process(element.clauses, **options)} AS JSONB){paths}"


class Evaluations:
    """Asks for evaluations, and gives those that are there."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def create(self, training: Training) -> Evaluation:
        """Queue the measuring of a training's model."""
        evaluation_id, now = new_id(), self._clock()
        with self._database.write() as connection:
            payload = {"evaluation_id": evaluation_id, "training_id": training.id}
            job = add_job(connection, EVALUATE, payload, training.workspace_id, now)
            connection.execute(
                insert(evaluations).values(
                    id=evaluation_id,
                    workspace_id=training.workspace_id,
                    project_id=training.project_id,
                    version_id=training.version_id,
                    training_id=training.id,
                    job_id=job.id,
                    created_at=now,
                )
            )
        return self.get(training.workspace_id, evaluation_id)

    def get(self, workspace_id: str, evaluation_id: str) -> Evaluation:
        """Give an evaluation of the workspace, else raise NotFound."""
        query = _there(workspace_id).where(evaluations.c.id == evaluation_id)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"there is no evaluation {evaluation_id[:100]!r} in this workspace")
        return _evaluation(row)

    def list(
        self,
        workspace_id: str,
        *,
        project: str | None = None,
        version: int | None = None,
        training_id: str | None = None,
        limit: int | None = 200,
    ) -> list[Evaluation]:
        """Give the evaluations of a workspace, newest first, of these alone where given.

        Their results lack the figures of single photos, which are most of what is stored.
        """
        query = _there(workspace_id, _WithoutPhotos(jobs.c.result)).order_by(
            evaluations.c.created_at.desc(), evaluations.c.id
        )
        if project is not None:
            query = query.where(projects.c.slug == project)
        if version is not None:
            query = query.where(versions.c.number == version)
        if training_id is not None:
            query = query.where(evaluations.c.training_id == training_id)
        with self._database.read() as connection:
            return [_evaluation(row) for row in connection.execute(query.limit(limit)).mappings()]


def _there(workspace_id: str, result: "ColumnElement[Any]" = jobs.c.result) -> "Select[Any]":
    """Those of models that are served: not removed, and nothing of them in the trash."""
    return (
        select(
            *(column for column in evaluations.c if column.name != "job_id"),
            projects.c.slug.label("project"),
            versions.c.number.label("version"),
            trainings.c.number.label("run"),
            func.coalesce(models.c.facts["architecture"].as_string(), trainings.c.model_type).label(
                "model_type"
            ),
            jobs.c.state,
            result.label("result"),
            jobs.c.error,
        )
        .join(projects, projects.c.id == evaluations.c.project_id)
        .join(versions, versions.c.id == evaluations.c.version_id)
        .join(trainings, trainings.c.id == evaluations.c.training_id)
        .join(models, models.c.training_id == evaluations.c.training_id)
        .join(jobs, jobs.c.id == evaluations.c.job_id)
        .where(
            evaluations.c.workspace_id == workspace_id,
            models.c.removed_at.is_(None),
            models.c.trashed_by.is_(None),
        )
    )


def _evaluation(row: Mapping[Any, Any]) -> Evaluation:
    return Evaluation(**row)
