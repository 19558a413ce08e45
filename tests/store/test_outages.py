import sqlite3
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError, TimeoutError

from atrous.domain.errors import Unavailable
from atrous.store import database as database_module
from atrous.store.database import Database
from atrous.store.outages import naming_outages, naming_s3_outages


def of_postgres(state: str | None) -> OperationalError:
    error = RuntimeError("what PostgreSQL said")
    error.sqlstate = state  # type: ignore[attr-defined]
    return OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    "error",
    [
        of_postgres(None),  # it was not reached
        of_postgres("57P01"),  # shut down
        of_postgres("40P01"),  # a deadlock, of which one side is given up
        OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked")),
        TimeoutError("QueuePool limit reached"),
    ],
)
def test_outages_are_named(error: Exception) -> None:
    with pytest.raises(Unavailable, match="try again"), naming_outages():
        raise error


def test_a_failing_disk_under_sqlite_is_named() -> None:
    with pytest.raises(Unavailable, match="I/O error.*look at its disk"), naming_outages():
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error"))


@pytest.mark.parametrize(
    "error",
    [
        of_postgres("42P01"),  # no such table: our fault
        OperationalError("SELECT 1", {}, sqlite3.OperationalError("no such table: jobs")),
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        ValueError("no database at all"),
    ],
)
def test_faults_go_through(error: Exception) -> None:
    with pytest.raises(type(error)), naming_outages():
        raise error


def of_s3(status: int) -> OSError:
    """As s3fs raises what S3 answered; `tests/store/test_blobs.py` has real ones."""
    error = OSError("what S3 said")
    error.__cause__ = RuntimeError()
    error.__cause__.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("status", [429, 500, 503])
def test_outages_of_s3_are_named(status: int) -> None:
    with pytest.raises(Unavailable, match="S3.*try again"), naming_s3_outages():
        raise of_s3(status)


@pytest.mark.parametrize("error", [of_s3(403), FileNotFoundError("nothing"), OSError(5, "disk")])
def test_faults_of_s3_and_of_disks_go_through(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "s3fs", raising=False)  # as where it is not installed
    with pytest.raises(type(error)) as caught, naming_s3_outages():
        raise error
    assert caught.value is error


def test_a_postgres_that_is_not_there(free_port) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[postgres]'")
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    for transaction in (database.read, database.write):
        with pytest.raises(Unavailable), transaction():
            pass
    database.close()


def test_a_sqlite_that_another_process_keeps(new_home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.01)
    url = f"sqlite:///{new_home / 'atrous.sqlite3'}"
    writing, waiting = Database(url), Database(url)
    with writing.write() as connection:
        connection.execute(text("DELETE FROM secrets"))
        with pytest.raises(Unavailable), waiting.write():
            pass
    with waiting.write():
        pass
    for database in (writing, waiting):
        database.close()
