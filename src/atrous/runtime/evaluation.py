"""Measuring a model on a split: every photo at its own size, counts over all of them."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.version import Sample
from atrous.domain.predictions import Prediction
from atrous.masks.metrics import ConfusionMatrix
from atrous.masks.split_figures import SplitFigures

Predict = Callable[[UInt8[np.ndarray, "height width 3"]], Prediction]


def measure(
    predict: Predict,
    samples: Sequence[Sample],
    class_count: int,
    progress: Callable[[int, int], None] | None = None,
) -> ConfusionMatrix:
    """Predict every photo of `samples` and count its pixels against its label map.

    progress: called with (photos done, photos in all).
    """
    matrix = ConfusionMatrix.zeros(class_count)
    for index, sample in enumerate(samples):
        image, truth = sample.read()
        matrix.add(truth, predict(image).label_map)
        if progress:
            progress(index + 1, len(samples))
    return matrix


def measure_all(
    predict: Predict,
    samples: Sequence[Sample],
    figures: SplitFigures,
    model_ids: UInt8[np.ndarray, "256"],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Predict every photo and count all that a report is made of into `figures`.

    model_ids: the model's class id for each of the labels' ids.
    progress: called with (photos done, photos in all).
    """
    for index, sample in enumerate(samples):
        image, truth = sample.read()
        figures.add(sample.name, model_ids[truth], predict(image))
        if progress:
            progress(index + 1, len(samples))
