"""Polygons to pixels, exactly as the COCO tools fill them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask  # type: ignore[import-untyped]

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.masks.rle import decode_rle

# The filling takes memory by the length of the outline, so far outliers are refused.
FARTHEST_SIDES = 10
LARGEST = 1e15  # whole numbers of files may be too large for a float


def rasterize_polygons(
    polygons: Sequence[Sequence[int | float]], size: Size
) -> Bool[np.ndarray, "height width"]:
    """True inside any of the polygons, each a flat list x1, y1, x2, y2, ... in pixels.

    The pixels are those of pycocotools. Parts outside the picture are cut off. Raises BadImage on
    less than three points, on an odd count, and on coordinates that are no numbers or lie more
    than ten sides outside. A hole can't be said by polygons; use RLE.
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
    if not polygons:
        return np.zeros((size.height, size.width), dtype=bool)
    encoded = coco_mask.frPyObjects(
        [[float(value) for value in polygon] for polygon in polygons], size.height, size.width
    )
    return decode_rle(coco_mask.merge(encoded)["counts"], size)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < LARGEST
