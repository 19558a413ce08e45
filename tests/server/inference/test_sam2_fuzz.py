"""Odd requests are the client's fault, always: 2xx and 4xx, nothing else.

Each case follows from its number alone. A case that ever failed is kept in FAILED_ONCE.
"""

import json
import random
from typing import Any

import pytest

PATHS = ("/sam2/embed_image", "/sam2/segment_image", "/sam2/auto")
CASES = 400
FAILED_ONCE: list[int] = []
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 0.5, 1e308, -1e308, 2**70, "", "\0", "\ud800", "json", "rle"),
    *(
        "cat",
        "../../etc/passwd",
        "sam2/",
        "-2.1",
        "hiera_tiny-",
        [],
        {},
        [[]],
        [None],
        [{}],
        "a" * 40,
    ),
    *({"prompts": [[]]}, {"points": [{}]}, {"box": {"x": 1}}, [[1.0] * 256] * 256, "AAAA" * 100),
    {"type": "numpy", "value": "gASVAAAA"},
    {"type": "file", "value": "/etc/passwd"},
    {"type": "url", "value": "https://[::1]:99999/"},
    {"type": "base64", "value": "QUJD"},
    [{"x": 1, "y": 1, "positive": "yes"}],
)


def good(photo: Any) -> dict[str, Any]:
    return {
        "image": photo(),
        "image_id": "cat",
        "sam2_version_id": "hiera_tiny",
        "model_id": "sam2/hiera_tiny",
        "refuse_reused_image_id": False,
        "prompts": [
            {
                "points": [{"x": 5, "y": 5, "positive": True}],
                "box": {"x": 9, "y": 9, "width": 4, "height": 4},
            }
        ],
        "format": "json",
        "multimask_output": True,
        "all_masks": False,
        "low_res": True,
        "tolerance": 1,
        "holes": True,
        "mask_input": None,
        "save_logits_to_cache": True,
        "load_logits_from_cache": True,
        "points_per_side": 1,
        "pred_iou_thresh": 0.1,
        "stability_score_offset": 1,
        "crop_n_layers": 0,
        "crop_overlap_ratio": 0.3,
    }


def change(body: Any, dice: random.Random) -> Any:
    """Put something odd somewhere: at the top, or anywhere below."""
    if isinstance(body, dict) and body and dice.random() < 0.9:
        name = dice.choice(list(body))
        return {**body, name: change(body[name], dice)}
    if isinstance(body, list) and body and dice.random() < 0.8:
        index = dice.randrange(len(body))
        return [*body[:index], change(body[index], dice), *body[index + 1 :]]
    return dice.choice(ODD)


def test_no_request_is_an_error_of_the_server(sam2, photo) -> None:
    statuses = set()
    whole = good(photo)
    for number in [*FAILED_ONCE, *range(CASES)]:
        dice = random.Random(number)
        body = whole
        for _ in range(dice.choice((1, 1, 2, 4))):
            body = change(body, dice)
        path = dice.choice(PATHS)
        answer = sam2.http.post(
            path,
            params={"api_key": sam2.key},
            content=json.dumps(body),
            headers={"content-type": "application/json"},
        )
        statuses.add(answer.status_code)
        assert answer.status_code < 500, f"{number}: {path} {body!r:.500} {answer.text[:300]}"
        if answer.status_code >= 400:
            assert answer.json()["message"]
    assert {200, 400, 404, 422} <= statuses  # as a control: requests get to where they should


@pytest.mark.parametrize(
    "body", ["", "[", "null", "[]", '"cat"', "\xff", '{"image_id": "\\ud800"}']
)
def test_bodies_that_are_none(sam2, body: str) -> None:
    for path in PATHS:
        answer = sam2.http.post(
            path,
            params={"api_key": sam2.key},
            content=body.encode("latin-1"),
            headers={"content-type": "application/json"},
        )
        assert 400 <= answer.status_code < 500
