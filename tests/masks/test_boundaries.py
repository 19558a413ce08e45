import math

import cv2
import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.masks.boundaries import BoundaryCounts, band_width


def mask_band(mask: np.ndarray, width: int) -> np.ndarray:
    """The paper's definition: a mask less what is left after eroding it pixel by pixel."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)
    return (mask - eroded[1:-1, 1:-1]).astype(bool)


def blobs(seed: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((4, height, width)).astype(np.float32)
    smooth = [cv2.GaussianBlur(plane, (0, 0), 6) for plane in noise]
    return np.argmax(smooth, axis=0).astype(np.uint8)


def test_the_definition_of_the_paper() -> None:
    counts = BoundaryCounts.zeros(4)
    shared, union = np.zeros(4), np.zeros(4)
    for seed, (height, width) in enumerate([(90, 120), (61, 40)]):
        truth, prediction = blobs(seed, height, width), blobs(seed + 10, height, width)
        prediction[: height // 2] = truth[: height // 2]
        counts.add(truth, prediction)
        distance = max(1, round(0.02 * math.hypot(height, width)))
        for class_id in range(4):
            true_band = mask_band((truth == class_id).astype(np.uint8), distance)
            predicted_band = mask_band((prediction == class_id).astype(np.uint8), distance)
            shared[class_id] += (true_band & predicted_band).sum()
            union[class_id] += (true_band | predicted_band).sum()
    np.testing.assert_allclose(counts.iou(range(4)), shared / union)
    assert 0.1 < counts.iou([2])[0] < 0.9


def test_ignored_pixels_have_no_edge_of_their_own() -> None:
    truth = np.ones((100, 100), np.uint8)
    truth[40:60, 40:60] = 255
    counts = BoundaryCounts.zeros(3)
    counts.add(truth, np.ones((100, 100), np.uint8))
    assert counts.iou([1]).tolist() == [1.0]
    assert np.isnan(counts.iou([2])[0])


@pytest.mark.parametrize(("size", "width"), [(Size(1, 1), 1), (Size(600, 800), 20)])
def test_width_of_the_band(size: Size, width: int) -> None:
    assert band_width(size) == width
