import stat
from pathlib import Path

import pytest

from atrous.store.home import Home, home_folder


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
