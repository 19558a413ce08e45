import numpy as np
import pytest

from atrous.datasets.augmentations.noise import CameraGain, Noise

GREY = np.full((100, 100, 3), 120, np.uint8)


def test_salt_and_pepper_hit_whole_pixels_at_most_so_many() -> None:
    shares = []
    for seed in range(30):
        noisy = Noise(20.0)(GREY, np.random.default_rng(seed))
        hit = (noisy != 120).any(axis=2)
        assert set(np.unique(noisy[hit])) <= {0, 255}
        assert (noisy[hit] == noisy[hit][:, :1]).all()
        shares.append(hit.mean())
    assert max(shares) < 0.215
    assert max(shares) > 0.15
    assert min(shares) < 0.05
    assert (GREY == 120).all()


def test_grain_grows_with_the_light() -> None:
    deviations = {}
    for level in (0, 30, 120):
        flat = np.full((100, 100, 3), level, np.uint8)
        deviations[level] = CameraGain(0.01)(flat, np.random.default_rng(4)).std()
    assert deviations[0] == 0
    assert deviations[120] == pytest.approx(2 * deviations[30], rel=0.1)  # the root of the light
    grain = CameraGain(0.01)(GREY, np.random.default_rng(4))
    assert abs(grain.mean() - 120) < 1
    assert grain.std() <= 255 * np.sqrt(0.01 * 120 / 255) * 1.05
