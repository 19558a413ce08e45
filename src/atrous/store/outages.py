"""A database or an S3 that does not answer, told by what these and their libraries say of it."""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError

from atrous.domain.errors import Unavailable

# Of PostgreSQL's SQLSTATE: no connection, a deadlock, too many connections, shut down.
CLASSES = ("08", "40", "53", "57")
WORDS = ("database is locked", "unable to open database file")  # of SQLite
MESSAGE = "the database does not answer; try again"
# Of SQLite: all that goes wrong with its file but a full disk.
DISK_ERROR = "disk I/O error"
DISK_MESSAGE = (
    "the database's file can't be read or written (disk I/O error), and nothing was stored; look "
    "at its disk, the quota on it and the limit on the size of files (`ulimit -f`), and try again"
)
S3_STATUSES = (429, 500, 502, 503, 504)  # of an S3 that is there and can't work now
S3_MESSAGE = "the S3 that keeps the files does not answer; try again"


@contextlib.contextmanager
def naming_outages() -> Iterator[None]:
    """Raise Unavailable for an error that goes away by itself; others go through."""
    try:
        yield
    except TimeoutError as error:  # all connections are in use
        raise Unavailable(MESSAGE) from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error) and DISK_ERROR in str(error.orig):
            raise Unavailable(DISK_MESSAGE) from error
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


@contextlib.contextmanager
def naming_s3_outages() -> Iterator[None]:
    """The same for S3; that there is no such file, or no right to it, goes through."""
    try:
        yield
    except _errors_of_s3() as error:
        raise Unavailable(S3_MESSAGE) from error
    except OSError as error:
        answer = getattr(error.__cause__, "response", None) or {}  # s3fs itself gives no status
        if answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in S3_STATUSES:
            raise Unavailable(S3_MESSAGE) from error
        raise


def _errors_of_s3() -> tuple[type[Exception], ...]:
    """What is raised where S3 was not reached, broke off or took too long."""
    if "s3fs" not in sys.modules:  # no blobs lie in S3, and it may not be installed
        return ()
    from botocore.exceptions import (  # type: ignore[import-untyped]
        ConnectionError,
        HTTPClientError,
    )
    from s3fs.core import S3_RETRYABLE_ERRORS  # type: ignore[import-untyped]

    return (ConnectionError, HTTPClientError, *S3_RETRYABLE_ERRORS)
