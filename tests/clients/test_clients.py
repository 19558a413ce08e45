"""The official clients, unchanged, against a live server. Masks are decoded here on their own."""

import base64
import importlib.util
import io
import json
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SEED = ROOT.parent / "shared" / "seeds" / "deeplabv3_model.md"
MODEL = "colours/1"
CLASS_MAP = {"0": "background", "1": "red", "2": "green", "3": "blue"}
MAX_BODY_BYTES = 2_000_000  # as in conftest
FORBIDDEN = "User is not authorized to access this resource"


@pytest.fixture(scope="session")
def picture(pictures) -> Path:
    path = ROOT / "tests" / "server" / "colour_package.py"
    spec = importlib.util.spec_from_file_location("colour_package", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pixels, _ = module.draw_picture()
    Image.fromarray(pixels).save(pictures[0] / "picture.png")
    return pictures[0] / "picture.png"


@pytest.fixture(scope="session")
def expected(picture: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(picture))
    return np.where(pixels.any(axis=2), pixels.argmax(axis=2) + 1, 0)


def read_mask(text: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert image.mode == "L"
    return np.asarray(image)


def test_sdk_infers_from_every_input_in_both_modes(run_program, picture, expected) -> None:
    lines = [json.loads(line) for line in run_program("sdk_infer.py", str(picture)).splitlines()]
    kinds = [(line["mode"], line["kind"]) for line in lines]
    assert kinds == [(m, k) for m in ("default", "v0") for k in ("path", "numpy", "pil", "list")]
    for line in lines:
        results = line["result"] if line["kind"] == "list" else [line["result"]]
        assert len(results) == (2 if line["kind"] == "list" else 1)
        for result in results:
            predictions = result["predictions"]
            mask = read_mask(predictions["segmentation_mask"])
            # NumPy and PIL images travel as JPEG: their edges bleed
            right = (mask == expected).mean()
            assert right == 1.0 if line["kind"] in ("path", "list") else right > 0.95
            assert predictions["class_map"] == CLASS_MAP
            assert predictions["present_class_ids"] == [0, 1, 2, 3]
            assert result["image"] == {"width": 80, "height": 60}


def test_sdk_manages_models(run_program) -> None:
    answers = json.loads(run_program("sdk_models.py"))
    assert answers["info"]["name"] == "atrous"
    assert [model["model_id"] for model in answers["load"]] == [MODEL]
    assert answers["list"] == answers["load"]
    assert answers["description"]["model_id"] == MODEL
    assert answers["unload"] == []
    assert answers["unload_all"] == []


def test_sdk_tells_what_is_wrong(run_program, picture) -> None:
    output = run_program("sdk_errors.py", str(picture), str(MAX_BODY_BYTES))
    answers = {
        (line["case"], line["mode"]): (line["status"], line["message"])
        for line in map(json.loads, output.splitlines())
    }
    for mode in ("default", "v0"):
        status, message = answers["wrong key", mode]
        assert status == 403
        assert FORBIDDEN in message
        status, message = answers["unknown model", mode]
        assert status == 404
        assert "not found" in message
        status, message = answers["broken image", mode]
        assert status == 400
        assert "Could not load input image" in message
        status, message = answers["oversized", mode]
        assert status == 413
        assert str(MAX_BODY_BYTES) in message


@pytest.mark.skipif(not SEED.exists(), reason="the seed documents are not beside the project")
def test_the_program_of_the_seed_document(
    run_program, server, picture, expected, pictures, tmp_path
) -> None:
    program = re.search(r"```python\n(.*?)```", SEED.read_text(), re.DOTALL).group(1)
    for old, new in [
        (r'image_url = ".*"', f'image_url = "{pictures[1]}/picture.png"'),
        (r'image_path = ".*"', f'image_path = "{tmp_path}/copy.png"'),
        (r'OUTPUT_PATH = ".*"', f'OUTPUT_PATH = "{tmp_path}/annotated.png"'),
        (r'api_url=".*"', f'api_url="{server.url}"'),
        (r'model_id=".*"', f'model_id="{MODEL}"'),
    ]:
        program, count = re.subn(old, new, program)
        assert count == 1
    (tmp_path / "program.py").write_text(program)
    assert "Saved" in run_program(tmp_path / "program.py")
    drawn = np.asarray(Image.open(tmp_path / "annotated.png").convert("RGB"))
    changed = (drawn != np.asarray(Image.open(picture))).any(axis=2)
    assert changed[expected > 0].mean() > 0.9  # every class is drawn over the picture


def test_roboflow_predicts_and_saves(run_program, server, picture, expected, tmp_path) -> None:
    output = tmp_path / "saved.png"
    # The client uploads a JPEG, which bleeds at edges.
    text = run_program(
        "roboflow_predict.py", str(picture), str(output), SEMANTIC_SEGMENTATION_URL=server.url
    )
    prediction = json.loads(text)
    [only] = prediction["predictions"]
    assert (read_mask(only["segmentation_mask"]) == expected).mean() > 0.95
    assert only["class_map"] == CLASS_MAP
    with Image.open(output) as saved:
        assert saved.size == (80, 60)


def test_python_without_libraries(run_program, picture, expected) -> None:
    answer = json.loads(run_program("urllib_post.py", str(picture)))
    assert np.array_equal(read_mask(answer["segmentation_mask"]), expected)


@pytest.fixture
def curl():
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    def run_curl(*arguments: str, stdin: bytes = b"") -> dict:
        command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=True)
        body, _, status = done.stdout.rpartition(b"\n")
        return {"status": int(status), **json.loads(body)}

    return run_curl


def test_curl_with_a_base64_body(curl, server, picture, expected) -> None:
    url = f"{server.url}/{MODEL}?api_key={server.key}"
    text = base64.encodebytes(picture.read_bytes())  # with line breaks, as `base64` writes it
    answer = curl("-d", "@-", url, stdin=text)
    assert answer["status"] == 200
    assert np.array_equal(read_mask(answer["segmentation_mask"]), expected)
    assert answer["class_map"] == CLASS_MAP
    assert answer["image"] == {"width": 80, "height": 60}


def test_curl_with_an_image_url(curl, server, picture, pictures, expected) -> None:
    image = urllib.parse.quote(f"{pictures[1]}/picture.png", safe="")
    url = f"{server.url}/{MODEL}?api_key={server.key}&image={image}"
    answer = curl("-X", "POST", url)
    assert np.array_equal(read_mask(answer["segmentation_mask"]), expected)
    answer = curl("-X", "POST", url.replace("picture.png", "missing.png"))
    assert answer["status"] == 400
    assert answer["message"].startswith("Could not load input image. Cause: ")


def test_curl_is_told_what_is_wrong(curl, server, picture) -> None:
    text = base64.b64encode(picture.read_bytes())
    url = f"{server.url}/{MODEL}?api_key="
    wrong = curl("-d", "@-", url + "atr_wrong", stdin=text)
    assert wrong["status"] == 403
    assert wrong["Message"] == FORBIDDEN
    assert curl("-d", "@-", url + server.key, stdin=b"%%%")["status"] == 400
    large = b"A" * (MAX_BODY_BYTES * 3)
    assert curl("-d", "@-", url + server.key, stdin=large)["status"] == 413
    chunked = curl("-H", "Transfer-Encoding: chunked", "-d", "@-", url + server.key, stdin=large)
    assert chunked["status"] == 413
