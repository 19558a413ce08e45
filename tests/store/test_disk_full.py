import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from atrous.domain.errors import DiskFull
from atrous.store import open_store
from atrous.store.blobs import Blobs
from atrous.store.database import Database
from atrous.store.disk_full import naming_full_disk


def fill(reader, writer, _) -> None:
    """A disk that becomes full in the middle of a file."""
    writer.write(reader.read()[:3])
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disks_are_named(number: int) -> None:
    with pytest.raises(DiskFull, match="free some space"), naming_full_disk():
        raise OSError(number, "full")


def test_a_file_that_may_not_grow_is_named() -> None:
    with pytest.raises(DiskFull, match="ulimit -f"), naming_full_disk():
        raise OSError(errno.EFBIG, "File too large")


def test_other_errors_go_through() -> None:
    with pytest.raises(PermissionError), naming_full_disk():
        raise PermissionError(errno.EACCES, "denied")
    with pytest.raises(OperationalError), naming_full_disk():
        raise OperationalError("SELECT 1", {}, Exception("database is locked"))
    message = 'could not extend file "base/1": No space left on device'
    with pytest.raises(DiskFull), naming_full_disk():
        raise OperationalError("INSERT", {}, Exception(message))


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs(str(tmp_path))
    source = tmp_path / "source"
    source.write_bytes(b"photo")
    with monkeypatch.context() as full:
        full.setattr(shutil, "copyfileobj", fill)
        with pytest.raises(DiskFull):
            blobs.put(b"photo")
        with pytest.raises(DiskFull):
            blobs.put_file(source)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [source]
    assert blobs.read(blobs.put(b"photo").digest) == b"photo"


LIMITED = """
import resource, sys
from pathlib import Path
from atrous.domain.errors import DiskFull, Unavailable
from atrous.store import open_store
with open_store(Path(sys.argv[1])) as store:
    workspace = store.workspaces.default()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        store.blobs.put(b"x" * (2 << 20))
    except DiskFull as error:
        print(error)
    try:
        while True:
            store.jobs.enqueue("generate", {"a": "x" * 100_000}, workspace_id=workspace.id)
    except Unavailable as error:
        print(error)
"""


def test_a_limit_on_files_is_told_and_costs_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (told.returncode, told.stderr) == (0, "")
    blob, row = told.stdout.splitlines()
    assert "larger than this process may write" in blob
    assert "disk I/O error" in row
    with open_store(tmp_path) as store:
        assert store.jobs.claim("w")


def test_a_full_database_keeps_what_it_had(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        workspace = store.workspaces.default()
    database = Database(f"sqlite:///{tmp_path / 'atrous.sqlite3'}")
    insert = text("INSERT INTO secrets (name, value, created_at) VALUES ('s', :value, 0)")

    def write_much() -> None:
        with database.write() as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))  # SQLite takes what it has
            connection.execute(insert, {"value": "x" * 1_000_000})

    with pytest.raises(DiskFull):
        write_much()
    database.close()
    with open_store(tmp_path) as store:
        assert store.workspaces.default() == workspace
        assert store.secrets.get("s") != "x" * 1_000_000
