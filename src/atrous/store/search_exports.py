"""Exports of searches: photos that are looked for when the job runs, as one zip."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from atrous.domain.errors import NotFound
from atrous.store.database import Database, jobs
from atrous.store.image_search import ImageQuery
from atrous.store.jobs import Job, add_job, read_job
from atrous.store.projects import Project

EXPORT_SEARCH = "export-search"  # the kind of job
KEPT_S = 7 * 86_400.0  # after that the zip is forgotten


class SearchExports:
    """Asks for exports of searches, and gives those that are there."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def request(self, project: Project, query: ImageQuery, wanted: str, name: str) -> Job:
        """Queue the export of all that is found, whatever page the query asks for.

        wanted: the format; name: what the zip is called.
        """
        payload: dict[str, Any] = {
            "project_id": project.id,
            "query": asdict(query),
            "format": wanted,
            "name": name,
        }
        with self._database.write() as connection:
            return add_job(connection, EXPORT_SEARCH, payload, project.workspace_id, self._clock())

    def get(self, workspace_id: str, export_id: str) -> Job:
        """Give an export of the workspace; NotFound also when it was forgotten."""
        query = select(jobs).where(
            jobs.c.id == export_id,
            jobs.c.workspace_id == workspace_id,
            jobs.c.kind == EXPORT_SEARCH,
            ~is_forgotten(self._clock()),
        )
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"there is no export {export_id[:100]!r}, or not any more; search anew")
        return read_job(row)


def is_forgotten(now: float) -> "ColumnElement[bool]":
    """The condition on rows of `jobs` that are exports whose zip is kept no more."""
    ended = func.coalesce(jobs.c.finished_at, now)
    return and_(jobs.c.kind == EXPORT_SEARCH, ended <= now - KEPT_S)
