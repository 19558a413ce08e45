import base64
from typing import Any

import numpy as np
import pytest

from atrous.domain.errors import BadRequest
from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.server.inference.sam2_prompts import read_mask_input, read_prompts
from atrous.server.inference.sam2_requests import SegmentRequest

SIZE = Size(height=60, width=100)
LOGITS = np.linspace(-8, 8, 256 * 256, dtype=np.float32).reshape(256, 256)


def prompts(sent: Any, **fields: Any) -> tuple[Prompt, ...]:
    body = {"image_id": "cat", "prompts": sent, **fields}
    return read_prompts(SegmentRequest.model_validate(body), SIZE)


def point(x: float, y: float, positive: bool = True) -> dict[str, Any]:
    return {"x": x, "y": y, "positive": positive}


def box(x: float, y: float, width: float, height: float) -> dict[str, float]:
    return {"x": x, "y": y, "width": width, "height": height}


def text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def test_a_box_is_sent_by_its_centre() -> None:
    [prompt] = prompts({"box": box(50, 30, 20, 10)})
    assert prompt.box == PromptBox(left=40.0, top=25.0, right=60.0, bottom=35.0)
    assert prompt.points == ()


def test_boxes_points_and_both_mix_in_one_request() -> None:
    found = prompts(
        [{"box": box(50, 30, 20, 10)}, {"points": [point(1, 2), point(3, 4, False)]}]
        + [{"box": box(5, 5, 2, 2), "points": [point(5, 5)]}, {}]
    )
    assert [(prompt.box is not None, len(prompt.points)) for prompt in found] == [
        (True, 0),
        (False, 2),
        (True, 1),
        (False, 0),
    ]
    assert found[1].points == (Point(1.0, 2.0, True), Point(3.0, 4.0, False))


def test_no_prompt_is_one_that_says_nothing() -> None:
    [prompt] = prompts(None)
    assert (prompt.points, prompt.box, prompt.mask_input) == ((), None, None)


@pytest.mark.parametrize(("x", "y"), [(-0.1, 5), (100.1, 5), (5, -1), (5, 61), (1e308, 5)])
def test_points_outside_are_refused(x: float, y: float) -> None:
    with pytest.raises(
        BadRequest, match=r"prompts\[1\].points\[0\] .* outside the photo of 100x60"
    ):
        prompts([{"points": [point(100, 60)]}, {"points": [point(x, y)]}])


@pytest.mark.parametrize(
    "outside", [box(-20, 30, 10, 10), box(50, 80, 10, 10), box(1e308, 1, 1, 1)]
)
def test_boxes_outside_are_refused(outside: dict[str, float]) -> None:
    with pytest.raises(BadRequest, match=r"prompts\[0\].box .* lies outside the photo of 100x60"):
        prompts({"box": outside})


def test_a_box_may_stick_out_but_not_hold_the_photo_many_times() -> None:
    [prompt] = prompts({"box": box(0, 0, 10, 10)})
    assert prompt.box == PromptBox(-5.0, -5.0, 5.0, 5.0)
    for huge in (box(50, 30, 1e6, 10), box(50, 30, 1e308, 1e308)):
        with pytest.raises(BadRequest, match="larger than the photo"):
            prompts({"box": huge})


@pytest.mark.parametrize(
    "sent",
    [
        LOGITS.tolist(),
        [LOGITS.tolist()],
        text(LOGITS),
        [text(LOGITS)],
        text(LOGITS.astype(np.float16)),
    ],
)
def test_a_mask_to_refine_comes_as_numbers_or_base64(sent: Any) -> None:
    one = {"points": [point(5, 5)]}
    for [prompt] in (prompts(one, mask_input=sent), prompts({**one, "mask_input": text(LOGITS)})):
        assert prompt.mask_input is not None
        np.testing.assert_allclose(prompt.mask_input, LOGITS, atol=4e-3)
        assert prompt.mask_input.flags.writeable  # its own, not the request's bytes


def test_each_prompt_may_have_its_mask() -> None:
    two = [{"points": [point(5, 5)]}, {"points": [point(6, 6)], "mask_input": text(LOGITS)}]
    first, second = prompts(two)
    assert first.mask_input is None
    assert second.mask_input is not None
    first, second = prompts(two, mask_input=[text(LOGITS + 1), text(LOGITS + 2)])
    np.testing.assert_allclose(first.mask_input, LOGITS + 1)
    np.testing.assert_allclose(second.mask_input, LOGITS)  # its own goes first
    with pytest.raises(BadRequest, match="for each of the 2 prompts"):
        prompts(two, mask_input=text(LOGITS))


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "!!!",
        text(LOGITS[:255]),
        LOGITS[:255].tolist(),
        [[1.0]],
        [[1.0], [2.0, 3.0]],
        [["a"] * 256] * 256,
        {"value": 1},
        7,
        True,
        [[1e308] * 256] * 256,
        text(np.full((256, 256), np.nan, np.float32)),
        text(np.full((256, 256), np.inf, np.float16)),
        text(np.full((256, 256), -3e38, np.float32)),  # sums of them are no numbers
        np.zeros((2, 256, 256)).tolist(),
        [[None] * 256] * 256,
    ],
)
def test_what_can_be_no_mask_is_refused(sent: Any) -> None:
    with pytest.raises(BadRequest, match="mask_input must be 256 rows of 256 numbers"):
        read_mask_input(sent)
