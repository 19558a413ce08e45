import numpy as np
import pytest

from atrous.datasets.augmentations.blur import Blur, MotionBlur


@pytest.fixture(scope="module")
def point() -> np.ndarray:
    image = np.zeros((61, 61, 3), np.uint8)
    image[28:33, 28:33] = 250
    return image


def test_blur_spreads_light_and_keeps_its_sum(point) -> None:
    spreads = []
    for seed in range(12):
        blurred = Blur(4.0)(point, np.random.default_rng(seed))
        assert blurred.shape == point.shape
        spreads.append(int((blurred[..., 0] > 0).sum()))
        assert int(blurred.sum()) == pytest.approx(int(point.sum()), rel=0.1)
    assert max(spreads) > 4 * min(spreads) >= 100
    assert Blur(0.0)(point, np.random.default_rng(0)) is point


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 1), (90.0, 0), (180.0, 1), (-90.0, 0)])
def test_motion_blur_is_a_streak_along_its_angle(point, angle, axis) -> None:
    blurred = MotionBlur(length=30.0, angle=angle)(point, np.random.default_rng(5))
    lit = np.argwhere(blurred[..., 0] > 0)
    extent = lit.max(axis=0) - lit.min(axis=0) + 1
    assert extent[axis] > 15
    assert extent[1 - axis] == 5
    assert int(blurred.sum()) == pytest.approx(int(point.sum()), rel=0.05)


def test_a_short_streak_is_none(point) -> None:
    assert MotionBlur(length=1.0)(point, np.random.default_rng(0)) is point
