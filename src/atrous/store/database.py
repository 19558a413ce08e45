"""The database: tables, connections and migrations."""

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from atrous.domain.errors import BadInput, Conflict, MissingDependency
from atrous.store.damage import naming_damage
from atrous.store.disk_full import naming_full_disk
from atrous.store.outages import naming_outages
from atrous.store.schema_upgrade import HEAD, newest_revision, revision_of, upgrade
from atrous.store.unfit_values import naming_unfit_values

LOCK_TIMEOUT_S = 30.0  # how long a writer waits for another
MAPPED_BYTES = 1 << 28  # of SQLite's file: larger than the cache, read without being copied
PAGE_CACHE_KIB = 16_384  # of SQLite, per connection: an index of 100,000 photos nearly fits
# Of PostgreSQL's driver, where the URL doesn't say them: a host that is frozen or cut off closes no
# connection, and who waits for it would wait for hours.
TIME_OUTS = {
    "connect_timeout": "5",  # seconds
    "tcp_user_timeout": "15000",  # milliseconds until what was sent must have arrived
    "keepalives_idle": "10",  # seconds of silence until the host is asked whether it is there
    "keepalives_interval": "5",  # seconds until it is asked again
    "keepalives_count": "3",  # times that it is asked
}
MIGRATION_LOCK = 6_131_902_417  # any number that nobody else locks a PostgreSQL by

URL_EXPECTED = (
    "ATROUS_DATABASE_URL is not understood; give postgresql://user:password@host/name or "
    "sqlite:////path/to/file"
)

# Times are seconds since 1970 in UTC, so that every database stores and compares them alike.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("slug", String(63), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", String(32), ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("prefix", String(16), nullable=False, index=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)
Index(  # a name is free again once its key is revoked
    "uq_api_keys_active_name",
    api_keys.c.workspace_id,
    api_keys.c.name,
    unique=True,
    sqlite_where=text("revoked_at IS NULL"),
    postgresql_where=text("revoked_at IS NULL"),
)

models = Table(
    "models",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", String(32), ForeignKey("workspaces.id"), nullable=False),
    Column("project", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("folder", String(32), nullable=False, unique=True),
    Column("facts", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    # Which training on the version it came of, counted from 1; `project/version` is the first
    # of those that are left.
    Column("run", Integer, nullable=False, server_default="1"),
    Column("training_id", String(32), index=True),  # none: it was published without the platform
    Column("trashed_by", String(32)),  # the project, version or training that took it along
    # A removed row stays, so that its version number is not given to another model by itself.
    Column("removed_at", Double),
    UniqueConstraint("project", "version", "run"),
)

model_files = Table(  # of the packages; those published before r0006 have none until taken over
    "model_files",
    metadata,
    Column("folder", String(32), ForeignKey("models.folder"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),  # of the blob with the file's content
    Column("size_bytes", BigInteger, nullable=False),
)

doomed_blobs = Table(  # what is about to be deleted, or was; see `store.doomed_blobs`
    "doomed_blobs",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("marked_at", Double, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace_id", String(32), ForeignKey("workspaces.id"), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("state", String(12), nullable=False, index=True),
    Column("payload", JSON, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("result", JSON, nullable=False),
    Column("error", Text),
    Column("worker", String(100)),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("heartbeat_at", Double),
    Column("finished_at", Double),
)


def new_id() -> str:
    """Give a fresh opaque id: 32 hexadecimal digits."""
    return uuid.uuid4().hex


class Database:
    """Owns the connections. `read()` and `write()` each give one in a transaction of its own."""

    def __init__(self, url: str) -> None:
        """Open the SQLite or PostgreSQL database at a URL; nothing is created yet."""
        self._engine = _open_engine(url)
        self.file = _file_of(self._engine.url)  # of SQLite
        self._read_options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
        if self._engine.dialect.name == "sqlite":
            self._read_options = {"atrous_begin": "BEGIN"}
            event.listen(self._engine, "connect", _prepare_sqlite_connection)
            event.listen(self._engine, "begin", _begin_sqlite_transaction)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection on one consistent state; a writer does not make it wait.

        As `write` does, raises Unavailable where the database does not answer, DamagedDatabase
        where its file is none, and BadRequest for a value that it has no place for.
        """
        with (
            naming_outages(),
            naming_damage(self.file),
            naming_unfit_values(),
            self._engine.connect() as connection,
        ):
            yield connection.execution_options(**self._read_options)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose changes are committed together, or not at all."""
        with (
            naming_outages(),
            naming_damage(self.file),
            naming_full_disk(),
            naming_unfit_values(),
            self._engine.begin() as connection,
        ):
            yield connection

    def migrate(self, target: str = HEAD) -> None:
        """Bring the tables to a revision, the newest unless told otherwise, in one transaction.

        Two processes may call it at once: the transaction holds a lock from its start, so the
        second one waits and finds nothing left to do. Tables of a newer release raise Conflict.
        """
        with self.read() as connection:
            found, newest = revision_of(connection) or "", newest_revision()
        if found > newest:
            raise Conflict(
                f"the tables are of a newer release ({found}) than this program, which knows "
                f"{newest}; update it, or give it another database"
            )
        if found == newest and target == HEAD:
            return
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            upgrade(connection, metadata, target)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _open_engine(url: str) -> Engine:
    """An engine of one of the two databases; the messages leave the URL out: it has a password."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return create_engine(parsed, connect_args={"timeout": LOCK_TIMEOUT_S})
        if parsed.get_backend_name() == "postgresql":
            driver = parsed.set(
                drivername="postgresql+psycopg", query={**TIME_OUTS, **parsed.query}
            )
            return create_engine(driver, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise MissingDependency(
            "PostgreSQL needs psycopg, which is not installed: pip install 'atrous[postgres]'"
        ) from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise BadInput(URL_EXPECTED) from None
    raise BadInput(URL_EXPECTED)


def _file_of(url: URL) -> Path | None:
    """SQLite's file; None where there is none: PostgreSQL, or a database in memory."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return None if url.database.startswith("file:") else Path(url.database)


def _prepare_sqlite_connection(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; see below
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")  # an answered write survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{PAGE_CACHE_KIB}")
    connection.execute(f"PRAGMA mmap_size={MAPPED_BYTES}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a new file to a write-ahead log, in which it stays.

    Of two connections that do so at once SQLite tells one that the file is locked, and waits for
    nothing: each has a lock that the other wants.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite_transaction(connection: Connection) -> None:
    # A write transaction takes the write lock at its start: one that reads first and locks
    # later fails with "database is locked" where another one wrote in between.
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get("atrous_begin", "BEGIN IMMEDIATE"))
