import os
import subprocess
import sys
from pathlib import Path

import pytest

from atrous.disk import whole
from atrous.disk.whole import flush, flush_tree, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_failed_write_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_killed_writer_leaves_one_of_its_contents_whole(tmp_path: Path) -> None:
    """Kill -9 while a process writes one large content after the other."""
    path = tmp_path / "state.bin"
    program = (
        "import sys; from pathlib import Path; from atrous.disk.whole import write_whole\n"
        "for number in range(10**6):\n"
        "    write_whole(Path(sys.argv[1]), bytes([number % 256]) * 2_000_000)\n"
        "    print(number, flush=True)\n"
    )
    source = Path(__file__).parents[2] / "src"
    for writes in range(1, 6):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        assert writer.stdout is not None
        for _ in range(writes):
            writer.stdout.readline()
        writer.kill()
        writer.wait()
        writer.stdout.close()
        content = path.read_bytes()
        assert len(content) == 2_000_000
        assert len(set(content)) == 1


def test_folders_and_files_can_be_flushed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    flush(tmp_path / "file")
    flush(tmp_path)
    flush_tree(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "absent")


def test_a_whole_tree_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    flushed: list[Path] = []
    monkeypatch.setattr(whole, "flush", flushed.append)
    flush_tree(tmp_path)
    assert set(flushed) == {tmp_path, *tmp_path.rglob("*")}
    assert len(flushed) == 4
