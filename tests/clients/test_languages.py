"""Clients in other languages than Python, as the hosted API's documentation shows them.

The samples are taken from that documentation where it lies beside the project, and run with only
host, key, model and picture put in. What is not installed is skipped.
"""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SEED = ROOT.parent / "shared" / "seeds" / "semantic_segmentation_http_api.md"
MODEL = "colours/1"
HOSTED = "https://segment.roboflow.com"
# npm install --prefix .venv-clients axios
NODE_MODULES = os.environ.get(
    "ATROUS_CLIENTS_NODE_MODULES", str(ROOT / ".venv-clients" / "node_modules")
)
needs_seed = pytest.mark.skipif(
    not SEED.exists(), reason="the seed documents are not beside the project"
)


@pytest.fixture(scope="session")
def picture(pictures) -> Path:
    path = ROOT / "tests" / "server" / "colour_package.py"
    spec = importlib.util.spec_from_file_location("colour_package", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pixels, _ = module.draw_picture()
    Image.fromarray(pixels).save(pictures[0] / "drawn.png")
    return pictures[0] / "drawn.png"


@pytest.fixture(scope="session")
def expected(picture: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(picture))
    return np.where(pixels.any(axis=2), pixels.argmax(axis=2) + 1, 0)


def read_mask(text: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert image.mode == "L"
    return np.asarray(image)


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(command: list[str], folder: Path, **environment: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def samples(language: str, word: str) -> list[str]:
    """The documentation's programs in a language that hold this word, in its order."""
    found = re.findall(rf"```{language}\n(.*?)```", SEED.read_text("utf-8"), re.DOTALL)
    return [program for program in found if word in program]


def test_node_fetch(server, picture, pictures, expected, tmp_path) -> None:
    output = run(
        [tool("node"), str(PROGRAMS / "node_fetch.mjs"), str(picture), f"{pictures[1]}/drawn.png"],
        tmp_path,
        SERVER=server.url,
        API_KEY=server.key,
        MODEL=MODEL,
    )
    *answers, refused = map(json.loads, output.splitlines())
    assert len(answers) == 4
    for answer in answers:
        assert answer["status"] == 200
        assert np.array_equal(read_mask(answer["body"]["segmentation_mask"]), expected)
    assert refused["status"] == 403
    assert refused["body"]["Message"] == "User is not authorized to access this resource"


@needs_seed
@pytest.mark.parametrize("index", [0, 1], ids=["local picture", "picture by URL"])
def test_the_axios_samples(server, picture, pictures, expected, tmp_path, index) -> None:
    node = tool("node")
    if not (Path(NODE_MODULES) / "axios").exists():
        pytest.skip(f"axios is not installed in {NODE_MODULES}")
    program = samples("javascript", "axios")[index]
    for old, new in [
        (f"{HOSTED}/your-model/42", f"{server.url}/{MODEL}"),
        ("YOUR_KEY", server.key),
        ("console.log(response.data)", "console.log(JSON.stringify(response.data))"),
        ("https://i.imgur.com/PEEvqPN.png", f"{pictures[1]}/drawn.png"),
    ]:
        program = program.replace(old, new)
    assert HOSTED not in program
    (tmp_path / "sample.cjs").write_text(program, "utf-8")
    shutil.copy(picture, tmp_path / "YOUR_IMAGE.jpg")
    answer = json.loads(run([node, "sample.cjs"], tmp_path, NODE_PATH=NODE_MODULES))
    assert np.array_equal(read_mask(answer["segmentation_mask"]), expected)


@needs_seed
@pytest.mark.parametrize("name", ["InferenceLocal", "InferenceHosted"])
def test_the_java_samples(server, picture, pictures, expected, tmp_path, name) -> None:
    javac, java = tool("javac"), tool("java")
    [program] = samples("java", f"class {name} ")
    for old, new in [
        (f"{HOSTED}/", f"{server.url}/"),
        ('API_KEY = ""', f'API_KEY = "{server.key}"'),
        ('"dataset/v"', f'"{MODEL}"'),
        ("https://i.imgur.com/PEEvqPN.png", f"{pictures[1]}/drawn.png"),
    ]:
        program = program.replace(old, new)
    assert HOSTED not in program
    (tmp_path / f"{name}.java").write_text(program, "utf-8")
    shutil.copy(picture, tmp_path / "YOUR_IMAGE.jpg")
    run([javac, "-encoding", "UTF-8", "-nowarn", f"{name}.java"], tmp_path)
    answer = json.loads(run([java, "-cp", ".", name], tmp_path))
    assert np.array_equal(read_mask(answer["segmentation_mask"]), expected)


def test_sdk_asynchronous_lists_and_smaller_pictures(
    run_program, picture, pictures, expected
) -> None:
    output = run_program("sdk_async.py", str(picture), f"{pictures[1]}/drawn.png")
    lines = [json.loads(line) for line in output.splitlines()]
    kinds = [(line["mode"], line["kind"]) for line in lines]
    wanted = ("async list", "async url", "smaller")
    assert kinds == [(mode, kind) for mode in ("default", "v0") for kind in wanted]
    for line in lines:
        assert len(line["results"]) == (3 if line["kind"] == "async list" else 1)
        for result in line["results"]:
            assert result["image"] == {"width": 80, "height": 60}
            mask = read_mask(result["predictions"]["segmentation_mask"])
            if line["kind"] == "smaller":  # the client rescales `image`, and leaves masks alone
                assert mask.shape == (30, 40)
                assert set(np.unique(mask)) == {0, 1, 2, 3}
            else:
                # what is fetched by URL travels on as JPEG: its edges bleed
                assert (mask == expected).mean() > 0.95
