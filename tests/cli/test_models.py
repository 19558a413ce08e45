import importlib.util
import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from atrous.cli import serve
from atrous.cli.model_argument import find_package
from atrous.cli.up import greeting
from atrous.domain.model_ids import ModelId
from atrous.server.settings import ServerSettings
from atrous.store import open_store

WRITE_PACKAGE = Path(__file__).parents[1] / "server" / "colour_package.py"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_colour_package(tmp_path_factory.mktemp("packages") / "package")


def test_a_package_is_added_shown_and_removed(atrous, home, package) -> None:
    assert atrous("models", "add", package, "--as", "colours/3") == (0, "colours/3\n", "")
    [listed] = json.loads(atrous("models", "list", "--json")[1])
    assert listed["model_id"] == "colours/3"
    assert listed["class_names"] == ["background", "red", "green", "blue"]
    assert listed["metrics"]["test"]["miou"] == 0.875
    table = atrous("models", "list")[1]
    assert "colours/3" in table
    assert "0.875 (test)" in table
    shown = json.loads(atrous("models", "show", "colours/3", "--json")[1])
    assert (Path(shown["folder"]) / "weights.onnx").exists()
    told = atrous("models", "show", "colours/3")[1]
    assert "green" in told
    assert "test: mIoU 0.875" in told
    assert "0.950" in told
    assert atrous("models", "remove", "colours/3")[0] == 0
    assert json.loads(atrous("models", "list", "--json")[1]) == []
    assert not Path(shown["folder"]).exists()


def test_a_project_alone_takes_the_next_version(atrous, package) -> None:
    assert atrous("models", "add", package, "--as", "colours")[1] == "colours/1\n"
    assert atrous("models", "add", package, "--as", "colours")[1] == "colours/2\n"


def test_each_run_of_a_version_is_found_by_the_name_that_is_listed(
    atrous, home, package, caplog
) -> None:
    for _ in range(2):
        atrous("models", "add", package, "--as", "colours")
    with closing(sqlite3.connect(home / "atrous.sqlite3")) as database, database:
        database.execute("update models set version = 1, run = 2 where version = 2")
    listed = json.loads(atrous("models", "list", "--json")[1])
    first, second = (entry["model_id"] for entry in listed)
    assert (first, second) == ("colours/1", "colours-1-colours-t2")
    with open_store(home) as store, caplog.at_level(logging.INFO):
        serve._announce(ServerSettings(), store, 9001)
        assert f"models      {first}, {second}" in greeting("http://x:1", home / "api_key", store)
    assert [line for line in caplog.messages if line.startswith("model ")] == [
        f"model {first}",
        f"model {second}",
    ]
    shown = [json.loads(atrous("models", "show", each, "--json")[1]) for each in (first, second)]
    folders = [each["folder"] for each in shown]
    assert folders[0] != folders[1]
    assert atrous("export", second, "--as", "copies")[:2] == (0, "copies/1\n")
    assert find_package(second).folder == Path(folders[1])
    said = atrous("models", "remove", "colours/1")[1]
    assert said == f"removed colours/1; colours/1 is {second} now\n"
    assert atrous("models", "remove", second)[1] == f"removed {second}\n"
    assert atrous("models", "show", second)[0] == 1


def test_a_package_of_the_older_layout(atrous, home, package, tmp_path) -> None:
    legacy = tmp_path / "legacy"
    legacy.mkdir()
    for name in ("weights.onnx", "class_names.txt"):
        (legacy / name).write_bytes((package / name).read_bytes())
    resize = {"enabled": True, "width": 80, "height": 60, "format": "Stretch to"}
    environment = {"PREPROCESSING": json.dumps({"resize": resize})}
    (legacy / "environment.json").write_text(json.dumps(environment))
    assert atrous("models", "add", legacy, "--as", "old/1") == (0, "old/1\n", "")
    with open_store(home) as store:
        assert store.models.get(ModelId("old", 1)).facts["layout"] == "legacy"


def test_failures_publish_nothing(atrous, package, tmp_path) -> None:
    atrous("models", "add", package, "--as", "colours/1")
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in package.iterdir():
        if path.name != "manifest.json":
            (broken / path.name).write_bytes(path.read_bytes())
    (broken / "weights.onnx").write_bytes(b"nonsense")
    for arguments in (
        ["add", package, "--as", "colours/1"],
        ["add", package, "--as", "../up/1"],
        ["add", package, "--as", "UP"],
        ["add", tmp_path / "nothing", "--as", "x/1"],
        ["add", broken, "--as", "x/1"],
        ["remove", "colours/2"],
        ["show", "colours/2"],
    ):
        code, out, err = atrous("models", *arguments)
        assert (code, out) == (1, ""), arguments
        assert "error: " in err
    assert len(json.loads(atrous("models", "list", "--json")[1])) == 1
    assert atrous("models", "add", package)[0] == 2
