from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from atrous.store import dataset_tables
from atrous.store.database import Database
from atrous.store.migrations.versions import r0002_platform_tables, r0003_trainings_and_trash
from atrous.store.schema_upgrade import MIGRATIONS

ROWS = """
INSERT INTO workspaces (id, slug, name, created_at) VALUES ('w', 'w', 'w', 0);
INSERT INTO jobs (id, workspace_id, kind, state, payload, progress, result, attempts, created_at)
    VALUES ('j', 'w', 'train', 'finished', '{}', '{}', '{}', 1, 0);
INSERT INTO projects (id, workspace_id, slug, name, kind, annotation, license, created_at,
    updated_at) VALUES ('p', 'w', 'p', 'p', 'k', 'a', 'l', 0, 0);
INSERT INTO versions (id, workspace_id, project_id, number, name, seed, class_names,
    preprocessing, augmentation, state, images, splits, job_id, created_at)
    VALUES ('v', 'w', 'p', 1, 'n', 0, '[]', '{}', '{}', 'ready', 1, '{}', 'j', 0);
INSERT INTO trainings (id, workspace_id, project_id, version_id, job_id, model_type, settings,
    created_at) VALUES ('late', 'w', 'p', 'v', 'j', 'm', '{}', 2);
INSERT INTO trainings (id, workspace_id, project_id, version_id, job_id, model_type, settings,
    created_at) VALUES ('early', 'w', 'p', 'v', 'j', 'm', '{}', 1);
INSERT INTO models (id, workspace_id, project, version, folder, facts, created_at)
    VALUES ('m', 'w', 'p', 1, 'f', '{}', 0)
"""


def test_follows_the_second_revision() -> None:
    assert r0003_trainings_and_trash.down_revision == r0002_platform_tables.revision


def test_rows_of_before_get_what_they_mean(database_url: str) -> None:
    database = Database(database_url)
    database.migrate("r0002")
    with database.write() as connection:
        for statement in ROWS.split(";"):
            connection.execute(text(statement.replace(":", "\\:")))
    database.migrate()
    with database.read() as connection:
        numbers = connection.execute(text("SELECT id, number FROM trainings ORDER BY number"))
        assert [tuple(row) for row in numbers] == [("early", 1), ("late", 2)]
        model = connection.execute(text("SELECT project, version, run, folder FROM models")).one()
        assert tuple(model) == ("p", 1, 1, "f")
    database.close()


def test_migrations_end_at_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, dataset_tables.metadata)
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert differences == []
    assert revision == ScriptDirectory(str(MIGRATIONS)).get_current_head()
