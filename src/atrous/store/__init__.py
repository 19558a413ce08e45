"""Rows and files that outlive a process: workspaces, keys, models, jobs. SQL lives here alone."""

from atrous.store.home import Home, home_folder
from atrous.store.opening import Store, open_store

__all__ = ["Home", "Store", "home_folder", "open_store"]
