"""SAM 2 through the official client and the documents' samples, on a live server.

Its networks are small ones that draw discs, so that every answer is known.
"""

import base64
import importlib.util
import io
import json
import re
import subprocess
import sys
import urllib.request
from itertools import product
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

# pycocotools' decoder is older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
WRITE_MODEL = ROOT / "tests" / "server" / "disc_sam2.py"
SEED = ROOT.parent / "shared" / "seeds" / "sam2_http_api.md"
SIZE = (100, 200)  # height and width of the picture
SIZES = ("hiera_small", "hiera_large", "hiera_tiny", "hiera_b_plus")
# The cells of the mask's grid are 0.8 pixels wide here: the outlines may be a pixel off.
LEAST_RIGHT = 0.98


@pytest.fixture(scope="session")
def discs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("disc_sam2", WRITE_MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sam2_server(start, home_of_model, open_urls):
    """A server with hiera_tiny alone."""
    folder = home_of_model / "sam2" / "hiera_tiny-2.1"
    if not folder.exists():
        command = [sys.executable, str(WRITE_MODEL), str(folder)]
        environment = {"PYTHONPATH": str(ROOT / "src")}
        subprocess.run(command, env=environment, check=True, timeout=300)
    with start(home_of_model.parent / "sam2.log", **open_urls) as server:
        yield server


@pytest.fixture(scope="session")
def photo(pictures) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(pictures[0] / "photo.png")
    return pictures[0] / "photo.png"


@pytest.fixture(scope="session")
def server_of_all_sizes(start, home_of_model, sam2_server, open_urls):
    """A server with each size; the other one is there before them."""
    for size in SIZES:
        folder = home_of_model / "sam2" / f"{size}-2.1"
        if not folder.exists():
            command = [sys.executable, str(WRITE_MODEL), str(folder)]
            environment = {"PYTHONPATH": str(ROOT / "src")}
            subprocess.run(command, env=environment, check=True, timeout=300)
    with start(home_of_model.parent / "sam2-sizes.log", **open_urls) as server:
        yield server


def mask_of(prediction: dict) -> np.ndarray:
    if prediction["format"] == "rle":
        return coco_mask.decode(prediction["masks"]).astype(bool)
    assert prediction["format"] == "polygon"
    mask = np.zeros(SIZE, np.uint8)
    for polygon in prediction["masks"]:
        if polygon:
            cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
    return mask.astype(bool)


def test_sdk_segments(run_program, sdk, sam2_server, photo, pictures, discs, tells) -> None:
    if sdk.is_old:
        pytest.skip("that version has no sam2_segment_image")
    tells("inference-sdk", sdk.version, "sam2_segment_image, sync and async")
    output = run_program(
        sdk.python, "sdk_sam2.py", str(photo), f"{pictures[1]}/photo.png", at=sam2_server
    )
    lines = [json.loads(line) for line in output.splitlines()]
    at_click = discs.expected_disc(50, 30, *SIZE)
    corners = [discs.expected_disc(x, y, *SIZE) for x, y in ((80, 40), (120, 60))]
    nothing, boxed = np.zeros(SIZE, bool), np.logical_or(*corners)
    right = {
        "none": [nothing],
        "a point": [at_click],
        "a box": [boxed],
        "a point and a box": [at_click, boxed],
        "both in one": [at_click | boxed],
    }
    refused = {line["case"]: line["answer"] for line in lines if line["way"] == "error"}
    assert refused["another model"][0] == 404
    assert "atrous sam2 add hiera_large" in refused["another model"][1]
    assert refused["outside"][0] == 400
    assert "outside the photo" in refused["outside"][1]
    masks = [line for line in lines if line["way"] not in ("error", "binary, async", "one mask")]
    assert len(masks) == 2 * 5 * 4 + 4
    for line in masks:
        predictions = line["answer"]["predictions"]
        assert len(predictions) == len(right[line["case"]])
        for prediction, expected in zip(predictions, right[line["case"]], strict=True):
            assert prediction["confidence"] == pytest.approx(0.9)
            assert (mask_of(prediction) == expected).mean() > LEAST_RIGHT, line["way"]
    [one_mask] = [line for line in lines if line["way"] == "one mask"]
    expected = discs.expected_disc(50, 30, *SIZE, mask=0)
    assert (mask_of(one_mask["answer"]["predictions"][0]) == expected).mean() > LEAST_RIGHT
    [binary] = [line for line in lines if line["way"] == "binary, async"]
    with np.load(io.BytesIO(base64.b64decode(binary["answer"])), allow_pickle=False) as arrays:
        assert ((arrays["masks"][0] >= 0) == at_click).mean() > LEAST_RIGHT


@pytest.mark.skipif(not SEED.exists(), reason="the seed documents are not beside the project")
def test_the_program_of_the_seed_document(
    run_program, clients_python, sam2_server, photo, pictures, tmp_path, tells
) -> None:
    tells("supervision and inference-sdk", "", "the Python program of the SAM 2 document")
    picture = tmp_path / "served.png"
    Image.open(photo).resize((600, 400)).save(picture)
    Image.open(picture).save(pictures[0] / "bicycle.png")
    program = re.search(r"```python\n(.*?)```", SEED.read_text(), re.DOTALL).group(1)
    for old, new in [
        (r'IMAGE_URL = ".*"', f'IMAGE_URL = "{pictures[1]}/bicycle.png"'),
        (r'api_url=".*"', f'api_url="{sam2_server.url}"'),
    ]:
        program, count = re.subn(old, new, program)
        assert count == 1
    (tmp_path / "program.py").write_text(f"import os\nos.chdir({str(tmp_path)!r})\n{program}")
    run_program(clients_python, tmp_path / "program.py", at=sam2_server)
    drawn = np.asarray(Image.open(tmp_path / "bicycle_annotated.png").convert("RGB")).astype(int)
    changed = (drawn != np.asarray(Image.open(picture))).any(axis=2)
    assert changed[250, 300]  # the click
    assert not changed[20, 20]
    assert 0.02 < changed.mean() < 0.5


@pytest.mark.skipif(not SEED.exists(), reason="the seed documents are not beside the project")
def test_the_curl_line_of_the_seed_document(
    tool, sam2_server, photo, pictures, discs, tells
) -> None:
    curl = tool("curl")
    version = subprocess.run([curl, "--version"], capture_output=True, text=True).stdout
    tells("curl", version.split()[1], "the line of the SAM 2 document")
    Image.open(photo).resize((600, 400)).save(pictures[0] / "bicycle.png")
    line = re.search(r"```bash\n(curl .*?)```", SEED.read_text(), re.DOTALL).group(1)
    line = line.replace("\\\\\n", "\\\n")  # the document has one backslash too many
    for old, new in [
        ("https://serverless.roboflow.com/", f"{sam2_server.url}/"),
        ("YOUR_API_KEY", sam2_server.key),
        (re.search(r"https://storage[^\"]*", line).group(), f"{pictures[1]}/bicycle.png"),
    ]:
        assert line.count(old) == 1
        line = line.replace(old, new)
    shell = ["bash", "-c", line.replace("curl ", f"{curl} --silent --show-error ", 1)]
    done = subprocess.run(shell, capture_output=True, timeout=120, check=True)
    [prediction] = json.loads(done.stdout)["predictions"]
    mask = np.zeros((400, 600), np.uint8)
    cv2.fillPoly(mask, [np.array(polygon, np.int32) for polygon in prediction["masks"]], 1)
    expected = discs.expected_disc(300, 250, 400, 600)
    assert (mask.astype(bool) == expected).mean() > LEAST_RIGHT


def test_the_requests_of_the_peers_suite(server_of_all_sizes, photo, pictures, tells) -> None:
    """What `integration_tests/test_sam2.py` of roboflow/inference sends: 16 requests.

    The file itself runs where a checkout is named, see test_peer_suite.py.
    """
    tells("roboflow/inference", "3bb973b5c", "the 16 requests of integration_tests/test_sam2.py")

    def post(path: str, key_in_header: bool, body: dict | None = None) -> dict:
        key = server_of_all_sizes.key
        if body is not None and not key_in_header:
            body = {**body, "api_key": key}
        request = urllib.request.Request(
            f"{server_of_all_sizes.url}{path}", json.dumps(body).encode() if body else b""
        )
        request.add_header("Content-Type", "application/json")
        if key_in_header:
            request.add_header("Authorization", f"Bearer {key}")
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert answer.status == 200
            return json.load(answer)

    post("/model/clear", key_in_header=True)
    image = {"type": "url", "value": f"{pictures[1]}/photo.png"}
    for key_in_header, route, size in product((True, False), ("embed", "segment"), SIZES):
        body = {"image": image, "image_id": "test", "sam2_version_id": size}
        answer = post(f"/sam2/{route}_image", key_in_header, body)
        if route == "embed":
            assert answer["image_id"] == "test"
            continue
        [prediction] = answer["predictions"]  # no prompt is one, of the most prominent object
        assert prediction["masks"] == [[]]  # there is none where discs are drawn round clicks
        assert prediction["format"] == "polygon"
        assert isinstance(prediction["confidence"], float)
