import tracemalloc

import cv2
import numpy as np
import pytest

from atrous.images import contrast
from atrous.images.contrast import adjust_contrast

LEVELS = np.array(
    [[10, 20, 30, 40], [50, 60, 70, 80], [90, 100, 110, 120], [130, 140, 150, 160]], np.uint8
)
IMAGE = np.stack([LEVELS, LEVELS // 2, 255 - LEVELS], axis=2)


def test_stretching_equals_scikit_image() -> None:
    # rescale_intensity(image, in_range=(2nd, 98th percentile)) of scikit-image 0.26
    first_row = [[0, 0, 255], [11, 0, 254], [22, 5, 243], [34, 11, 231]]
    last_row = [[135, 62, 130], [147, 68, 118], [158, 73, 107], [169, 79, 96]]
    stretched = adjust_contrast(IMAGE, "Contrast Stretching")
    assert stretched[0].tolist() == first_row
    assert stretched[3].tolist() == last_row


def test_stretching_uses_the_percentiles_of_numpy() -> None:
    image = np.random.default_rng(0).integers(30, 200, (31, 47, 3)).astype(np.uint8)
    low, high = np.percentile(image, (2, 98))
    expected = (np.clip(image, low, high) - low) / (high - low) * 255
    assert np.array_equal(adjust_contrast(image, "Contrast Stretching"), expected.astype(np.uint8))


def test_histogram_equalization_equals_scikit_image() -> None:
    # (equalize_hist(float32 image / 255) * 255).astype(uint8) of scikit-image 0.26
    first_row = [[14, 5, 255], [26, 14, 248], [47, 21, 244], [61, 26, 236]]
    last_row = [[174, 98, 167], [183, 109, 158], [196, 116, 148], [206, 122, 135]]
    equalized = adjust_contrast(IMAGE, "Histogram Equalization")
    assert equalized[0].tolist() == first_row
    assert equalized[3].tolist() == last_row


def test_adaptive_equalization_spreads_value_and_keeps_hue() -> None:
    grey = np.tile(np.linspace(90, 140, 64), (64, 1))
    image = np.stack([grey, grey * 0.5, grey * 0.75], axis=2).astype(np.uint8)
    equalized = adjust_contrast(image, "Adaptive Equalization")
    assert equalized.max() >= 254
    assert equalized.max(axis=2).min() <= 1
    hue = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 0].astype(int)
    bright = equalized.max(axis=2) > 100
    new_hue = cv2.cvtColor(equalized, cv2.COLOR_RGB2HSV)[..., 0].astype(int)
    assert np.abs(hue - new_hue)[bright].max() <= 2


@pytest.mark.parametrize(
    "mode", ["Contrast Stretching", "Histogram Equalization", "Adaptive Equalization"]
)
@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 9, 3), (20, 20, 3)])
def test_flat_pictures_pass(mode: str, level: int, shape: tuple[int, int, int]) -> None:
    adjusted = adjust_contrast(np.full(shape, level, np.uint8), mode)
    assert adjusted.shape == shape
    assert np.ptp(adjusted) == 0


MODES = ["Contrast Stretching", "Histogram Equalization", "Adaptive Equalization"]


@pytest.mark.parametrize("mode", MODES)
def test_bands_change_no_pixel(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (61, 47, 3)).astype(np.uint8)
    image[:5] = 0
    whole = adjust_contrast(image, mode)
    for pixels in (1, 100, 47 * 30):
        monkeypatch.setattr(contrast, "BAND_PIXELS", pixels)
        assert np.array_equal(adjust_contrast(image, mode), whole)


@pytest.mark.parametrize("mode", MODES)
def test_memory_is_a_few_times_that_of_the_photo(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "BAND_PIXELS", 10_000)
    image = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    tracemalloc.start()
    adjust_contrast(image, mode)
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most_bytes < 3 * image.nbytes
