"""The trash: projects, versions and trainings that are out of sight, and can come back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select, update

from atrous.domain.errors import Conflict, NotFound
from atrous.store.database import Database, jobs, models
from atrous.store.dataset_tables import evaluations, exports, projects, trainings, versions
from atrous.store.jobs import EMBED_PROJECT
from atrous.store.search_exports import EXPORT_SEARCH
from atrous.store.zip_imports import IMPORT, WAITING

Kind = Literal["project", "version", "training"]
OPEN = ("queued", "running")
OF_PROJECTS = (IMPORT, EXPORT_SEARCH, EMBED_PROJECT)  # kinds of jobs that name a project alone


@dataclass(frozen=True)
class Trashed:
    """One thing in the trash; `trashed_at` is in seconds since 1970."""

    kind: Kind
    id: str  # of a version its number, else the row's id
    name: str
    trashed_at: float
    project_id: str
    project: str  # slug
    project_name: str


class Trash:
    """Takes things in and gives them back. Nothing of them is deleted meanwhile; what is, and when:
    `store/emptying.py`.

    With a thing its models go out of service, and its jobs that wait or run are cancelled. A
    project takes along what the command line published under its name.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def put_project(self, project_id: str) -> None:
        """Take in a project with all that it has."""
        self._put(projects, project_id, trainings.c.project_id == project_id)

    def put_version(self, version_id: str) -> None:
        """Take in a version with its trainings and their models."""
        self._put(versions, version_id, trainings.c.version_id == version_id)

    def put_training(self, training_id: str) -> None:
        """Take in a training that is over, with its model; one that runs raises Conflict."""
        query = (
            select(jobs.c.state)
            .join(trainings, trainings.c.job_id == jobs.c.id)
            .where(trainings.c.id == training_id)
        )
        with self._database.read() as connection:
            if connection.execute(query).scalar() in OPEN:
                raise Conflict("the training is not over; stop or cancel it first")
        self._put(trainings, training_id, trainings.c.id == training_id)

    def _put(self, table: Table, thing: str, its_trainings: "ColumnElement[bool]") -> None:
        now = self._clock()
        taken = select(trainings.c.id).where(its_trainings)
        with self._database.write() as connection:
            connection.execute(  # first: from here on no job is added to it
                update(table)
                .where(table.c.id == thing, table.c.trashed_at.is_(None))
                .values(trashed_at=now)
            )
            for job_ids in _jobs_of(table, thing):
                connection.execute(
                    update(jobs)
                    .where(jobs.c.id.in_(job_ids), jobs.c.state.in_((*OPEN, WAITING)))
                    .values(state="cancelled", finished_at=now)
                )
            connection.execute(
                update(models)
                .where(
                    or_(models.c.training_id.in_(taken), _published_as(thing)),
                    models.c.trashed_by.is_(None),
                )
                .values(trashed_by=thing)
            )

    def list(self, workspace_id: str) -> list[Trashed]:
        """Give what lies in the trash of a workspace, newest first."""
        with self._database.read() as connection:
            found = [
                *_trashed_projects(connection, workspace_id),
                *_trashed_versions(connection, workspace_id),
                *_trashed_trainings(connection, workspace_id),
            ]
        return sorted(found, key=lambda item: -item.trashed_at)

    def restore(
        self, workspace_id: str, kind: Kind, item_id: str, parent: str | None = None
    ) -> Trashed:
        """Bring a thing back, with its models; jobs that were cancelled stay so.

        parent: the id or slug of a version's project. What is not there raises NotFound; what
        belongs to something in the trash raises Conflict.
        """
        found = [
            item
            for item in self.list(workspace_id)
            if item.kind == kind
            and item_id in _names_of(item)
            and (kind != "version" or parent in (None, item.project_id, item.project))
        ]
        if not found:
            raise NotFound(f"there is no {kind} {item_id[:100]!r} in the trash")
        if len(found) > 1:
            raise Conflict(f"{len(found)} versions {item_id!r} lie there; give the project's id")
        item = found[0]
        with self._database.write() as connection:
            table, row_id = _row_of(connection, item)
            _refuse_orphan(connection, item, row_id)
            there = update(table).where(table.c.id == row_id, table.c.emptied_at.is_(None))
            if not connection.execute(there.values(trashed_at=None)).rowcount:
                raise NotFound(f"the {kind} {item_id[:100]!r} was deleted a moment ago")
            connection.execute(
                update(models).where(models.c.trashed_by == row_id).values(trashed_by=None)
            )
        return item


def _published_as(project_id: str) -> "ColumnElement[bool]":
    """The models that a project has without a training; ids of other things have none."""
    project = select(projects.c.id).where(
        projects.c.id == project_id,
        projects.c.slug == models.c.project,
        projects.c.workspace_id == models.c.workspace_id,
    )
    return and_(models.c.training_id.is_(None), project.exists())


def _names_of(item: Trashed) -> set[str]:
    return {item.id, item.project} if item.kind == "project" else {item.id}


def _jobs_of(table: Table, thing: str) -> list[Any]:
    """The ids of all jobs that work for a thing."""
    if table is trainings:
        return [select(evaluations.c.job_id).where(evaluations.c.training_id == thing)]
    column = "project_id" if table is projects else "version_id"
    made = versions.c.project_id if table is projects else versions.c.id
    of_versions = select(versions.c.id).where(made == thing)
    of_payload = jobs.c.payload["project_id"].as_string() == thing  # of no version
    return [
        select(versions.c.job_id).where(made == thing),
        select(exports.c.job_id).where(exports.c.version_id.in_(of_versions)),
        select(trainings.c.job_id).where(trainings.c[column] == thing),
        select(evaluations.c.job_id).where(evaluations.c[column] == thing),
        select(jobs.c.id).where(jobs.c.kind.in_(OF_PROJECTS), of_payload),
    ]


def _row_of(connection: Connection, item: Trashed) -> tuple[Table, str]:
    if item.kind == "project":
        return projects, item.id
    if item.kind == "training":
        return trainings, item.id
    query = select(versions.c.id).where(
        versions.c.project_id == item.project_id, versions.c.number == int(item.id)
    )
    return versions, str(connection.execute(query).scalar_one())


def _refuse_orphan(connection: Connection, item: Trashed, row_id: str) -> None:
    """What lies in something that is in the trash itself would come back nowhere."""
    if item.kind == "project":
        return
    above = [projects.c.id == item.project_id]
    query = select(projects.c.id).where(*above, projects.c.trashed_at.is_not(None))
    if item.kind == "training":
        version = select(trainings.c.version_id).where(trainings.c.id == row_id).scalar_subquery()
        of_version = select(versions.c.id).where(
            versions.c.id == version, versions.c.trashed_at.is_not(None)
        )
        query = select(projects.c.id).where(
            *above, or_(projects.c.trashed_at.is_not(None), of_version.exists())
        )
    if connection.execute(query).first():
        raise Conflict(f"what the {item.kind} belongs to is in the trash; restore that first")


def _lies_in_trash(table: Table) -> tuple["ColumnElement[bool]", ...]:
    return table.c.trashed_at.is_not(None), table.c.emptied_at.is_(None)


def _trashed_projects(connection: Connection, workspace_id: str) -> list[Trashed]:
    query = select(projects).where(
        projects.c.workspace_id == workspace_id, *_lies_in_trash(projects)
    )
    return [
        Trashed("project", row.id, row.name, row.trashed_at, row.id, row.slug, row.name)
        for row in connection.execute(query)
    ]


def _trashed_versions(connection: Connection, workspace_id: str) -> list[Trashed]:
    query = (
        select(versions, projects.c.slug, projects.c.name.label("project_name"))
        .join(projects, projects.c.id == versions.c.project_id)
        .where(versions.c.workspace_id == workspace_id, *_lies_in_trash(versions))
    )
    return [
        Trashed(
            "version",
            str(row.number),
            row.name,
            row.trashed_at,
            row.project_id,
            row.slug,
            row.project_name,
        )
        for row in connection.execute(query)
    ]


def _trashed_trainings(connection: Connection, workspace_id: str) -> list[Trashed]:
    query = (
        select(
            trainings,
            versions.c.number.label("version"),
            projects.c.slug,
            projects.c.name.label("project_name"),
        )
        .join(versions, versions.c.id == trainings.c.version_id)
        .join(projects, projects.c.id == trainings.c.project_id)
        .where(trainings.c.workspace_id == workspace_id, *_lies_in_trash(trainings))
    )
    return [
        Trashed(
            "training",
            row.id,
            f"{row.slug}/{row.version} training {row.number}",
            row.trashed_at,
            row.project_id,
            row.slug,
            row.project_name,
        )
        for row in connection.execute(query)
    ]
