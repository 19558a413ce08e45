"""Which confidence thresholds are best for a model: one per class, and one for all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from atrous.domain.predictions import Thresholds
from atrous.masks.metrics import mean_of_defined, ratio_of

STEPS = 200  # thresholds that are tried: 0, 0.005, .. 0.995


@dataclass
class ConfidenceCounts:
    """Predicted pixels by their class and probability, so that every threshold can be tried.

    A pixel less sure than its class's threshold becomes background. So a class's figures depend
    on its own threshold alone, and background's on those of all.
    """

    background_id: int
    right: Int64[np.ndarray, "classes steps"]  # by predicted class
    truly_background: Int64[np.ndarray, "classes steps"]
    all: Int64[np.ndarray, "classes steps"]
    truths: Int64[np.ndarray, " classes"]  # by true class

    @classmethod
    def zeros(cls, class_count: int, background_id: int) -> "ConfidenceCounts":
        """No pixel yet."""
        right, truly_background, all_pixels = np.zeros((3, class_count, STEPS), np.int64)
        truths = np.zeros(class_count, np.int64)
        return cls(background_id, right, truly_background, all_pixels, truths)

    def add(
        self,
        truth: UInt8[np.ndarray, " n"],
        predicted: UInt8[np.ndarray, " n"],
        confidence: Float32[np.ndarray, " n"],
    ) -> None:
        """Count labelled pixels: true class, most probable class and its probability (0..1)."""
        steps = np.minimum(confidence * np.float32(STEPS), STEPS - 1).astype(np.int32)
        places = predicted * np.int32(STEPS) + steps
        for counts, where in (
            (self.all, slice(None)),
            (self.right, truth == predicted),
            (self.truly_background, truth == self.background_id),
        ):
            found = np.bincount(places[where], minlength=counts.size)
            counts += found.reshape(counts.shape)
        self.truths += np.bincount(truth, minlength=len(self.truths))

    def f1_by_threshold(self) -> Float64[np.ndarray, "classes steps"]:
        """F1 of every class at thresholds 0, 1/200, 2/200 ..; nan where it is not defined.

        Background's own row is at its best with 0: where it falls below, it is background still.
        """
        right, predicted = _at_least(self.right)[:, :STEPS], _at_least(self.all)[:, :STEPS]
        f1 = ratio_of(2 * right, predicted + self.truths[:, None])
        f1[self.background_id, 1:] = -1.0
        return f1

    def best_thresholds(self, labelled_ids: Sequence[int]) -> dict[int, float]:
        """The lowest threshold of highest F1 per labelled class that occurs and was predicted."""
        f1 = self.f1_by_threshold()
        measured = (self.truths > 0) & (self.all.sum(axis=1) > 0)
        return {
            class_id: float(np.argmax(f1[class_id]) / STEPS)
            for class_id in labelled_ids
            if measured[class_id]
        }

    def best_common_threshold(self, labelled_ids: Sequence[int]) -> float:
        """The lowest single threshold of highest mean IoU over the labelled classes."""
        means = [
            float(mean_of_defined(self.iou_at(np.full(len(self.truths), step), labelled_ids)))
            for step in range(STEPS)
        ]
        return int(np.argmax(np.nan_to_num(means))) / STEPS

    def mean_iou_at(self, thresholds: Thresholds, labelled_ids: Sequence[int]) -> float:
        """Mean IoU when these thresholds are applied, each rounded to a multiple of 1/200.

        From 1 on a class is never shown.
        """
        given = np.broadcast_to(np.asarray(thresholds, np.float64), self.truths.shape)
        steps = np.rint(np.minimum(given, 1.0) * STEPS).astype(np.int64)
        return float(mean_of_defined(self.iou_at(steps, labelled_ids)))

    def iou_at(
        self, steps: Int64[np.ndarray, " classes"], labelled_ids: Sequence[int]
    ) -> Float64[np.ndarray, " labelled"]:
        """IoU per labelled class where each class's threshold is its step (0..200) / 200."""
        steps = steps.copy()
        steps[self.background_id] = 0
        rows = np.arange(len(steps))
        right = _at_least(self.right)[rows, steps]
        predicted = _at_least(self.all)[rows, steps]
        lost = self.all.sum(axis=1) - predicted
        lost_rightly = (
            self.truly_background.sum(axis=1) - _at_least(self.truly_background)[rows, steps]
        )
        right[self.background_id] += lost_rightly.sum()
        predicted[self.background_id] += lost.sum()
        ids = list(labelled_ids)
        return ratio_of(right[ids], (predicted + self.truths - right)[ids])


def _at_least(counts: Int64[np.ndarray, "classes steps"]) -> Int64[np.ndarray, "classes bounds"]:
    """Pixels at this step or above: one column more, of none."""
    sums = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.pad(sums, ((0, 0), (0, 1)))
