import logging
import os
import stat
from pathlib import Path

import pytest

from atrous.store.private_files import make_database_private, make_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_database_is_private_before_anybody_opens_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make_database_private(tmp_path / "a.sqlite3")
        assert mode_of(tmp_path / "a.sqlite3") == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["a.sqlite3"]
    finally:
        os.umask(before)


def test_what_is_there_is_kept_and_shut(tmp_path: Path) -> None:
    files = [tmp_path / f"a.sqlite3{ending}" for ending in ("", "-wal", "-shm", "-journal")]
    for path in files:
        path.write_bytes(b"kept")
        path.chmod(0o644)
    make_database_private(files[0])
    assert [mode_of(path) for path in files] == [0o600] * 4
    assert [path.read_bytes() for path in files] == [b"kept"] * 4


def test_a_folder_that_is_not_there_is_told_by_who_opens_the_file(tmp_path: Path) -> None:
    make_database_private(tmp_path / "nothing" / "a.sqlite3")
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    path.chmod(0o644)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    make_private(path)
    assert mode_of(path) == 0o644


def test_a_disk_without_modes_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "a"
    path.write_bytes(b"")
    path.chmod(0o644)
    monkeypatch.setattr(Path, "chmod", refuse)
    with caplog.at_level(logging.WARNING):
        make_private(path)
    assert "can be read by others" in caplog.text
