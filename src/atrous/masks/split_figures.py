"""All figures of a model over one split, photo by photo and in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import IGNORE_ID
from atrous.domain.predictions import Prediction, Thresholds
from atrous.masks.boundaries import BoundaryCounts
from atrous.masks.calibration import Calibration
from atrous.masks.metrics import ConfusionMatrix, json_figure, mean_of_defined, row_blocks
from atrous.masks.photo_figures import (
    COVERED,
    RESAMPLES,
    Interval,
    PhotoFigures,
    class_intervals,
    mean_iou_interval,
)
from atrous.masks.thresholds import ConfidenceCounts

WORST_SHOWN = 20  # photos that a report lists
# Of a report, what a package leaves out: what does not speak of the model, and thresholds, which
# it has in one place.
NOT_OF_A_PACKAGE = ("worst_photos", "calibration", "recommended_parameters")


@dataclass
class SplitFigures:
    """Counts from which every figure is taken. They grow by a few numbers with each photo."""

    class_names: Sequence[str]  # of ids 0..classes-1
    labelled_ids: tuple[int, ...]  # that the figures are over
    matrix: ConfusionMatrix
    boundaries: BoundaryCounts
    calibration: Calibration
    thresholds: ConfidenceCounts
    photos: PhotoFigures

    @classmethod
    def empty(
        cls, class_names: Sequence[str], labelled_ids: Sequence[int], background_id: int
    ) -> "SplitFigures":
        """No photo yet."""
        count = len(class_names)
        return cls(
            class_names,
            tuple(labelled_ids),
            ConfusionMatrix.zeros(count),
            BoundaryCounts.zeros(count),
            Calibration.zeros(),
            ConfidenceCounts.zeros(count, background_id),
            PhotoFigures(tuple(labelled_ids)),
        )

    def add(
        self, name: str, truth: UInt8[np.ndarray, "height width"], prediction: Prediction
    ) -> None:
        """Count one photo; BadInput where sizes differ or an id is no class."""
        one = ConfusionMatrix.zeros(len(self.class_names))
        one.add(truth, prediction.label_map)
        self.matrix.counts += one.counts
        self.photos.add(name, one)
        self.boundaries.add(truth, prediction.label_map)
        for rows in row_blocks(truth):
            counted = truth[rows] != IGNORE_ID
            true_ids, predicted = truth[rows][counted], prediction.label_map[rows][counted]
            confidence = prediction.confidence[rows][counted]
            self.calibration.add(confidence, true_ids == predicted)
            self.thresholds.add(true_ids, predicted, confidence)

    def recommended_parameters(self) -> dict[str, Any]:
        """The thresholds that are best on these photos, in the words of packages."""
        best = self.thresholds.best_thresholds(self.labelled_ids)
        return {
            "confidence": self.thresholds.best_common_threshold(self.labelled_ids),
            "per_class_confidence": {self.class_names[index]: best[index] for index in best},
        }

    def recommended_thresholds(self) -> tuple[float, ...]:
        """The same by class id, as `confidence=best` applies them."""
        found = self.recommended_parameters()
        per_class = found["per_class_confidence"]
        return tuple(per_class.get(name, found["confidence"]) for name in self.class_names)

    def as_report(self, thresholds: Thresholds | None = None) -> dict[str, Any]:
        """All figures as JSON values, None where one is not defined.

        thresholds: what `confidence=best` means for the model, found on other photos; None: it
            means what is best on these ones.
        """
        ids = self.labelled_ids
        resampled = self.photos.resampled_iou()
        intervals = class_intervals(resampled)
        boundary_iou = self.boundaries.iou(ids)
        recommended = self.recommended_parameters()
        best = recommended["per_class_confidence"]
        if thresholds is None:
            thresholds = self.recommended_thresholds()
        report = self.matrix.as_report(self.class_names, ids)
        for row, entry in enumerate(report["classes"]):
            entry["iou_interval"] = _interval(intervals[row])
            entry["boundary_iou"] = json_figure(boundary_iou[row])
            entry["best_threshold"] = best.get(entry["name"])
        return {
            **report,
            "miou_interval": _interval(mean_iou_interval(resampled)),
            "interval": {"covered": COVERED, "resamples": RESAMPLES, "seed": 0},
            "boundary_miou": json_figure(float(mean_of_defined(boundary_iou))),
            "expected_calibration_error": json_figure(self.calibration.expected_error()),
            "calibration": self.calibration.as_json(),
            "recommended_parameters": recommended,
            "miou_at_recommended": json_figure(self.thresholds.mean_iou_at(thresholds, ids)),
            "worst_photos": [
                {"name": photo.name, "miou": json_figure(photo.mean_iou)}
                for photo in self.photos.from_worst()[:WORST_SHOWN]
            ],
        }


def report_of_package(report: dict[str, Any]) -> dict[str, Any]:
    """What a package's manifest keeps of `SplitFigures.as_report`."""
    return {name: value for name, value in report.items() if name not in NOT_OF_A_PACKAGE}


def _interval(interval: Interval) -> list[float | None]:
    return [json_figure(interval.low), json_figure(interval.high)]
