"""Boundary IoU: the IoU of the bands along the regions' edges, where small errors show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from atrous.domain.classes import IGNORE_ID
from atrous.domain.geometry import Size
from atrous.masks.metrics import ratio_of

DIAGONAL_SHARE = 0.02  # of the photo's diagonal, that the band is wide


@dataclass
class BoundaryCounts:
    """Pixels of the bands per class, summed over the photos of a data set.

    A class's band is all of its pixels that are at most 2 % of the photo's diagonal away from
    another class or from the photo's edge, in the truth and in the prediction.
    Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", 2021.
    """

    shared: Int64[np.ndarray, " classes"]  # in the band of the truth and of the prediction
    true: Int64[np.ndarray, " classes"]
    predicted: Int64[np.ndarray, " classes"]

    @classmethod
    def zeros(cls, class_count: int) -> "BoundaryCounts":
        """No photo yet."""
        return cls(*(np.zeros(class_count, np.int64) for _ in range(3)))

    def add(
        self,
        truth: UInt8[np.ndarray, "height width"],
        prediction: UInt8[np.ndarray, "height width"],
    ) -> None:
        """Count one photo; where the truth is 255 nothing is, and both have the same edge."""
        width = band_width(Size(*truth.shape))
        prediction = np.where(truth == IGNORE_ID, np.uint8(IGNORE_ID), prediction)
        in_truth = band(truth, width)
        in_prediction = band(prediction, width)
        both = in_truth & in_prediction & (truth == prediction)
        for counts, label_map, where in (
            (self.shared, truth, both),
            (self.true, truth, in_truth),
            (self.predicted, prediction, in_prediction),
        ):
            counts += np.bincount(label_map[where], minlength=256)[: len(counts)]

    def iou(self, labelled_ids: Sequence[int]) -> Float64[np.ndarray, " labelled"]:
        """Boundary IoU (0..1) per class; nan for one without any pixel."""
        ids = list(labelled_ids)
        return ratio_of(self.shared[ids], (self.true + self.predicted - self.shared)[ids])


def band_width(photo: Size) -> int:
    """How far the band reaches inwards, in pixels; at least one.

    >>> band_width(Size(360, 480))
    12
    """
    return max(1, round(DIAGONAL_SHARE * math.hypot(photo.height, photo.width)))


def band(
    label_map: UInt8[np.ndarray, "height width"], width: int
) -> Bool[np.ndarray, "height width"]:
    """Pixels at most `width` away (rows or columns) from another class or beyond the edge."""
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    near = np.asarray(cv2.dilate(label_map, window) != cv2.erode(label_map, window))
    near[:width] = near[-width:] = True
    near[:, :width] = near[:, -width:] = True
    return near
