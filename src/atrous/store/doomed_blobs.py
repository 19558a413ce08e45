"""Blobs that are being deleted are marked first, so that nobody counts on one that is about to go.

Who deletes: marks, looks whether the blob is old, takes the mark's lock, deletes. The mark stays.
Who puts: writes where the blob is absent or old, then looks for a mark. Where there is one, it
takes the lock, writes once more and takes the mark away. Whatever the order, what was put is there:
either the look came after the writing and saw a young blob, or the mark came before the look at
marks.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator

from sqlalchemy import ColumnElement, Select, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from atrous.store.database import Database, doomed_blobs

KEPT_S = 86_400.0  # longer than anybody takes from writing a blob to looking for its mark


class DoomedBlobs:
    """The marks, which are rows: so all processes of all machines on one database see them."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database, self._clock = database, clock

    def mark(self, digests: Collection[str]) -> None:
        """Mark blobs before anybody looks whether they may be deleted."""
        rows = [{"digest": digest, "marked_at": self._clock()} for digest in sorted(digests)]
        if not rows:
            return
        with self._database.write() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            new = dialect.insert(doomed_blobs)
            refreshed = new.on_conflict_do_update(
                index_elements=["digest"], set_={"marked_at": new.excluded.marked_at}
            )
            connection.execute(refreshed, rows)

    @contextlib.contextmanager
    def deleting(self, digest: str) -> Iterator[bool]:
        """Give whether the mark is still there; until the block ends nobody takes it away."""
        with self._database.write() as connection:
            yield connection.execute(_locked(digest)).first() is not None

    @contextlib.contextmanager
    def saving(self, digest: str) -> Iterator[bool]:
        """Give whether a blob that was put must be written once more; see above."""
        with self._database.read() as connection:
            is_marked = connection.execute(select(doomed_blobs).where(_is(digest))).first()
        if is_marked is None:
            yield False
            return
        with self._database.write() as connection:
            # No mark any more: another one who put the same has written it meanwhile.
            yield connection.execute(_locked(digest)).first() is not None
            connection.execute(delete(doomed_blobs).where(_is(digest)))

    def forget(self) -> None:
        """Drop marks of long ago."""
        oldest = self._clock() - KEPT_S
        with self._database.write() as connection:
            connection.execute(delete(doomed_blobs).where(doomed_blobs.c.marked_at < oldest))


def _is(digest: str) -> "ColumnElement[bool]":
    return doomed_blobs.c.digest == digest


def _locked(digest: str) -> "Select[tuple[str]]":
    return select(doomed_blobs.c.digest).where(_is(digest)).with_for_update()
