"""Values of a request that a database has no place for, told by what it says of them."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DataError

from atrous.domain.errors import BadRequest


@contextlib.contextmanager
def naming_unfit_values() -> Iterator[None]:
    """Raise BadRequest for a text with NUL, which PostgreSQL refuses, a number out of range."""
    try:
        yield
    except DataError as error:
        [reason, *_] = str(error.orig).splitlines() or ["it does not say which"]
        raise BadRequest(
            f"the database has no place for a value that was sent: {reason}"
        ) from error
