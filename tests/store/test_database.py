from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

from atrous.store.database import Database, api_keys, workspaces


@pytest.fixture
def database(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    database.migrate()
    yield database
    database.close()


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_connections_are_durable_and_checked(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1


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
