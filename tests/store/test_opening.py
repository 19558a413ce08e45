import os
import subprocess
import sys
from pathlib import Path

from atrous.store import open_store

OPEN = """
import sys
from pathlib import Path
from atrous.store import open_store
with open_store(Path(sys.argv[1])) as store:
    print(store.workspaces.default().id)
"""


def test_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "src"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path / "home")],
            cwd=source,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ids = {process.communicate(timeout=300)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(ids) == 1


def test_everything_is_kept_between_openings(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        workspace = store.workspaces.default()
        key = store.api_keys.create("laptop", workspace).plain_text
    with open_store(tmp_path) as store:
        assert store.workspaces.default() == workspace
        assert store.api_keys.verify(key)


def test_secrets_are_private_in_a_folder_that_others_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    before = os.umask(0o022)
    try:
        with open_store(home) as store:
            store.secrets.get("links")
            assert not open_to_others(home)
            for path in home.glob("*.*"):  # as older releases left them
                path.chmod(0o644)
            with open_store(home):
                assert not open_to_others(home)
    finally:
        os.umask(before)


def open_to_others(home: Path) -> list[str]:
    """The files of the database that are not for their owner alone."""
    files = [path for path in home.iterdir() if path.is_file()]
    assert {"atrous.sqlite3", "atrous.sqlite3-wal"} <= {path.name for path in files}
    return [path.name for path in files if path.stat().st_mode & 0o077]
