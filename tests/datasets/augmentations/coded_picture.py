"""A picture whose colours tell its labels, so that both can be compared after a step."""

import cv2
import numpy as np

IGNORED = 255
COLOURS = np.array([[40, 200, 90], [220, 60, 40], [60, 90, 230], [230, 220, 50]], np.uint8)


def coded(height: int = 60, width: int = 84, cell: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Cells of four classes, no two neighbours alike, and a class of its own at the top left."""
    rows, columns = np.mgrid[:height, :width]
    label_map = ((rows // cell + 2 * (columns // cell)) % 4).astype(np.uint8)
    label_map[: cell // 2, : cell // 2] = 3
    return COLOURS[label_map], label_map


def disagreement(image: np.ndarray, label_map: np.ndarray) -> float:
    """The share of pixels, away from borders of labels and picture, with another label's colour.

    Ignored pixels are to be black.
    """
    kernel = np.ones((5, 5), np.uint8)
    inside = cv2.dilate(label_map, kernel) == cv2.erode(label_map, kernel)
    inside[:2], inside[-2:], inside[:, :2], inside[:, -2:] = False, False, False, False
    table = np.zeros((256, 3), np.uint8)
    table[: len(COLOURS)] = COLOURS
    apart = np.abs(image.astype(int) - table[label_map]).max(axis=2) > 3
    assert inside.any()
    return float(apart[inside].mean())
