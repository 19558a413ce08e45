import importlib.util
from pathlib import Path

import pytest

from atrous.cli.model_argument import find_package
from atrous.domain.errors import BadModelId, BadPackage, NotFound
from atrous.store import open_store

WRITE_PACKAGE = Path(__file__).parents[1] / "server" / "colour_package.py"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_colour_package(tmp_path / "package")


def test_a_folder(package: Path) -> None:
    assert find_package(str(package)).folder == package


def test_a_published_model(package: Path, home: Path) -> None:
    with open_store(home) as store:
        store.models.publish("cats", package, workspace_id=store.workspaces.default().id)
    assert find_package("cats/1").folder.parent == home / "packages"


def test_a_folder_comes_first(
    package: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(home) as store:
        store.models.publish("cats", package, workspace_id=store.workspaces.default().id)
    (tmp_path / "cats").mkdir()
    package.rename(tmp_path / "cats" / "1")
    monkeypatch.chdir(tmp_path)
    assert find_package("cats/1").folder == Path("cats/1")


def test_neither(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cats/1"):
        find_package("cats/1")
    with pytest.raises(BadModelId, match="nowhere"):
        find_package(str(tmp_path / "nowhere"))
    with pytest.raises(BadPackage):
        find_package(str(tmp_path))
