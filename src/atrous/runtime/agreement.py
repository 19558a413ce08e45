"""How far a faster engine agrees with the exact one."""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Int64

from atrous.domain.geometry import Size

SIDE = 128  # of the grid of pixels that is compared


def thinned(
    logits: Float32[np.ndarray, "channels height width"], enlarged: Size | None = None
) -> Float32[np.ndarray, "channels rows columns"]:
    """A copy of the logits, first enlarged bilinearly where they are to be, on a coarse grid.

    The grid has about 128x128 pixels, the same ones whichever engine enlarged.
    """
    height, width = (enlarged.height, enlarged.width) if enlarged else logits.shape[1:]
    rows, columns = max(1, height // SIDE), max(1, width // SIDE)
    if enlarged is None:
        return logits[:, ::rows, ::columns].copy()
    planes = [cv2.resize(np.ascontiguousarray(plane), (width, height)) for plane in logits]
    return np.stack([np.asarray(plane, np.float32)[::rows, ::columns] for plane in planes])


def label_agreement(
    exact: Float32[np.ndarray, "channels height width"],
    other: Float32[np.ndarray, "channels height width"],
) -> float:
    """Share of the labels that are the same, 0..1, each weighed by how sure the exact engine is.

    The weight is the distance of the two highest logits: whether a pixel whose two likeliest
    classes are equally likely gets one or the other says nothing, and random networks have many.
    """
    sureness = _sureness(exact)
    same = _labels(exact) == _labels(other)
    total = float(sureness.sum())
    return float(sureness[same].sum()) / total if total else float(same.mean())


def _labels(logits: np.ndarray[Any, np.dtype[np.float32]]) -> Int64[np.ndarray, "height width"]:
    """The likeliest class; a single channel is one class against another by its sign."""
    winners = logits[0] > 0 if len(logits) == 1 else logits.argmax(axis=0)
    return np.asarray(winners, np.int64)


def _sureness(
    logits: np.ndarray[Any, np.dtype[np.float32]],
) -> Float32[np.ndarray, "height width"]:
    if len(logits) == 1:
        return np.asarray(np.abs(logits[0]), np.float32)
    second, first = np.sort(logits, axis=0)[-2:]
    return np.asarray(first - second, np.float32)
