"""Opening the store: folders, lock, migrations, and one object per kind of row."""

import fcntl
from pathlib import Path
from types import TracebackType

from atrous.store.api_keys import ApiKeys
from atrous.store.database import Database
from atrous.store.home import Home
from atrous.store.jobs import Jobs
from atrous.store.models import Models
from atrous.store.workspaces import Workspaces


class Store:
    """Everything kept under one data folder. Close it, or use it in a `with` block."""

    def __init__(self, home: Home, database: Database) -> None:
        """Work on existing folders and a migrated database."""
        self.home = home
        self._database = database
        self.workspaces = Workspaces(database)
        self.api_keys = ApiKeys(database)
        self.models = Models(database, home.packages)
        self.jobs = Jobs(database)

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


def open_store(home: Path) -> Store:
    """Open the store under this folder; what is missing is created, older tables are migrated.

    Several processes may open it, also for the first time at once: they take turns.
    """
    places = Home(home)
    places.create()
    database = Database(f"sqlite:///{places.database}")
    with (places.folder / "migration.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or the process ends
        database.migrate()
    store = Store(places, database)
    store.models.remove_orphans()
    return store
