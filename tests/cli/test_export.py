import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.domain.views import Views
from atrous.packages.directory import read_package

WRITE_PACKAGE = Path(__file__).parents[1] / "server" / "colour_package.py"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells red, green and blue."""
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_colour_package(tmp_path_factory.mktemp("packages") / "package")


def test_to_a_folder_and_to_the_store(atrous: Run, package: Path, tmp_path: Path) -> None:
    out = tmp_path / "half"
    code, said, err = atrous("export", package, "--precision", "fp16", "--out", out, "--json")
    assert code == 0, err
    facts = json.loads(said)
    assert (facts["package"], facts["precision"], facts["format"]) == (str(out), "fp16", "onnx")
    assert facts["trial_agreement"] > 0.99
    assert read_package(out).manifest["export"]["precision"] == "fp16"
    assert atrous("export", package, "--as", "colours")[:2] == (0, "colours/1\n")
    assert atrous("export", "colours/1", "--as", "colours/7")[:2] == (0, "colours/7\n")
    looks = ("--window", "64", "--flip", "--out", tmp_path / "looks")
    assert atrous("export", "colours/1", *looks)[0] == 0
    assert read_package(tmp_path / "looks").views == Views(window=64, flip=True)


def test_wrong_usage(atrous: Run, package: Path, tmp_path: Path) -> None:
    assert atrous("export", package)[0] == 2
    assert atrous("export", package, "--out", tmp_path / "a", "--as", "b/1")[0] == 2
    assert atrous("export", package, "--out", tmp_path / "a", "--precision", "int4")[0] == 2
    assert not (tmp_path / "a").exists()


def test_what_can_not_be_done(atrous: Run, package: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    code, _, err = atrous("export", package, "--precision", "int8", "--out", out)
    assert (code, "--data" in err) == (1, True)
    # What is wrong with the place is said before anything is made.
    code, _, err = atrous("export", package, "--precision", "int8", "--out", tmp_path)
    assert (code, "exists already; choose another folder" in err) == (1, True)
    code, _, err = atrous("export", package, "--precision", "int8", "--as", "A name/1")
    assert (code, "project 'A name' can't be used" in err) == (1, True)
    code, _, err = atrous("export", package, "--output-stride", "8", "--out", out)
    assert code == 1
    assert "at output stride unknown, and 8 needs the checkpoint" in err
    code, _, err = atrous("export", package, "--size", "640", "--out", out)
    assert (code, "needs the checkpoint of its training" in err) == (1, True)
    assert not out.exists()
