"""A database that does not answer, told by what the databases say of it."""

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError

from atrous.domain.errors import Unavailable

# Of PostgreSQL's SQLSTATE: no connection, a deadlock, too many connections, shut down.
CLASSES = ("08", "40", "53", "57")
WORDS = ("database is locked", "unable to open database file")  # of SQLite
MESSAGE = "the database does not answer; try again"


@contextlib.contextmanager
def naming_outages() -> Iterator[None]:
    """Raise Unavailable for an error that goes away by itself; others go through."""
    try:
        yield
    except TimeoutError as error:  # all connections are in use
        raise Unavailable(MESSAGE) from error
    except DBAPIError as error:
        if _is_outage(error):
            raise Unavailable(MESSAGE) from error
        raise


def _is_outage(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in CLASSES
    if isinstance(error.orig, sqlite3.Error):
        return any(words in str(error.orig) for words in WORDS)
    # PostgreSQL was not reached, so that it gave no state.
    return isinstance(error, OperationalError) or error.connection_invalidated
