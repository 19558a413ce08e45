import math

import numpy as np
import pytest

from atrous.masks.metrics import ConfusionMatrix
from atrous.masks.photo_figures import (
    RESAMPLES,
    PhotoFigures,
    class_intervals,
    interval_of,
    mean_iou_interval,
)


def matrix_of(counts: list[list[int]]) -> ConfusionMatrix:
    return ConfusionMatrix(np.array(counts, np.int64))


@pytest.fixture
def figures() -> PhotoFigures:
    made = PhotoFigures((0, 1))
    made.add("half", matrix_of([[5, 5], [0, 0]]))
    made.add("empty", matrix_of([[0, 0], [0, 0]]))
    made.add("right", matrix_of([[6, 0], [0, 4]]))
    made.add("wrong", matrix_of([[0, 8], [2, 0]]))
    return made


def test_photos_from_the_worst(figures: PhotoFigures) -> None:
    order = figures.from_worst()
    assert [photo.name for photo in order] == ["wrong", "half", "right"]
    assert [photo.mean_iou for photo in order] == [0.0, 0.25, 1.0]
    assert math.isnan(figures.photos[1].mean_iou)


def test_resamples_are_data_sets_of_the_same_photos(figures: PhotoFigures) -> None:
    drawn = figures.resampled_iou(seed=1)
    assert drawn.shape == (RESAMPLES, 2)
    np.testing.assert_array_equal(drawn, figures.resampled_iou(seed=1))
    rng = np.random.default_rng(1)
    times = rng.multinomial(4, [0.25] * 4, 50)[0]  # the first resample, by the plain way
    total = sum(
        (n * matrix for n, matrix in zip(times, counts_of(figures), strict=True)), np.zeros((2, 2))
    )
    for class_id in range(2):
        hits = total[class_id, class_id]
        union = total[class_id].sum() + total[:, class_id].sum() - hits
        assert drawn[0, class_id] == pytest.approx(hits / union)


def counts_of(figures: PhotoFigures) -> list[np.ndarray]:
    """The matrices of `figures`, which has two classes."""
    return [
        np.array([[p.hits[0], p.truths[0] - p.hits[0]], [p.truths[1] - p.hits[1], p.hits[1]]])
        for p in figures.photos
    ]


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    """Of data sets drawn from a known source, about 95 % give an interval around its figure."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        made = PhotoFigures((0, 1))
        for hits in rng.binomial(100, rng.beta(8, 2, 40)):
            made.add("photo", matrix_of([[int(hits), 100 - int(hits)], [0, 0]]))
        interval = class_intervals(made.resampled_iou(trial))[0]
        covered += interval.low <= 0.8 <= interval.high
    assert 50 <= covered <= 60


def test_what_is_not_defined() -> None:
    assert math.isnan(interval_of(np.full(RESAMPLES, np.nan)).low)
    made = PhotoFigures((0, 1))
    made.add("one", matrix_of([[3, 1], [0, 0]]))
    interval = mean_iou_interval(made.resampled_iou())
    assert interval.low == interval.high == pytest.approx((3 / 4 + 0) / 2)
