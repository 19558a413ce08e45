"""Workspaces: who owns keys, models and jobs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from atrous.domain.errors import Conflict, NotFound
from atrous.domain.model_ids import checked_project
from atrous.store.database import Database, new_id, workspaces

DEFAULT_SLUG = "default"


@dataclass(frozen=True)
class Workspace:
    """One row of `workspaces`; `created_at` is in seconds since 1970."""

    id: str
    slug: str
    name: str
    created_at: float


class Workspaces:
    """Reads and writes workspaces."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    def create(self, slug: str, name: str | None = None) -> Workspace:
        """Add a workspace; a slug that is taken raises Conflict, an unusable one BadModelId."""
        checked_project(slug, "workspace")
        workspace = Workspace(new_id(), slug, name or slug, time.time())
        try:
            with self._database.write() as connection:
                connection.execute(insert(workspaces).values(**vars(workspace)))
        except IntegrityError:
            raise Conflict(f"workspace '{slug}' exists already; choose another name") from None
        return workspace

    def default(self) -> Workspace:
        """Give the workspace that a fresh installation works in, created when first asked for."""
        return self.ensure(DEFAULT_SLUG)

    def ensure(self, slug: str) -> Workspace:
        """Give the workspace of this slug, created where it is not there yet.

        Raises BadModelId for an unusable slug.
        """
        try:
            return self.get(slug)
        except NotFound:
            pass
        try:
            return self.create(slug)
        except Conflict:  # another process was faster
            return self.get(slug)

    def get(self, slug: str) -> Workspace:
        """Give the workspace of this slug, else raise NotFound."""
        with self._database.read() as connection:
            rows = connection.execute(select(workspaces).where(workspaces.c.slug == slug))
            row = rows.mappings().first()
        if row is None:
            raise NotFound(
                f"there is no workspace {slug[:100]!r}; `atrous keys create NAME --workspace` "
                "makes one"
            )
        return _workspace(row)

    def by_id(self, workspace_id: str) -> Workspace:
        """Give the workspace of this id, else raise NotFound."""
        with self._database.read() as connection:
            rows = connection.execute(select(workspaces).where(workspaces.c.id == workspace_id))
            row = rows.mappings().first()
        if row is None:
            raise NotFound(f"there is no workspace of the id {workspace_id[:100]!r}")
        return _workspace(row)

    def list(self) -> list[Workspace]:
        """Give all workspaces, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(workspaces).order_by(workspaces.c.created_at))
            return [_workspace(row) for row in rows.mappings()]


def _workspace(row: Mapping[Any, Any]) -> Workspace:
    return Workspace(**row)
