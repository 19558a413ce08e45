"""Files for their owner alone, whatever folder they lie in: the database holds secrets."""

import contextlib
import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

MODE = 0o600
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite makes beside its file, with the file's mode


def make_database_private(file: Path) -> None:
    """Make an SQLite file that is missing, before SQLite does, and shut others out of all of it.

    Nobody may have the file open yet but those who wait for the caller's lock: that a new file is
    closed here would take away SQLite's locks on it.
    """
    with contextlib.suppress(FileExistsError, FileNotFoundError):  # SQLite tells of a folder
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
    for path in (file, *(Path(f"{file}{ending}") for ending in BESIDE)):
        make_private(path)


def make_private(path: Path) -> None:
    """Shut others out of a file, if it is there and ours."""
    try:
        found = path.stat()
        if found.st_uid != os.geteuid() or not stat.S_IMODE(found.st_mode) & 0o077:
            return
        path.chmod(MODE)
    except FileNotFoundError:  # or gone meanwhile, as SQLite's are with the last connection
        return
    except OSError as error:  # a disk that has no such modes
        logger.warning(
            "%s can be read by others (%s); keep it on a disk where it can't", path, error
        )
