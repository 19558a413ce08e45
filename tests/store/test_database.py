import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from atrous.domain.errors import BadInput, MissingDependency, Unavailable
from atrous.store.database import TIME_OUTS, Database, api_keys, workspaces


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_connections_to_sqlite_are_durable_and_checked(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1
    database.close()


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////a/b.sqlite3", Path("/a/b.sqlite3")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:b", None),
    ],
)
def test_the_file_of_a_database(url: str, file: Path | None) -> None:
    database = Database(url)
    assert database.file == file
    database.close()


@pytest.mark.parametrize("url", ["mysql://u:hidden@host/db", "nothing", "postgresql://h:x/db", ""])
def test_urls_that_are_not_understood_are_not_repeated(url: str) -> None:
    with pytest.raises(BadInput, match="ATROUS_DATABASE_URL is not .*postgresql://u") as caught:
        Database(url)
    assert "hidden" not in str(caught.value)


def test_postgresql_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependency, match=r"atrous\[postgres\]"):
        Database("postgresql://user@host/name")


def test_a_postgres_that_says_nothing_is_not_waited_for() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[postgres]'")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql://u@127.0.0.1:{port}/name?connect_timeout=2")
        with pytest.raises(Unavailable), database.read():
            pass
        database.close()


def test_time_outs_of_the_url_go_first() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[postgres]'")
    database = Database("postgresql://u@host/name?connect_timeout=60&sslmode=require")
    said = database._engine.url.query
    assert said == {**TIME_OUTS, "connect_timeout": "60", "sslmode": "require"}
    assert psycopg_knows(said)


def psycopg_knows(options: Mapping[str, object]) -> bool:
    from psycopg import pq  # not at the top: tests of SQLite run without it

    return set(options) <= {option.keyword.decode() for option in pq.Conninfo.get_defaults()}


def test_a_reader_sees_one_state(database: Database) -> None:
    count = select(func.count()).select_from(workspaces)
    with database.read() as reader:
        assert reader.execute(count).scalar() == 0
        with database.write() as writer:
            writer.execute(insert(workspaces).values(id="w", slug="w", name="w", created_at=0.0))
        assert reader.execute(count).scalar() == 0


def test_two_migrate_a_new_database_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(2)]
    threads = [threading.Thread(target=database.migrate) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with databases[0].read() as connection:
        assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1
    for database in databases:
        database.close()


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Each switches it to a write-ahead log, which SQLite refuses to one of two."""
    failures: list[Exception] = []

    def open_file(database: Database, start: threading.Barrier) -> None:
        start.wait()
        try:
            with database.read() as connection:
                connection.execute(text("SELECT 1"))
        except (DBAPIError, Unavailable) as error:
            failures.append(error)

    for number in range(30):
        start = threading.Barrier(4)
        databases = [Database(f"sqlite:///{tmp_path}/{number}.sqlite3") for _ in range(4)]
        threads = [threading.Thread(target=open_file, args=(one, start)) for one in databases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for database in databases:
            database.close()
    assert not failures


def test_foreign_keys_hold(database: Database) -> None:
    row = {"id": "k", "workspace_id": "nobody", "name": "n", "prefix": "p", "digest": "d"}
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(insert(api_keys).values(scopes=[], created_at=0.0, **row))


def test_failed_write_leaves_nothing(database: Database) -> None:
    row = {"id": "w", "slug": "w", "name": "w", "created_at": 0.0}

    def write_and_fail() -> None:
        with database.write() as connection:
            connection.execute(insert(workspaces).values(**row))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_and_fail()
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(workspaces)).scalar() == 0


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as writer:
        writer.execute(insert(workspaces).values(id="w", slug="w", name="w", created_at=0.0))
        with database.read() as reader:
            assert reader.execute(select(func.count()).select_from(workspaces)).scalar() == 0
    with database.read() as reader:
        assert reader.execute(select(func.count()).select_from(workspaces)).scalar() == 1


def test_migrating_twice_changes_nothing(database: Database) -> None:
    database.migrate()
    with database.read() as connection:
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    assert len(revisions) == 1
