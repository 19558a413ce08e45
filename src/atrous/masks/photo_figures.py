"""Figures photo by photo: which are worst, and how sure the mean over all of them is."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64

from atrous.masks.metrics import ConfusionMatrix, mean_of_defined, ratio_of

RESAMPLES = 1000
COVERED = 0.95  # of the resamples, that an interval covers
AT_ONCE = 50  # resamples


@dataclass(frozen=True)
class PhotoTotals:
    """One photo's pixels per labelled class."""

    name: str
    hits: Int64[np.ndarray, " labelled"]
    truths: Int64[np.ndarray, " labelled"]
    predictions: Int64[np.ndarray, " labelled"]

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur in the photo or its prediction; nan if none."""
        unions = self.truths + self.predictions - self.hits
        return float(mean_of_defined(ratio_of(self.hits, unions)))


@dataclass(frozen=True)
class Interval:
    """Where a figure lies in 95 of 100 resamples; nan where it is not defined."""

    low: float
    high: float


@dataclass
class PhotoFigures:
    """The totals of all photos: three numbers per class and photo are kept."""

    labelled_ids: tuple[int, ...]
    photos: list[PhotoTotals] = field(default_factory=list)

    def add(self, name: str, matrix: ConfusionMatrix) -> None:
        """Keep what the confusion matrix of one photo says."""
        ids = list(self.labelled_ids)
        rows = matrix.counts[ids]
        totals = (matrix.counts[ids, ids], rows.sum(axis=1), rows.sum(axis=0)[ids])
        self.photos.append(PhotoTotals(name, *totals))

    def from_worst(self) -> list[PhotoTotals]:
        """Photos with labelled pixels, the lowest mean IoU first; equals in their own order."""
        measured = [photo for photo in self.photos if photo.truths.any()]
        return sorted(measured, key=lambda photo: photo.mean_iou)

    def resampled_iou(self, seed: int = 0) -> Float64[np.ndarray, "resamples labelled"]:
        """IoU per class of 1000 data sets drawn from the photos with replacement.

        Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979. The same seed draws the
        same photos.
        """
        rng = np.random.default_rng(seed)
        count = len(self.photos)
        hits = np.array([photo.hits for photo in self.photos], np.float64)
        unions = np.array([photo.truths + photo.predictions for photo in self.photos]) - hits
        drawn = []
        for _ in range(0, RESAMPLES, AT_ONCE):
            times = rng.multinomial(count, np.full(count, 1 / count), AT_ONCE).astype(np.float64)
            drawn.append(ratio_of(times @ hits, times @ unions))
        return np.concatenate(drawn)


def interval_of(figures: Float64[np.ndarray, " resamples"]) -> Interval:
    """The middle 95 % of a figure's resamples."""
    defined = figures[~np.isnan(figures)]
    if not defined.size:
        return Interval(np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return Interval(float(low), float(high))


def mean_iou_interval(figures: Float64[np.ndarray, "resamples labelled"]) -> Interval:
    """The middle 95 % of the mean over the classes."""
    return interval_of(mean_of_defined(figures))


def class_intervals(figures: Float64[np.ndarray, "resamples labelled"]) -> Sequence[Interval]:
    """The same for every class by itself."""
    return [interval_of(column) for column in figures.T]
