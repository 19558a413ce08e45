"""The one folder that holds everything: database, model packages, training runs, caches."""

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "ATROUS_HOME"


def home_folder() -> Path:
    """Give the data folder: `ATROUS_HOME` where it is set and not empty, else `~/.atrous`."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".atrous").expanduser().absolute()


@dataclass(frozen=True)
class Home:
    """Where things lie under the data folder.

    >>> Home(Path("/data")).database.as_posix()
    '/data/atrous.sqlite3'
    """

    folder: Path

    @property
    def database(self) -> Path:
        """The SQLite file (beside it lie its `-wal` and `-shm` files while it is open)."""
        return self.folder / "atrous.sqlite3"

    @property
    def packages(self) -> Path:
        """One opaque folder per published model."""
        return self.folder / "packages"

    @property
    def runs(self) -> Path:
        """One folder per training run."""
        return self.folder / "runs"

    @property
    def cache(self) -> Path:
        """What can be made again: compiled networks, for example."""
        return self.folder / "cache"

    def create(self) -> None:
        """Create the folders that are missing, readable by their owner alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.packages, self.runs, self.cache):
            folder.mkdir(mode=0o700, exist_ok=True)
