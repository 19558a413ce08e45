"""Small holes and small islands of a mask, which automatic masks may be cleaned of."""

import cv2
import numpy as np
from jaxtyping import Bool

CONNECTIVITY = 8  # pixels that touch at a corner belong together


def remove_small_regions(
    mask: Bool[np.ndarray, "height width"], least_area: int
) -> tuple[Bool[np.ndarray, "height width"], bool]:
    """Fill holes and then drop islands of fewer than `least_area` pixels; also: were there any?

    A mask of small islands alone keeps its largest (`remove_small_regions` of Segment Anything).
    """
    around, had_holes = _large_regions(~mask, least_area, keep_one=False)
    cleaned, had_islands = _large_regions(~around, least_area, keep_one=True)
    return cleaned, had_holes or had_islands


def _large_regions(
    mask: Bool[np.ndarray, "height width"], least_area: int, *, keep_one: bool
) -> tuple[Bool[np.ndarray, "height width"], bool]:
    count, regions, facts, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=CONNECTIVITY
    )
    areas = facts[1:, cv2.CC_STAT_AREA]  # without what is not in the mask
    is_large = areas >= least_area
    has_small = not is_large.all()
    if keep_one and len(areas) and not is_large.any():
        is_large[areas.argmax()] = True
    kept = np.concatenate([[False], is_large])
    assert len(kept) == count
    return np.asarray(kept[regions], bool), bool(has_small)
