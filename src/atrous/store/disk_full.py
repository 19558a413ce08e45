"""A full disk, or a file that may not grow, told by what the system and the databases say of it."""

import contextlib
import errno
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from atrous.disk.whole import FULL
from atrous.domain.errors import DiskFull

WORDS = ("disk is full", "no space left")  # of SQLite, and of PostgreSQL
MESSAGE = "the disk is full, so that nothing was stored; free some space and send it again"
TOO_LARGE = (
    "a file would be larger than this process may write, so that nothing was stored; raise the "
    "limit (`ulimit -f`) and send it again"
)


@contextlib.contextmanager
def naming_full_disk() -> Iterator[None]:
    """Raise DiskFull for an error that comes of a full disk; others go through."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(TOO_LARGE if error.errno == errno.EFBIG else MESSAGE) from error
        raise
    except DBAPIError as error:
        if any(words in str(error.orig).lower() for words in WORDS):
            raise DiskFull(MESSAGE) from error
        raise
