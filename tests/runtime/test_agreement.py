import cv2
import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.runtime.agreement import label_agreement, thinned


def test_sure_pixels_count_more() -> None:
    exact = np.zeros((3, 1, 2), np.float32)
    exact[0, 0] = (8, 0.5)  # sure, and hardly so
    exact[1, 0] = (0, 0.25)
    other = exact.copy()
    other[2, 0, 1] = 1  # the unsure one gets another label
    assert label_agreement(exact, other) == pytest.approx(8 / 8.25)
    other[1, 0, 0] = 9  # now the sure one as well
    assert label_agreement(exact, other) == 0
    assert label_agreement(exact, exact) == 1


def test_one_channel_is_for_or_against() -> None:
    exact = np.array([[[3.0, -1.0]]], np.float32)
    assert label_agreement(exact, exact * 2) == 1
    assert label_agreement(exact, np.abs(exact)) == pytest.approx(0.75)


def test_without_any_sureness_labels_are_counted() -> None:
    flat = np.zeros((2, 2, 2), np.float32)
    assert label_agreement(flat, flat) == 1


def test_thinned_logits_are_a_copy_on_a_grid() -> None:
    logits = np.random.default_rng(0).random((2, 512, 300)).astype(np.float32)
    grid = thinned(logits)
    assert np.array_equal(grid, logits[:, ::4, ::2])
    assert thinned(logits[:, :5, :5]).shape == (2, 5, 5)
    assert not np.shares_memory(thinned(logits[:, :5, :5]), logits)


def test_logits_that_are_still_to_be_enlarged_meet_those_that_were() -> None:
    coarse = np.random.default_rng(0).random((2, 64, 80)).astype(np.float32)
    whole = np.stack([cv2.resize(plane, (320, 256)) for plane in coarse])
    assert np.allclose(thinned(coarse, Size(256, 320)), thinned(whole), atol=1e-6)
