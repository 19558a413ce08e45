from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.datasets.version import Dataset
from atrous.domain.classes import IGNORE_ID
from atrous.training.repeat_factors import (
    classes_in,
    epoch_length,
    repeat_factors,
    repeats_in_epoch,
)

PHOTOS = st.lists(st.frozensets(st.integers(0, 6), max_size=4), min_size=1, max_size=60)


def test_the_formula_of_lvis() -> None:
    """Class 2 is in 1 of 100 photos, class 1 in 10, class 0 in all; threshold 0.25."""
    photos = [{0}] * 90 + [{0, 1}] * 9 + [{0, 1, 2}]
    factors = repeat_factors(photos, 0.25)
    assert factors[0] == 1
    assert factors[95] == pytest.approx((0.25 / 0.1) ** 0.5)
    assert factors[99] == pytest.approx((0.25 / 0.01) ** 0.5)
    assert epoch_length(factors) == int(np.ceil(factors.sum()))


def test_photos_without_labels_come_once() -> None:
    assert repeat_factors([set(), {1}], 1.0).tolist() == [1.0, 2**0.5]


@given(PHOTOS, st.floats(0, 1), st.integers(0, 1000))
def test_every_epoch_has_one_length_and_every_photo(
    photos: list[frozenset[int]], threshold: float, seed: int
) -> None:
    factors = repeat_factors(photos, threshold)
    assert (factors >= 1).all()
    repeats = repeats_in_epoch(factors, np.random.default_rng(seed))
    assert repeats.sum() == epoch_length(factors)
    assert (repeats >= 1).all()
    scaled = factors * epoch_length(factors) / factors.sum()
    assert (np.abs(repeats - scaled) < 1 + 1e-6).all()  # rounded up or down


def test_on_average_a_photo_comes_as_often_as_its_factor() -> None:
    factors = np.array([1.0, 1.3, 2.5, 1.0, 3.2])  # 9 in all
    random = np.random.default_rng(0)
    mean = np.mean([repeats_in_epoch(factors, random) for _ in range(3000)], axis=0)
    np.testing.assert_allclose(mean, factors, atol=0.04)


def test_classes_are_read_from_the_labels(dataset: Dataset, tmp_path: Path) -> None:
    samples = dataset.splits["train"]
    expected = [set(np.unique(sample.read()[1]).tolist()) - {IGNORE_ID} for sample in samples]
    assert classes_in(samples) == expected
