"""How often a photo comes in an epoch, so that classes which few photos show are seen more."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float64, Int64

from atrous.datasets.version import Sample
from atrous.domain.classes import IGNORE_ID


def repeat_factors(
    classes_of_photos: Sequence[Collection[int]], threshold: float
) -> Float64[np.ndarray, " photos"]:
    """Repeat factors of LVIS (Gupta et al., 1908.03195, section 5.1), 1 or more, one per photo.

    A class in the share f of the photos has the factor max(1, sqrt(threshold / f)), a photo the
    highest of its classes.

    >>> repeat_factors([{0}, {0}, {0}, {0, 1}], threshold=1.0).tolist()
    [1.0, 1.0, 1.0, 2.0]
    """
    photos_with = Counter(class_id for classes in classes_of_photos for class_id in set(classes))
    count = len(classes_of_photos)
    factors = {
        class_id: max(1.0, (threshold * count / photos) ** 0.5)
        for class_id, photos in photos_with.items()
    }
    return np.array(
        [
            max((factors[class_id] for class_id in classes), default=1.0)
            for classes in classes_of_photos
        ]
    )


def repeats_in_epoch(
    factors: Float64[np.ndarray, " photos"], random: np.random.Generator
) -> Int64[np.ndarray, " photos"]:
    """How often each photo comes in one epoch: its factor rounded up or down by chance.

    Their sum is `epoch_length`, the same in every epoch, and no photo is left out. Systematic
    sampling: evenly spaced marks are thrown on the factors laid end to end.
    """
    order = random.permutation(len(factors))  # else neighbours would come together
    ends = np.cumsum(factors[order]) * (epoch_length(factors) / factors.sum())
    marks = np.arange(epoch_length(factors)) + random.random()
    # A mark belongs to the first photo that ends behind it.
    chosen = np.minimum(np.searchsorted(ends, marks, side="right"), len(factors) - 1)
    repeats = np.zeros(len(factors), np.int64)
    np.add.at(repeats, order[chosen], 1)
    return repeats


def epoch_length(factors: Float64[np.ndarray, " photos"]) -> int:
    """Photos in an epoch, repeated ones counted each time."""
    return int(np.ceil(factors.sum() - 1e-9))


def classes_in(samples: Sequence[Sample]) -> list[frozenset[int]]:
    """The class ids that each sample's label map shows; reads all of them."""
    # decoding leaves Python's lock, so threads are enough
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(_classes_of, samples))


def _classes_of(sample: Sample) -> frozenset[int]:
    ids = np.unique(sample.read_label_map())
    return frozenset(int(class_id) for class_id in ids if class_id != IGNORE_ID)
