"""The store on each database and each place for blobs that it supports."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atrous.store import Store, open_store
from atrous.store.blobs import Blobs
from atrous.store.database import Database
from atrous.store.images import Image, NewImage
from atrous.store.labels import NewLabel
from atrous.store.projects import Project

POSTGRES_USER = "postgres"  # PostgreSQL refuses to run as root
BUCKET = "atrous-test"
START_S = "600"  # also on a machine with other work
PATIENT = "connect_timeout=300"  # the same
TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


def find_postgres() -> Path:
    """The folder of initdb and pg_ctl."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


def psycopg_of(url: str) -> Any:
    import psycopg  # not at the top: `postgres` skips where it is not installed

    return psycopg.connect(url, autocommit=True)


@pytest.fixture(scope="session")
def postgres(free_port: Callable[[], int]) -> Iterator[str]:
    """A server of our own, as the URL of its first database."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[postgres]'")
    programs = find_postgres()
    user = POSTGRES_USER if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="atrous-postgres-"))
    if user:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run(
            command,
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr

    port = free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    data = str(folder / "data")
    control = str(programs / "pg_ctl")
    try:
        run(str(programs / "initdb"), "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8")
        log = str(folder / "log")
        run(
            control,
            "-D",
            data,
            "-l",
            log,
            "-o",
            f"{options} -c fsync=off",
            "-w",
            "-t",
            START_S,
            "start",
        )
        try:
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            run(control, "-D", data, "-m", "immediate", "-w", "-t", START_S, "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fresh_postgres(postgres: str) -> str:
    """The URL of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg_of(postgres) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres.rpartition('/')[0]}/{name}?{PATIENT}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> str:
    """The URL of a database with all tables, of which one test after the other has the rows."""
    url = f"{postgres.rpartition('/')[0]}/migrated?{PATIENT}"
    with psycopg_of(postgres) as connection:
        connection.execute("CREATE DATABASE migrated")
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.fixture
def empty_postgres(migrated_postgres: str) -> Iterator[str]:
    """The same; its rows go with the test, which takes less time than making tables."""
    yield migrated_postgres
    with psycopg_of(migrated_postgres) as connection:
        connection.execute("SET lock_timeout = '60s'")
        connection.execute("SET session_replication_role = replica")  # foreign keys rest
        for (name,) in connection.execute(TABLES).fetchall():
            connection.execute(f'DELETE FROM "{name}"')


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """A database with all tables and no rows."""
    if request.param == "sqlite":
        home: Path = request.getfixturevalue("new_home")
        return f"sqlite:///{home / 'atrous.sqlite3'}"
    url: str = request.getfixturevalue("empty_postgres")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        (tmp_path / "home").mkdir()
        return f"sqlite:///{tmp_path / 'home' / 'atrous.sqlite3'}"
    url: str = request.getfixturevalue("fresh_postgres")
    return url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url)
    yield database
    database.close()


@pytest.fixture
def store(tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Named by the environment, as users do, so that whoever opens it again opens the same."""
    monkeypatch.setenv("ATROUS_DATABASE_URL", migrated_url)
    with open_store(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def project(store: Store) -> Project:
    workspace = store.workspaces.default()
    return store.projects.create(
        workspace.id, "Roads", kind="semantic-segmentation", annotation="surface"
    )


@pytest.fixture
def stranger(store: Store) -> Project:
    """A project behind the wall of another workspace."""
    workspace = store.workspaces.create("other")
    return store.projects.create(
        workspace.id, "Fields", kind="semantic-segmentation", annotation="crop"
    )


@pytest.fixture
def add_image(store: Store) -> Callable[..., Image]:
    """Add a photo that is known by its number; its blobs are not stored."""

    def add(project: Project, number: int, **changes: Any) -> Image:
        new = NewImage(
            name=f"photo_{number:03}.jpg",
            digest=f"{number:064x}",
            thumb_digest="0" * 64,
            media_type="image/jpeg",
            size_bytes=1000,
            height=48,
            width=64,
            split="train",
            batch="first",
        )
        return store.images.add(project, replace(new, **changes))[0]

    return add


@pytest.fixture
def add_labelled(store: Store, add_image: Callable[..., Image]) -> Callable[..., Image]:
    """The same with a label that shows some classes."""

    def add(project: Project, number: int, classes: Sequence[int] = (), **changes: Any) -> Image:
        image = add_image(project, number, **changes)
        pixels = dict.fromkeys(classes, 7)
        store.labels.save(image, NewLabel(f"{number + 10_000:064x}", "a.json", pixels))
        return store.images.get(project, image.id)

    return add


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "weights.onnx").write_bytes(b"weights")
    (folder / "class_names.txt").write_text("background\ncat\n")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 in memory."""
    server_module = pytest.importorskip("moto.server", reason="pip install 'moto[s3]' flask")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install '.[s3]'")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of its own in the bucket; the credentials are in the environment, as they would."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem()
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["folder", "s3"])
def blobs_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "blobs")
    url: str = request.getfixturevalue("s3_url")
    return url


@pytest.fixture
def blobs(blobs_url: str) -> Blobs:
    return Blobs(blobs_url)
