"""Exports: a version as one zip of some format, made once and kept in the blobs."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from atrous.store.blobs import Blob
from atrous.store.database import Database, jobs
from atrous.store.dataset_tables import exports, versions
from atrous.store.jobs import add_job, why_not_made
from atrous.store.versions import Version

EXPORT = "export"  # the kind of job that makes a zip
OVER = ("failed", "cancelled")


@dataclass(frozen=True)
class Export:
    """One row of `exports`; `blob` is None until the zip is whole."""

    format: str
    state: Literal["working", "ready", "failed"]
    progress: float  # 0..1
    blob: Blob | None
    error: str | None


class Exports:
    """Asks for exports, and gives those that are there."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def request(self, version: Version, wanted: str) -> Export:
        """Give the export, queued first where nobody has asked for it yet.

        One that failed is given once as failed, and is queued again by the next request.
        """
        with self._database.write() as connection:
            connection.execute(
                select(versions.c.id).where(versions.c.id == version.id).with_for_update()
            )
            found = _find(connection, version, wanted)
            if found is None:
                payload = {"version_id": version.id, "format": wanted}
                job = add_job(connection, EXPORT, payload, version.workspace_id, self._clock())
                connection.execute(
                    insert(exports).values(
                        version_id=version.id,
                        format=wanted,
                        job_id=job.id,
                        created_at=self._clock(),
                    )
                )
                return Export(wanted, "working", 0.0, None, None)
            if found.state == "failed":
                connection.execute(
                    delete(exports).where(
                        exports.c.version_id == version.id, exports.c.format == wanted
                    )
                )
            return found

    def find(self, version: Version, wanted: str) -> Export | None:
        """Give the export if somebody has asked for it."""
        with self._database.read() as connection:
            return _find(connection, version, wanted)

    def ready_formats(self, chosen: Sequence[Version]) -> dict[str, list[str]]:
        """Give the formats that can be downloaded at once, by id of their version."""
        found: dict[str, list[str]] = {version.id: [] for version in chosen}
        query = (
            select(exports.c.version_id, exports.c.format)
            .where(exports.c.version_id.in_(list(found)), exports.c.digest.is_not(None))
            .order_by(exports.c.format)
        )
        with self._database.read() as connection:
            for version_id, ready in connection.execute(query):
                found[version_id].append(ready)
        return found

    def finish(self, version: Version, wanted: str, blob: Blob) -> None:
        """Publish a zip that is in the blobs."""
        with self._database.write() as connection:
            connection.execute(
                update(exports)
                .where(exports.c.version_id == version.id, exports.c.format == wanted)
                .values(digest=blob.digest, size_bytes=blob.size_bytes)
            )


def _find(connection: Connection, version: Version, wanted: str) -> Export | None:
    query = (
        select(exports, jobs.c.state, jobs.c.progress, jobs.c.error)
        .join(jobs, jobs.c.id == exports.c.job_id)
        .where(exports.c.version_id == version.id, exports.c.format == wanted)
    )
    row = connection.execute(query).mappings().first()
    return _export(row) if row else None


def _export(row: Mapping[Any, Any]) -> Export:
    if row["digest"] is not None:
        return Export(row["format"], "ready", 1.0, Blob(row["digest"], row["size_bytes"]), None)
    state: Literal["working", "failed"] = "failed" if row["state"] in OVER else "working"
    fraction = float(row["progress"].get("fraction", 0.0))
    return Export(row["format"], state, fraction, None, why_not_made(row["state"], row["error"]))
