"""The regions of a label map: pixels of one class that touch one another."""

import cv2
import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import BACKGROUND_ID, IGNORE_ID
from atrous.domain.geometry import Box

MIN_PIXELS = 16  # smaller ones are specks
MAX_REGIONS = 100  # of a photo: the largest


def region_boxes(label_map: UInt8[np.ndarray, "height width"]) -> list[Box]:
    """The box around each region of a class, the largest region first.

    Background and ignored pixels (255) are no class. Pixels touch also over corners.
    """
    found: list[tuple[int, int, Box]] = []
    for number in np.unique(label_map):
        if number in (BACKGROUND_ID, IGNORE_ID):
            continue
        mask = (label_map == number).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for left, top, width, height, pixels in stats[1:].tolist():  # the first is all the rest
            if pixels >= MIN_PIXELS:
                found.append((-pixels, int(number), Box(left, top, left + width, top + height)))
    found.sort(key=lambda entry: (entry[0], entry[1], entry[2].top, entry[2].left))
    return [box for _, _, box in found[:MAX_REGIONS]]
