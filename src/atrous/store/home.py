"""The one folder that holds everything: database, model packages, training runs, caches."""

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "ATROUS_HOME"
DATABASE_VARIABLE = "ATROUS_DATABASE_URL"
BLOBS_VARIABLE = "ATROUS_BLOBS_URL"


def home_folder() -> Path:
    """Give the data folder: `ATROUS_HOME` where it is set and not empty, else `~/.atrous`."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".atrous").expanduser().absolute()


def database_url(home: "Home") -> str:
    """Give the database's URL: `ATROUS_DATABASE_URL`, else the SQLite file in the data folder."""
    return os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{home.database}"


def blobs_url(home: "Home") -> str:
    """Give where blobs lie: `ATROUS_BLOBS_URL`, as s3://bucket/folder, else in the data folder."""
    return os.environ.get(BLOBS_VARIABLE) or str(home.blobs)


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
        """One opaque folder per published model that this machine has; made again of blobs."""
        return self.folder / "packages"

    @property
    def runs(self) -> Path:
        """One folder per training run."""
        return self.folder / "runs"

    @property
    def blobs(self) -> Path:
        """Photos, labels, exports and model packages, by content; unless they lie in S3."""
        return self.folder / "blobs"

    @property
    def cache(self) -> Path:
        """What can be made again: compiled networks, for example."""
        return self.folder / "cache"

    @property
    def weights_zips(self) -> Path:
        """One zip per package whose weights somebody downloaded, by the package's folder."""
        return self.cache / "weights"

    @property
    def version_pictures(self) -> Path:
        """One folder of pictures per version that was trained on, by the version's id."""
        return self.cache / "versions"

    @property
    def sam2_models(self) -> Path:
        """One folder per converted SAM 2 model."""
        return self.folder / "sam2"

    @property
    def sam2_embeddings(self) -> Path:
        """Embeddings of photos that outlive the server; they can be made again."""
        return self.cache / "sam2_embeddings"

    def create(self) -> None:
        """Create the folders that are missing, readable by their owner alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.packages, self.runs, self.cache):
            folder.mkdir(mode=0o700, exist_ok=True)
