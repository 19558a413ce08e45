import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WRITE_PACKAGE = Path(__file__).parents[1] / "server" / "colour_package.py"
Run = Callable[..., tuple[int, str, str]]
STAGES = ["decode", "preprocess", "network", "postprocess", "encode", "total"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_colour_package(tmp_path_factory.mktemp("packages") / "package")


def test_figures_of_a_picture_as_json(atrous: Run, package: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(photo)
    code, said, errors = atrous(
        "bench", package, photo, "--runs", 3, "--json", "--precision", "fp32"
    )
    assert (code, errors.strip()) == (0, "")
    report = json.loads(said)
    assert report["image"] == {"width": 120, "height": 90, "bytes": photo.stat().st_size}
    assert (report["runs"], report["precision"], report["device"]) == (3, "fp32", "cpu")
    assert list(report["stages"]) == STAGES
    stages = report["stages"]
    assert all(0 < stage["median_ms"] <= stage["p95_ms"] for stage in stages.values())
    parts = sum(stages[name]["median_ms"] for name in STAGES[:-1])
    assert parts < 2 * stages["total"]["median_ms"]
    assert stages["total"]["share"] == 1


def test_a_table_for_people_with_a_drawn_picture(atrous: Run, package: Path, home: Path) -> None:
    code, said, errors = atrous("bench", package, "--runs", 1)
    assert (code, errors.strip()) == (0, "")
    assert "picture 1232x821, 1 runs" in said
    for stage in STAGES:
        assert stage in said
    assert "threads of" in " ".join(said.split())  # lines are broken where the window ends
    # what the measurement chose is kept where the server finds it
    assert list((home / "cache").glob("*-engine.json"))
    assert (home.stat().st_mode & 0o777) == 0o700


def test_several_looks_at_a_photo_count_as_network(
    atrous: Run, package: Path, tmp_path: Path
) -> None:
    looking = tmp_path / "looking"
    shutil.copytree(package, looking)
    manifest = json.loads((looking / "manifest.json").read_text())
    (looking / "manifest.json").write_text(json.dumps({**manifest, "views": {"flip": True}}))
    code, said, errors = atrous("bench", looking, "--runs", 1, "--json", "--precision", "fp32")
    assert (code, errors.strip()) == (0, "")
    assert list(json.loads(said)["stages"]) == ["decode", "network", "encode", "total"]


def test_what_is_no_picture_or_no_model(atrous: Run, package: Path, tmp_path: Path) -> None:
    code, _, errors = atrous("bench", package, tmp_path / "absent.jpg")
    assert code == 1
    assert "absent.jpg" in errors
    code, _, errors = atrous("bench", "nothing/7")
    assert code == 1
    assert "nothing/7" in errors
