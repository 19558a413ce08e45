"""Opening the store: folders, lock, migrations, and one object per kind of row."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO

from atrous.store.api_keys import ApiKeys
from atrous.store.blobs import Blobs
from atrous.store.database import Database
from atrous.store.doomed_blobs import DoomedBlobs
from atrous.store.emptying import Emptying
from atrous.store.evaluations import Evaluations
from atrous.store.exports import Exports
from atrous.store.home import Home, blobs_url, database_url
from atrous.store.image_search import ImageSearch
from atrous.store.images import Images
from atrous.store.jobs import Jobs
from atrous.store.labels import Labels
from atrous.store.leftovers import Leftovers
from atrous.store.models import Models
from atrous.store.private_files import MODE, make_database_private, make_private
from atrous.store.project_sizes import SizesOfProjects
from atrous.store.projects import Projects
from atrous.store.search_exports import SearchExports
from atrous.store.secrets import Secrets
from atrous.store.trainings import Trainings
from atrous.store.trash import Trash
from atrous.store.versions import Versions
from atrous.store.workspaces import Workspaces
from atrous.store.zip_imports import ZipImports


class Store:
    """Everything kept under one data folder, or in a database and a bucket named by URLs.

    Close it, or use it in a `with` block.
    """

    def __init__(self, home: Home, database: Database, blobs: Blobs) -> None:
        """Work on existing folders and a migrated database."""
        self.home = home
        self._database = database
        self.blobs = blobs
        self.workspaces = Workspaces(database)
        self.api_keys = ApiKeys(database)
        self.models = Models(database, home, blobs)
        self.jobs = Jobs(database)
        self.projects = Projects(database)
        self.project_sizes = SizesOfProjects(database)
        self.images = Images(database)
        self.image_search = ImageSearch(database)
        self.labels = Labels(database)
        self.versions = Versions(database)
        self.exports = Exports(database)
        self.trainings = Trainings(database)
        self.evaluations = Evaluations(database)
        self.trash = Trash(database)
        self.zip_imports = ZipImports(database)
        self.search_exports = SearchExports(database)
        self.secrets = Secrets(database)
        self.emptying = Emptying(home, database)
        self.leftovers = Leftovers(home, database, blobs)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> "Store":
        """Give the store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the database."""
        self.close()


def open_store(home: Path, *, database: str | None = None, blobs: str | None = None) -> Store:
    """Open the store under this folder; what is missing is created, older tables are migrated.

    `database` and `blobs` are URLs; None means what the environment says, else the folder itself.
    Several processes may open it, also for the first time at once: they take turns.
    """
    places = Home(home)
    places.create()
    opened = Database(database or database_url(places))
    with _open_private(places.folder / "migration.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or the process ends
        if opened.file:
            make_database_private(opened.file)
        opened.migrate()
    kept = Blobs(blobs or blobs_url(places), DoomedBlobs(opened))
    return Store(places, opened, kept)


def _open_private(path: Path) -> IO[bytes]:
    """A file to write, which it empties; others can't even lock it."""
    make_private(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb")
