"""One photo four times, side by side: photo, truth, prediction, and where they differ."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import IGNORE_ID
from atrous.images.draw import draw_overlay, encode_jpeg

SIDE = 420  # pixels, of the longer side of each of the four
GAP = 6
RIGHT_COLOR = (226, 232, 240)
WRONG_COLOR = (220, 38, 38)
IGNORED_COLOR = (148, 163, 184)
QUALITY = 85


def photo_panels(
    image: UInt8[np.ndarray, "height width 3"],
    truth: UInt8[np.ndarray, "height width"],
    prediction: UInt8[np.ndarray, "height width"],
    class_names: Sequence[str],
) -> bytes:
    """Give a JPEG of photo | truth | prediction | error; ids are those of `class_names`.

    In the last one mistakes are red and what the truth leaves open is grey. The truth has a
    legend, and the prediction where it has other classes.
    """
    image, truth, prediction = _reduced(image, truth, prediction)
    known = truth != IGNORE_ID
    labelled = np.where(known, truth, _background(class_names)).astype(np.uint8)
    invented = not np.isin(prediction, labelled).all()  # classes that the truth's legend lacks
    panels = [
        image,
        draw_overlay(image, labelled, class_names, opacity=0.65),
        draw_overlay(image, prediction, class_names, opacity=0.65, labels=invented),
        _error(image, truth, prediction),
    ]
    gap = np.full((image.shape[0], GAP, 3), 255, np.uint8)
    strip = [part for panel in panels for part in (panel, gap)][:-1]
    return encode_jpeg(np.concatenate(strip, axis=1), QUALITY)


def _reduced(
    image: UInt8[np.ndarray, "height width 3"],
    truth: UInt8[np.ndarray, "height width"],
    prediction: UInt8[np.ndarray, "height width"],
) -> tuple[
    UInt8[np.ndarray, "small_height small_width 3"],
    UInt8[np.ndarray, "small_height small_width"],
    UInt8[np.ndarray, "small_height small_width"],
]:
    height, width = truth.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return (
        np.asarray(cv2.resize(image, size, interpolation=smooth), np.uint8),
        np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
        np.asarray(cv2.resize(prediction, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
    )


def _error(
    image: UInt8[np.ndarray, "height width 3"],
    truth: UInt8[np.ndarray, "height width"],
    prediction: UInt8[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width 3"]:
    colors = np.empty(image.shape, np.uint8)
    colors[:] = RIGHT_COLOR
    colors[truth != prediction] = WRONG_COLOR
    colors[truth == IGNORE_ID] = IGNORED_COLOR
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(grey, 0.3, colors, 0.7, 0), np.uint8)


def _background(class_names: Sequence[str]) -> int:
    lowered = [name.lower() for name in class_names]
    return lowered.index("background") if "background" in lowered else 0
