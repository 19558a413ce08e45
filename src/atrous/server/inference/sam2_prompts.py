"""From the prompts of a request to those of the model, once the photo's size is known."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from atrous.domain.errors import BadRequest
from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.server.inference.sam2_requests import BoxField, PointField, PromptField, SegmentRequest

LowResLogits = Float32[np.ndarray, "256 256"]
SIDE = 256  # of the logits that refine a mask
MASK_INPUT = (
    f"mask_input must be {SIDE} rows of {SIDE} numbers of at most a million, or base64 of these as "
    "float32 or float16, little-endian: the low_res_masks of an earlier answer in the format "
    "`binary`"
)
LARGEST_LOGIT = 1e6  # answers have at most 32; sums of much larger ones are no numbers
DTYPES = {4 * SIDE * SIDE: "<f4", 2 * SIDE * SIDE: "<f2"}  # by the number of bytes


def read_prompts(wanted: SegmentRequest, size: Size) -> tuple[Prompt, ...]:
    """Give the prompts of a request; one that says nothing where there are none.

    Raises BadRequest for what lies outside the photo, and for a mask that can't be one.
    """
    sent = wanted.prompts or [PromptField.model_validate({})]
    masks = _masks_of_request(wanted.mask_input, len(sent))
    return tuple(
        read_prompt(prompt, size, f"prompts[{index}]", mask)
        for index, (prompt, mask) in enumerate(zip(sent, masks, strict=True))
    )


def read_prompt(sent: PromptField, size: Size, name: str, mask: Any = None) -> Prompt:
    """Give one prompt; its own mask goes before that of the request."""
    own = sent.mask_input if sent.mask_input is not None else mask
    return Prompt(
        points=tuple(
            _point(point, size, f"{name}.points[{index}]")
            for index, point in enumerate(sent.points or ())
        ),
        box=None if sent.box is None else _box(sent.box, size, f"{name}.box"),
        mask_input=None if own is None else read_mask_input(own),
    )


def _point(point: PointField, size: Size, name: str) -> Point:
    if not (0 <= point.x <= size.width and 0 <= point.y <= size.height):
        raise BadRequest(
            f"{name} ({point.x:g}, {point.y:g}) lies outside the photo of {size} pixels; "
            "points are in pixels of the photo, from its top left corner"
        )
    return Point(point.x, point.y, point.positive)


def _box(box: BoxField, size: Size, name: str) -> PromptBox:
    """Turn a box round its centre into one by its edges, which may stick out of the photo."""
    corners = PromptBox(
        left=box.x - box.width / 2,
        top=box.y - box.height / 2,
        right=box.x + box.width / 2,
        bottom=box.y + box.height / 2,
    )
    crosses = corners.left < size.width and corners.right > 0
    if not (crosses and corners.top < size.height and corners.bottom > 0):
        raise BadRequest(
            f"{name} from ({corners.left:g}, {corners.top:g}) to ({corners.right:g}, "
            f"{corners.bottom:g}) lies outside the photo of {size} pixels; x and y of a box are "
            "its centre"
        )
    if corners.width > 3 * size.width or corners.height > 3 * size.height:
        raise BadRequest(
            f"{name} of {box.width:g}x{box.height:g} is larger than the photo of {size} pixels"
        )
    return corners


def _masks_of_request(sent: Any, count: int) -> Sequence[Any]:
    """Give the request's own mask for each of its prompts: one for the only, or one for each."""
    if sent is None:
        return [None] * count
    if isinstance(sent, list) and len(sent) == count:
        return sent
    if count == 1:
        return [sent]
    raise BadRequest(f"mask_input must hold a mask for each of the {count} prompts")


def read_mask_input(sent: Any) -> LowResLogits:
    """Read logits that a client sent back, or raise BadRequest."""
    try:
        if isinstance(sent, str):
            data = base64.b64decode(sent, validate=True)
            numbers = np.frombuffer(data, DTYPES[len(data)])
            logits = numbers.astype(np.float32).reshape(SIDE, SIDE)
        else:
            with np.errstate(over="ignore"):  # too large is infinite, which is refused below
                logits = np.asarray(sent, np.float32)
    except (binascii.Error, KeyError, ValueError, TypeError, OverflowError):
        raise BadRequest(MASK_INPUT) from None
    is_mask = logits.shape in ((SIDE, SIDE), (1, SIDE, SIDE))
    if not (is_mask and (np.abs(logits) <= LARGEST_LOGIT).all()):  # nan is not
        raise BadRequest(MASK_INPUT)
    return logits.reshape(SIDE, SIDE)
