"""Four labelled photos joined to one."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from atrous.domain.geometry import Box

Pair = tuple[UInt8[np.ndarray, "_ _ 3"], UInt8[np.ndarray, "_ _"]]  # photo and label map
PARTS = 4
NEAREST_TO_EDGE = 0.3  # of height and width, where the four meet


def mosaic(pictures: Sequence[Pair], rng: np.random.Generator) -> Pair:
    """Join four pictures around a point; the answer has the size of the first.

    Each fills its quarter with a part of itself in the quarter's proportions, as large as
    it has one, so that no place stays empty.
    """
    if len(pictures) != PARTS:
        raise ValueError(f"{len(pictures)} pictures make no mosaic; give {PARTS}")
    height, width = pictures[0][1].shape
    image = np.empty((height, width, 3), np.uint8)
    label_map = np.empty((height, width), np.uint8)
    for (photo, labels), box in zip(pictures, _quarters(height, width, rng), strict=True):
        place = (slice(box.top, box.bottom), slice(box.left, box.right))
        image[place], label_map[place] = _filling(photo, labels, box, rng)
    return image, label_map


def _quarters(height: int, width: int, rng: np.random.Generator) -> Iterator[Box]:
    """The four parts around a random point; those of a photo one pixel wide may be empty."""
    row, column = (
        round(side * rng.uniform(NEAREST_TO_EDGE, 1 - NEAREST_TO_EDGE)) for side in (height, width)
    )
    for top, bottom in ((0, row), (row, height)):
        for left, right in ((0, column), (column, width)):
            yield Box(left, top, right, bottom)


def _filling(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    box: Box,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "box_height box_width 3"], UInt8[np.ndarray, "box_height box_width"]]:
    """A part of the picture in the proportions of the box, at its size."""
    height, width = label_map.shape
    wanted = box.size
    if wanted.area == 0:
        return np.empty((wanted.height, wanted.width, 3), np.uint8), np.empty(
            (wanted.height, wanted.width), np.uint8
        )
    scale = max(wanted.height / height, wanted.width / width)
    tall, wide = max(round(wanted.height / scale), 1), max(round(wanted.width / scale), 1)
    top = int(rng.integers(0, height - tall + 1))
    left = int(rng.integers(0, width - wide + 1))
    place = (slice(top, top + tall), slice(left, left + wide))
    size = (wanted.width, wanted.height)  # cv2 sizes are width first
    part, labels = np.ascontiguousarray(image[place]), np.ascontiguousarray(label_map[place])
    return (
        np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8),
        np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
    )
