"""Measuring a model on a split: every photo at its own size, one confusion matrix over all."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.version import Sample
from atrous.domain.predictions import Prediction
from atrous.masks.metrics import ConfusionMatrix

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
