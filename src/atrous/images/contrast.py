"""The three contrast steps that a preprocessing recipe can ask for.

They follow scikit-image's `rescale_intensity`, `equalize_hist` and `equalize_adapthist`, whose
results packages made by others were trained on, without needing it to serve.
"""

import cv2
import numpy as np
from jaxtyping import Int64, UInt8

from atrous.domain.recipes import ContrastMode

GREY_LEVELS = 256
CLIP_LIMIT = 0.03  # of a tile's pixels, as in equalize_adapthist(clip_limit=0.03)
TILES = 8  # per side
BAND_PIXELS = 1 << 20  # worked on at once: what they are turned into takes 8 times their bytes


def adjust_contrast(
    image: UInt8[np.ndarray, "height width 3"], mode: ContrastMode
) -> UInt8[np.ndarray, "height width 3"]:
    """The image (RGB, 0..255) with its contrast adjusted by one of the recipe's three modes.

    Stretching and histogram equalization equal scikit-image's to the grey level. Adaptive
    equalization (Zuiderveld, Graphics Gems IV) is OpenCV's on the same tiles and clip limit, and
    differs from scikit-image's by a few levels, as the two interpolate between tiles differently.
    """
    if mode == "Contrast Stretching":
        return np.asarray(cv2.LUT(image, _stretching_table(_grey_counts(image))), np.uint8)
    if mode == "Histogram Equalization":
        return np.asarray(cv2.LUT(image, _equalizing_table(_grey_counts(image))), np.uint8)
    return _equalize_adaptively(image)


def _grey_counts(image: UInt8[np.ndarray, "height width 3"]) -> Int64[np.ndarray, "256"]:
    counts = np.zeros(GREY_LEVELS, np.int64)
    for band in _bands(image.shape):
        counts += np.bincount(image[band].ravel(), minlength=GREY_LEVELS)
    return counts


def _bands(shape: tuple[int, ...]) -> list[slice]:
    """The rows of a photo of this shape, from the top in slices of some BAND_PIXELS pixels."""
    height, width = shape[:2]
    rows = max(1, BAND_PIXELS // width)
    return [slice(top, top + rows) for top in range(0, height, rows)]


def _percentile(counts: Int64[np.ndarray, "256"], percent: float) -> float:
    """`np.percentile` of the values counted, without sorting them."""
    last_positions = np.cumsum(counts) - 1
    position = percent / 100 * last_positions[-1]
    low = np.searchsorted(last_positions, np.floor(position))
    high = np.searchsorted(last_positions, np.ceil(position))
    return float(low + (position - np.floor(position)) * (high - low))


def _stretching_table(counts: Int64[np.ndarray, "256"]) -> UInt8[np.ndarray, "256"]:
    low, high = _percentile(counts, 2.0), _percentile(counts, 98.0)
    levels = np.arange(GREY_LEVELS, dtype=np.float64)
    if low == high:
        return np.clip(levels, low, high).astype(np.uint8)
    return ((np.clip(levels, low, high) - low) / (high - low) * 255).astype(np.uint8)


def _equalizing_table(counts: Int64[np.ndarray, "256"]) -> UInt8[np.ndarray, "256"]:
    levels = np.arange(GREY_LEVELS).astype(np.float32) / 255
    present = counts > 0
    # The 256 bins span the levels that occur, not 0..1.
    binned, edges = np.histogram(levels[present], bins=GREY_LEVELS, weights=counts[present])
    centers = (edges[:-1] + edges[1:]) / 2
    shares = np.cumsum(binned) / counts.sum()
    return np.asarray(np.interp(levels, centers, shares) * 255).astype(np.uint8)


def _equalize_adaptively(
    image: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Equalize HSV's value alone: hue and saturation stay when a pixel's channels are scaled."""
    value = image.max(axis=2)
    # OpenCV's clip limit is in multiples of the mean count of a bin.
    equalizer = cv2.createCLAHE(clipLimit=CLIP_LIMIT * GREY_LEVELS, tileGridSize=(TILES, TILES))
    equalized = equalizer.apply(value)
    lowest, span = int(equalized.min()), int(np.ptp(equalized))
    adjusted = np.empty(image.shape, np.uint8)
    for band in _bands(image.shape):
        new_value = equalized[band].astype(np.float32)
        if span > 0:
            new_value = (new_value - lowest) * (255 / span)
        factor = new_value / np.maximum(value[band], 1)
        scaled = image[band] * factor[..., None]
        black = value[band] == 0
        scaled[black] = new_value[black, None]  # black has no hue: it becomes grey
        adjusted[band] = scaled.clip(0, 255)
    return adjusted
