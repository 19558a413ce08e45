"""inference-sdk, a new and an old release, unchanged: every way to infer.

What the client sent is decoded here, and every pixel of the answer compared with what it demands.
"""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest

MODES = ("default", "v0")
WAYS = ("infer", "infer_async")
INPUTS = ("path", "path of a turned JPEG", "NumPy array", "PIL image", "base64 string", "URL")
CASES = (*INPUTS, "list", "list, two at once", "confidence 0.95")
TRANSPORTS = ("legacy", "both", "header")  # the 0.x line knows the first alone, without a name
DRAWINGS = ("format image", "format image, PIL", "format image_and_json, NumPy")


@pytest.fixture(scope="session")
def lines(sdk, run_program, picture, turned, pictures) -> dict[tuple[str, str, str], dict]:
    """What the client sent and got, by mode, way and case."""
    url = f"{pictures[1]}/picture.png"
    transports = "" if sdk.is_old else ",".join(TRANSPORTS)
    output = run_program(
        sdk.python, "sdk_infer.py", str(picture), str(turned), url, transports
    ).splitlines()
    found = [json.loads(line) for line in output]
    return {(line["mode"], line["way"], line["case"]): line for line in found}


def pairs(line: dict[str, Any]) -> list[tuple[dict[str, Any], bytes]]:
    """Each answer with the file that was sent for it."""
    assert line["results"]
    files = [base64.b64decode(text) for text in line["sent"]]
    return list(zip(line["results"], files, strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_infer(lines, sdk, check, tells, mode, way, case) -> None:
    tells("inference-sdk", sdk.version, f"{way}, {mode} mode: {case}")
    answers = pairs(lines[mode, way, case])
    assert len(answers) == (3 if case.startswith("list") else 1)
    for answer, sent in answers:
        check(answer, sent, threshold=0.95 if case == "confidence 0.95" else 0.4)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_keys_travel_as_the_client_is_told(lines, sdk, check, tells, mode, way, transport) -> None:
    if sdk.is_old:
        pytest.skip("this release has no api_key_transport")
    tells("inference-sdk", sdk.version, f"{way}, {mode} mode: key by {transport}")
    [(answer, sent)] = pairs(lines[mode, way, f"key by {transport}"])
    check(answer, sent)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_downsizing(lines, sdk, tells, read_mask, mode, way) -> None:
    """The client shrinks the picture, and in the answer scales `image` back, but no mask."""
    tells("inference-sdk", sdk.version, f"{way}, {mode} mode: downsizing")
    [(answer, sent)] = pairs(lines[mode, way, "downsizing"])
    assert answer["image"] == {"width": 80, "height": 60}
    mask = read_mask(answer["predictions"]["segmentation_mask"])
    assert mask.shape == (30, 40)
    inside = {1: np.s_[4:8, 7:18], 2: np.s_[15:20, 5:12], 3: np.s_[13:23, 25:35]}
    for label, part in inside.items():  # well inside each colour, where scaling blurs nothing
        assert (mask[part] == label).all()


@pytest.mark.parametrize("mode", MODES)
def test_selected_models_and_streams(lines, sdk, check, tells, mode) -> None:
    tells("inference-sdk", sdk.version, f"select_model, infer_on_stream, {mode} mode")
    [(answer, sent)] = pairs(lines[mode, "infer", "select_model"])
    check(answer, sent)
    for name in ("picture.png", "turned.jpg"):
        [(answer, sent)] = pairs(lines[mode, "infer_on_stream", name])
        check(answer, sent)


@pytest.mark.parametrize("case", DRAWINGS)
@pytest.mark.parametrize("way", WAYS)
def test_drawings(lines, sdk, check, tells, decode, picture, way, case) -> None:
    tells("inference-sdk", sdk.version, f"{way}, v0 mode: {case}")
    [(answer, sent)] = pairs(lines["v0", way, case])
    if "json" in case:
        check(answer, sent)
    else:
        assert set(answer) == {"visualization"}
    drawn = decode(base64.b64decode(answer["visualization"])).astype(int)
    pixels = decode(picture.read_bytes()).astype(int)
    assert drawn.shape == pixels.shape
    background, green = np.s_[46:50, 5:40], np.s_[28:40, 9:26]
    assert abs(drawn - pixels)[background].mean() < 5  # as it was, but for JPEG
    assert abs(drawn - pixels)[green].max(axis=2).min() > 12  # painted over


def test_the_program_of_the_seed_document(
    sdk, run_program, server, picture, pictures, decode, seed, tells, tmp_path
) -> None:
    tells("inference-sdk", sdk.version, "the program of the DeepLabv3 page, with supervision")
    program = re.search(r"```python\n(.*?)```", seed("deeplabv3_model.md"), re.DOTALL).group(1)
    for old, new in [
        (r'image_url = ".*"', f'image_url = "{pictures[1]}/picture.png"'),
        (r'image_path = ".*"', f'image_path = "{tmp_path}/copy.png"'),
        (r'OUTPUT_PATH = ".*"', f'OUTPUT_PATH = "{tmp_path}/annotated.png"'),
        (r'api_url=".*"', f'api_url="{server.url}"'),
        (r'model_id=".*"', 'model_id="colours/1"'),
    ]:
        program, count = re.subn(old, new, program)
        assert count == 1
    (tmp_path / "program.py").write_text(program)
    assert "Saved" in run_program(sdk.python, tmp_path / "program.py")
    drawn = decode((tmp_path / "annotated.png").read_bytes())
    changed = (drawn != decode(picture.read_bytes())).any(axis=2)
    for part in (np.s_[8:16, 12:36], np.s_[28:40, 9:26], np.s_[26:46, 50:70]):
        assert changed[part].mean() > 0.9  # every class is drawn over the picture
    assert not changed[46:50, 32:40].any()  # nothing over the background
