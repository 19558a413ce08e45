import stat
from pathlib import Path

import pytest

from atrous.store.home import Home, blobs_url, database_url, home_folder


def test_home_is_the_variable_or_a_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATROUS_HOME", str(tmp_path / "here"))
    assert home_folder() == tmp_path / "here"
    monkeypatch.setenv("ATROUS_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path / ".atrous"


def test_folders_are_the_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.create()
    home.create()
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    assert home.packages.is_dir()
    assert home.runs.is_dir()
    assert home.cache.is_dir()


def test_database_and_blobs_lie_in_the_folder_unless_the_environment_names_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    for name in ("ATROUS_DATABASE_URL", "ATROUS_BLOBS_URL"):
        monkeypatch.delenv(name, raising=False)
    assert database_url(home) == f"sqlite:///{tmp_path}/atrous.sqlite3"
    assert blobs_url(home) == f"{tmp_path}/blobs"
    monkeypatch.setenv("ATROUS_DATABASE_URL", "postgresql://host/name")
    monkeypatch.setenv("ATROUS_BLOBS_URL", "s3://bucket/folder")
    assert database_url(home) == "postgresql://host/name"
    assert blobs_url(home) == "s3://bucket/folder"
