"""Polygons to pixels, exactly as the COCO tools fill them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask  # type: ignore[import-untyped]

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.masks.rle import decode_rle

# The filling takes memory and time by the length of the outline, and Python's lock meanwhile.
FARTHEST_SIDES = 10
LONGEST_OUTLINE = 2_000_000  # pixels: some seconds
LARGEST = 1e15  # whole numbers of files may be too large for a float


def rasterize_polygons(
    polygons: Sequence[Sequence[int | float]],
    size: Size,
    stop_if_unwanted: Callable[[], None] = lambda: None,
) -> Bool[np.ndarray, "height width"]:
    """True inside any of the polygons, each a flat list x1, y1, x2, y2, ... in pixels.

    The pixels are those of pycocotools. Parts outside the picture are cut off. Raises BadImage on
    less than three points, on an odd count, on coordinates that are no numbers or lie more than
    ten sides outside, and on an outline of millions of pixels. A hole can't be said by polygons;
    use RLE.

    stop_if_unwanted: what it raises every few seconds ends the filling.
    """
    farthest = FARTHEST_SIDES * max(size.height, size.width)
    for polygon in polygons:
        # four numbers would be taken for a box by pycocotools
        if len(polygon) < 6 or len(polygon) % 2:
            raise BadImage(
                f"a polygon has {len(polygon)} numbers; expected x and y of at least 3 points"
            )
        if not all(_is_number(value) and abs(value) <= farthest for value in polygon):
            raise BadImage(
                f"a polygon has coordinates that are no numbers or are more than {farthest} pixels "
                f"from a picture of {size}; expected pixels within it"
            )
    covered = np.zeros((size.height, size.width), dtype=bool)
    for portion in _portions(polygons):
        stop_if_unwanted()
        encoded = coco_mask.frPyObjects(portion, size.height, size.width)
        covered |= decode_rle(coco_mask.merge(encoded)["counts"], size)
    return covered


def _portions(polygons: Sequence[Sequence[int | float]]) -> Iterator[list[list[float]]]:
    """Polygons whose outlines together are no longer than one may be."""
    portion: list[list[float]] = []
    length = 0.0
    for polygon in polygons:
        own = [float(value) for value in polygon]
        own_length = _outline_length(own)
        if own_length > LONGEST_OUTLINE:
            raise BadImage(
                f"a polygon has an outline of {own_length:.0f} pixels; expected at most "
                f"{LONGEST_OUTLINE}: use RLE or a mask"
            )
        if portion and length + own_length > LONGEST_OUTLINE:
            yield portion
            portion, length = [], 0.0
        portion.append(own)
        length += own_length
    if portion:
        yield portion


def _outline_length(polygon: list[float]) -> float:
    points = np.array(polygon).reshape(-1, 2)
    sides = np.abs(points - np.roll(points, 1, axis=0))
    return float(sides.max(axis=1).sum())  # in steps from pixel to pixel


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < LARGEST
