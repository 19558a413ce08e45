"""Figures over label maps: IoU, precision, recall, F1, accuracy from one confusion matrix."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from atrous.domain.classes import IGNORE_ID, MAX_CLASSES
from atrous.domain.errors import BadInput

AT_ONCE = 4_000_000  # pixels that are counted at once: what counting takes per pixel is bounded


@dataclass
class ConfusionMatrix:
    """Pixels counted by true class (row) and predicted class (column), over a whole data set.

    The figures are those of Pascal VOC: counts are summed over all images first, and a class's
    IoU is true positives / (true positives + false positives + false negatives).
    Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", 2010, section 4.3.

    `labelled_ids` of a figure are the classes that it is taken over. Where 0 is not among them,
    a pixel predicted as 0 still counts as missed by its true class.
    """

    counts: Int64[np.ndarray, "classes classes"]

    @classmethod
    def zeros(cls, class_count: int) -> "ConfusionMatrix":
        """An empty matrix for ids 0..class_count-1."""
        if not 1 <= class_count <= MAX_CLASSES:
            raise BadInput(f"{class_count} classes; give 1 to {MAX_CLASSES}")
        return cls(np.zeros((class_count, class_count), dtype=np.int64))

    def add(
        self,
        truth: UInt8[np.ndarray, "height width"],
        prediction: UInt8[np.ndarray, "height width"],
    ) -> None:
        """Count the pixels of one image; those whose truth is 255 are left out.

        Raises BadInput on sizes that differ, or on an id that is no class of the matrix.
        """
        if truth.shape != prediction.shape:
            raise BadInput(
                f"truth is {truth.shape} and prediction {prediction.shape} (height, width); "
                "both must be of the photo's size"
            )
        class_count = len(self.counts)
        for rows in row_blocks(truth):
            counted = truth[rows] != IGNORE_ID
            true_ids, predicted_ids = truth[rows][counted], prediction[rows][counted]
            for what, ids in (("truth", true_ids), ("prediction", predicted_ids)):
                highest = int(ids.max(initial=0))
                if highest >= class_count:
                    raise BadInput(f"{what} has class id {highest}; expected 0..{class_count - 1}")
            pairs = true_ids.astype(np.int64) * class_count + predicted_ids
            self.counts += np.bincount(pairs, minlength=class_count**2).reshape(self.counts.shape)

    def iou(self, labelled_ids: Sequence[int]) -> Float64[np.ndarray, " labelled"]:
        """Intersection over union (0..1) per labelled class.

        nan for a class that occurs neither in the truth nor in the prediction.
        """
        hits, truths, predictions = self._totals(labelled_ids)
        return ratio_of(hits, truths + predictions - hits)

    def mean_iou(self, labelled_ids: Sequence[int]) -> float:
        """Mean of `iou` over the classes where it is defined; nan when there is none."""
        return float(mean_of_defined(self.iou(labelled_ids)))

    def precision(self, labelled_ids: Sequence[int]) -> Float64[np.ndarray, " labelled"]:
        """Share (0..1) of a class's predicted pixels that are right; nan where none is."""
        hits, _, predictions = self._totals(labelled_ids)
        return ratio_of(hits, predictions)

    def recall(self, labelled_ids: Sequence[int]) -> Float64[np.ndarray, " labelled"]:
        """Share (0..1) of a class's true pixels that are found; nan where there are none."""
        hits, truths, _ = self._totals(labelled_ids)
        return ratio_of(hits, truths)

    def f1(self, labelled_ids: Sequence[int]) -> Float64[np.ndarray, " labelled"]:
        """Harmonic mean (0..1) of precision and recall, which is Dice; nan where `iou` is."""
        hits, truths, predictions = self._totals(labelled_ids)
        return ratio_of(2 * hits, truths + predictions)

    def frequency_weighted_iou(self, labelled_ids: Sequence[int]) -> float:
        """Mean of `iou` weighted by each class's share of the true pixels; nan without any."""
        _, truths, _ = self._totals(labelled_ids)
        seen = truths > 0
        if not seen.any():
            return math.nan
        return float(np.average(self.iou(labelled_ids)[seen], weights=truths[seen]))

    def pixel_accuracy(self) -> float:
        """Share (0..1) of all counted pixels that are right; nan when nothing was counted."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else math.nan

    def as_report(self, names: Sequence[str], labelled_ids: Sequence[int]) -> dict[str, Any]:
        """All figures as JSON values, None where undefined. `names` are of ids 0..classes-1."""
        if len(names) != len(self.counts):
            raise BadInput(f"{len(names)} class names for {len(self.counts)} classes; give all")
        iou, precision, recall, f1 = (
            figure(labelled_ids) for figure in (self.iou, self.precision, self.recall, self.f1)
        )
        return {
            "miou": json_figure(self.mean_iou(labelled_ids)),
            "frequency_weighted_iou": json_figure(self.frequency_weighted_iou(labelled_ids)),
            "pixel_accuracy": json_figure(self.pixel_accuracy()),
            "classes": [
                {
                    "name": names[class_id],
                    "iou": json_figure(iou[row]),
                    "precision": json_figure(precision[row]),
                    "recall": json_figure(recall[row]),
                    "f1": json_figure(f1[row]),
                    "pixels": int(self.counts[class_id].sum()),
                }
                for row, class_id in enumerate(labelled_ids)
            ],
        }

    def _totals(self, labelled_ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right, true and predicted pixels per labelled class, over labelled pixels alone."""
        ids = list(labelled_ids)
        labelled_rows = self.counts[ids]
        return (
            self.counts[ids, ids],
            labelled_rows.sum(axis=1),
            labelled_rows.sum(axis=0)[ids],
        )


def row_blocks(label_map: UInt8[np.ndarray, "height width"]) -> Iterator[slice]:
    """All rows of a label map, as many at once as have some four million pixels."""
    height, width = label_map.shape
    step = max(1, AT_ONCE // max(1, width))
    for top in range(0, height, step):
        yield slice(top, top + step)


def ratio_of(
    numerator: Float64[np.ndarray, "*shape"] | Int64[np.ndarray, "*shape"],
    denominator: Float64[np.ndarray, "*shape"] | Int64[np.ndarray, "*shape"],
) -> Float64[np.ndarray, "*shape"]:
    """Divide; nan where the denominator is 0."""
    ratio = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def mean_of_defined(values: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "..."]:
    """Mean over the last axis of what is not nan; nan where nothing is."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return ratio_of(np.asarray(total), np.asarray(defined.sum(axis=-1)))


def json_figure(value: float) -> float | None:
    """A figure as a JSON value: null where it is not defined."""
    return None if math.isnan(value) else float(value)
