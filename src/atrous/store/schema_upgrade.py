"""Bringing the tables of a database to a newer revision; Alembic is imported only for that."""

from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect, text

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "head"


def newest_revision() -> str:
    """Give the last revision, by the names of the files.

    >>> newest_revision() >= "r0004"
    True
    """
    return max(path.stem.partition("_")[0] for path in MIGRATIONS.glob("versions/r[0-9]*_*.py"))


def revision_of(connection: Connection) -> str | None:
    """Give the revision that the tables have; None where there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(connection: Connection, metadata: MetaData, target: str = HEAD) -> None:
    """Run the migrations up to a revision, in the connection's transaction."""
    # Not at the top: Alembic takes a third of a second, and tables are current nearly always.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    environment = EnvironmentContext(
        Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs(target, revision)
    )
    with environment:
        environment.configure(connection=connection, target_metadata=metadata)
        environment.run_migrations()
