from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from atrous.store.database import Database, metadata
from atrous.store.migrations.versions import r0001_first_tables


def test_is_the_first_revision() -> None:
    assert r0001_first_tables.down_revision is None


def test_migrations_end_at_the_tables_of_the_code(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    database.migrate()
    with database.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    database.close()
    assert differences == []
