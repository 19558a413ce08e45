"""Folders that commands write to: asked for before minutes of work, and told where it fails."""

import errno
import os
from pathlib import Path

from atrous.disk.whole import FULL
from atrous.domain.errors import BadInput


def make_writable(folder: Path, option: str) -> None:
    """Make the folder that this option names; BadInput where it can't be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _insist(folder)
    except OSError as error:
        raise BadInput(
            f"folder {folder} can't be written: {_reason(error)}; give another {option}"
        ) from error


def insist_on_room_for(folder: Path, option: str) -> None:
    """BadInput where no such folder could be made; nothing is made yet."""
    above = next(path for path in folder.absolute().parents if path.exists())
    try:
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _insist(above)
    except OSError as error:
        raise BadInput(
            f"folder {folder} can't be made: {above}: {_reason(error)}; give another {option}"
        ) from error


def writable(home: Path) -> Path:
    """Give the data folder, made where it is missing; BadInput where runs can't be written."""
    try:
        for folder in (home, home / "runs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _insist(folder)
    except OSError as error:
        raise BadInput(_of_data_folder(home, error)) from error
    return home


def explain(error: OSError) -> str:
    """What no command foresaw, of a file: with its remedy where that is known."""
    from atrous.store.home import home_folder

    if error.errno == errno.EFBIG:
        return f"{error}; this user's files may not be as large: raise `ulimit -f`, and try again"
    if error.errno in FULL:
        return f"{error}; free some space on that disk and try again"
    home, file = home_folder(), error.filename
    if isinstance(file, str) and error.errno != errno.EISDIR and _is_data_folder(Path(file), home):
        return _of_data_folder(home, error)
    return f"{file}: {_reason(error)}" if file and error.strerror else str(error)


def _is_data_folder(path: Path, home: Path) -> bool:
    """Whether it is the data folder, one that is made in it, or one that it should lie in."""
    return home in (path, path.parent) or (path in home.parents and not home.exists())


def _of_data_folder(home: Path, error: OSError) -> str:
    return (
        f"data folder {home} can't be written: {_reason(error)}; set ATROUS_HOME to a folder that "
        "can, or change its permissions"
    )


def _insist(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _reason(error: OSError) -> str:
    return "it is a file" if error.errno == errno.EEXIST else str(error.strerror)
