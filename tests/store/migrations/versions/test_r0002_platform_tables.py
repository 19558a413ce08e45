from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from atrous.store import dataset_tables
from atrous.store.database import Database
from atrous.store.migrations.versions import r0001_first_tables, r0002_platform_tables


def test_follows_the_first_revision() -> None:
    assert r0002_platform_tables.down_revision == r0001_first_tables.revision


def test_migrations_end_at_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, dataset_tables.metadata)
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert differences == []
    assert revision == r0002_platform_tables.revision
