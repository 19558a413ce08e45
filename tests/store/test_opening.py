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
