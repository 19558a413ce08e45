import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from atrous.domain.errors import DamagedDatabase
from atrous.store import open_store
from atrous.store.damage import naming_damage


def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "atrous.sqlite3"
    with open_store(tmp_path) as store:
        store.workspaces.default()
    whole = path.read_bytes()
    os.truncate(path, len(whole) // 2)
    refuses_to_open(tmp_path)
    path.write_bytes(b"no database at all" * 1000)
    refuses_to_open(tmp_path)
    path.write_bytes(whole[:4096] + b"\x7f" * (len(whole) - 4096))
    refuses_to_open(tmp_path)
    path.write_bytes(whole)
    with open_store(tmp_path) as store:
        store.workspaces.default()


def refuses_to_open(home: Path) -> None:
    told = f"{home}/atrous.sqlite3 is damaged.*backup"
    with pytest.raises(DamagedDatabase, match=told), open_store(home) as store:
        store.workspaces.default()


@pytest.mark.parametrize(
    "cause",
    [
        sqlite3.OperationalError("malformed JSON"),
        sqlite3.OperationalError("no such table: jobs"),
        Exception("file is not a database"),  # of PostgreSQL, whatever it means there
    ],
)
def test_other_errors_go_through(cause: Exception) -> None:
    with pytest.raises(OperationalError), naming_damage(Path("a")):
        raise OperationalError("SELECT 1", {}, cause)
