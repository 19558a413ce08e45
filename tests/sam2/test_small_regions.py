import cv2
import numpy as np
import pytest

from atrous.sam2.small_regions import remove_small_regions


@pytest.mark.parametrize("least_area", [1, 4, 30, 10**6])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_official_one(seed: int, least_area: int) -> None:
    amg = pytest.importorskip("sam2.utils.amg")
    noise = np.random.default_rng(seed).random((60, 80)).astype(np.float32)
    mask = cv2.GaussianBlur(noise, (0, 0), 1.5) > 0.5
    expected, holes = amg.remove_small_regions(mask, least_area, mode="holes")
    expected, islands = amg.remove_small_regions(expected, least_area, mode="islands")
    cleaned, changed = remove_small_regions(mask, least_area)
    assert np.array_equal(cleaned, expected)
    assert changed == (holes or islands)
    assert changed == (least_area > 1)  # as a control


def test_holes_are_filled_and_islands_left_out() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2:12] = True
    mask[5, 5] = False  # a hole
    mask[16:18, 16:18] = True  # an island
    cleaned, changed = remove_small_regions(mask, 5)
    assert changed
    assert cleaned.sum() == 100
    assert cleaned[5, 5]
    assert not cleaned[16, 16]
    assert not remove_small_regions(cleaned, 5)[1]


def test_the_largest_of_small_islands_stays() -> None:
    mask = np.zeros((20, 20), bool)
    mask[1, 1:4] = mask[10, 10] = True
    cleaned, _ = remove_small_regions(mask, 50)
    assert cleaned.sum() == 3
    nothing = np.zeros((4, 4), bool)
    assert not remove_small_regions(nothing, 2)[0].any()
