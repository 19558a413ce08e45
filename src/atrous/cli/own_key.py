"""The key of this installation: in a file of the data folder, for those who sit at this machine."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atrous.store.opening import Store

KEY_FILE = "api_key"  # below the data folder, readable by its owner alone


def ensure_key(store: "Store") -> Path:
    """Where the file with the key of this installation is, if there is one.

    Key and file are made where no key is active. A file whose key is not active is removed.
    """
    keys, path = store.api_keys, store.home.folder / KEY_FILE
    if path.exists():
        if keys.verify(path.read_bytes().decode(errors="replace").strip()):
            return path
        path.unlink()
    if not keys.any_active():
        created = keys.create("default", store.workspaces.default())
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(created.plain_text + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            keys.revoke(created.key.id)  # nobody knows it
            raise
    return path
