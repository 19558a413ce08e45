"""Which answers are right: pictures and masks decoded with Pillow, classes computed with NumPy."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

CLASS_MAP = {"0": "background", "1": "red", "2": "green", "3": "blue"}


def draw_picture() -> np.ndarray:
    """Three solid colours and a ramp from background to red, on grey that is darker to the left."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:] = np.linspace(30, 140, 80)[None, :, None]
    pixels[4:20, 8:40] = (255, 0, 0)
    pixels[24:44, 5:30] = (30, 220, 40)
    pixels[20:50, 45:75] = (60, 50, 250)
    pixels[52:58, 8:72] = [(level, 60, 60) for level in range(60, 252, 3)]
    return pixels


def probabilities(pixels: np.ndarray) -> np.ndarray:
    """What the network of colour_package.py, one 1x1 convolution, makes of RGB pixels."""
    colours = pixels.astype(np.float64) / 255
    logits = np.concatenate(
        [
            np.full((*pixels.shape[:2], 1), 6.0),
            30 * colours - 10 * colours.sum(axis=2, keepdims=True),
        ],
        axis=2,
    )
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True)


def decode_mask(text: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    assert image.mode == "L"
    return np.asarray(image)


def decode_picture(file: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB"))


def check_masks(masks: dict[str, Any], pixels: np.ndarray, threshold: float = 0.4) -> None:
    """Compare class map, ids and every pixel with what the pixels of the picture demand.

    Left out: pixels so near to a change of class that rounding decides, at most one in fifty.
    """
    expected = probabilities(pixels)
    best = expected.max(axis=2)
    labels = np.where(best < threshold, 0, expected.argmax(axis=2))
    ordered = np.sort(expected, axis=2)
    clear = (ordered[..., -1] - ordered[..., -2] > 0.02) & (abs(best - threshold) > 0.01)
    assert clear.mean() > 0.98
    mask = decode_mask(masks["segmentation_mask"])
    assert mask.shape == pixels.shape[:2]
    assert np.array_equal(mask[clear], labels[clear])
    assert masks["class_map"] == CLASS_MAP
    if "confidence_mask" in masks:  # not at the top level of the hosted route
        confidence = decode_mask(masks["confidence_mask"]).astype(int)
        wanted = np.where(best < threshold, 0, np.floor(best * 255))
        assert abs(confidence - wanted)[clear].max() <= 2
        assert masks["present_class_ids"] == np.unique(mask).tolist()


def check_answer(answer: dict[str, Any], sent: bytes | Path, threshold: float = 0.4) -> None:
    """Compare an answer, in both shapes where it has both, with the file that was sent."""
    pixels = decode_picture(sent.read_bytes() if isinstance(sent, Path) else sent)
    height, width = pixels.shape[:2]
    assert answer["image"] == {"width": width, "height": height}
    assert answer["time"] > 0
    check_masks(answer["predictions"], pixels, threshold)
    if "segmentation_mask" in answer:  # the flat copy of the hosted route
        flat = {name: answer[name] for name in ("segmentation_mask", "class_map")}
        check_masks(flat, pixels, threshold)
