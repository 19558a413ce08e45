"""A damaged database, told by what SQLite says of its file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from atrous.domain.errors import DamagedDatabase

WORDS = ("disk image is malformed", "malformed database schema", "file is not a database")


@contextlib.contextmanager
def naming_damage(file: Path | None) -> Iterator[None]:
    """Raise DamagedDatabase where SQLite can't read its file as one; others go through."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig)
        if not isinstance(error.orig, sqlite3.Error) or not any(word in said for word in WORDS):
            raise
        raise DamagedDatabase(
            f"the database {file} is damaged or no database ({said}); stop server and worker, move "
            f"it away with {file}-wal and {file}-shm, and put a backup in its place, or what "
            f"`sqlite3 DAMAGED .recover | sqlite3 {file}` saves of it"
        ) from error
