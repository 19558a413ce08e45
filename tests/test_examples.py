"""The programs in examples/ run, and the curl lines of docs/http_api.md too."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
MOST_LINES = 40
MODEL = "colours/1"
JPEG_START = b"\xff\xd8\xff"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_examples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


clients = load(ROOT / "tests" / "clients" / "conftest.py")
colours = load(ROOT / "tests" / "server" / "colour_package.py")
clients_python = clients.clients_python
home_of_model = clients.home_of_model


@pytest.fixture(scope="module")
def server(home_of_model: Path) -> Iterator[Any]:
    started = clients.start_server(home_of_model, home_of_model.parent / "examples.log")
    yield started
    assert clients.stop_server(started) == 0


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(colours.draw_picture()[0]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run_example(python: str, server: Any, name: str, *arguments: str) -> str:
    environment = clients.atrous_environment(server.log.parent)
    done = subprocess.run(
        [python, "-W", "ignore", str(EXAMPLES / name), *arguments],
        env={**environment, "ATROUS_URL": server.url, "ATROUS_API_KEY": server.key},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_overlay(drawn: Path, photo: Path) -> None:
    """Every class is drawn over the picture, and nothing else is changed."""
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (photo, drawn))
    changed = (before != after).any(axis=2)
    assert np.array_equal(changed, colours.draw_picture()[1] > 0)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_predict_with_requests(server, photo, tmp_path) -> None:
    drawn = tmp_path / "drawn.png"
    said = run_example(
        sys.executable, server, "predict_with_requests.py", str(photo), MODEL, str(drawn)
    )
    assert said == "background, red, green, blue\n"
    check_overlay(drawn, photo)


def test_a_wrong_key_and_no_arguments_are_told(server, photo) -> None:
    command = [sys.executable, str(EXAMPLES / "predict_with_requests.py")]
    for key, arguments, code, said in (
        (
            "wrong",
            [str(photo), MODEL, "drawn.png"],
            1,
            "the server answers 403: User is not authorized",
        ),
        (server.key, [], 2, "required: photo, model, output"),
    ):
        environment = {**os.environ, "ATROUS_URL": server.url, "ATROUS_API_KEY": key}
        done = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True
        )
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_training_twice_in_one_folder_is_refused(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    command = [sys.executable, str(EXAMPLES / "train_in_python.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, "was worked in before; name a new folder" in done.stderr) == (2, True)


def test_predict_with_inference_sdk(clients_python, server, photo, tmp_path) -> None:
    drawn = tmp_path / "drawn.png"
    said = run_example(
        clients_python, server, "predict_with_inference_sdk.py", str(photo), MODEL, str(drawn)
    )
    assert said == "background, red, green, blue\n"
    check_overlay(drawn, photo)


@pytest.mark.slow
def test_train_in_python(tmp_path) -> None:
    arguments = ["--epochs", "1", "--pictures", "8", "--side", "64"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "train_in_python.py"), str(tmp_path / "work"), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"package: mIoU 0\.\d{3}\n$", done.stdout)
    assert (tmp_path / "work" / "run" / "package" / "weights.onnx").exists()


def test_curl_lines_of_the_http_documentation(server, photo) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    text = (ROOT / "docs" / "http_api.md").read_text()
    _, *blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    served = [block for block in blocks if "/sam2/" not in block]  # this server has no SAM 2
    lines = [
        line
        for line in "".join(served).replace("|\n", "| ").splitlines()
        if "example.com" not in line
    ]
    assert len(lines) >= 15
    script = "\n".join(
        [
            "set -euo pipefail",
            'curl() { command curl --fail --silent --show-error "$@"; }',
            *lines,
        ]
    )
    # its pictures are of any format: a PNG under the name that the document says
    shutil.copy(photo, photo.with_name("photo.jpg"))
    done = subprocess.run(
        ["bash", "-c", script.replace("shapes/1", MODEL)],
        env={**os.environ, "URL": server.url, "KEY": server.key},
        cwd=photo.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert photo.with_name("drawn.jpg").read_bytes().startswith(JPEG_START)
