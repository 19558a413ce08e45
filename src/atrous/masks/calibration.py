"""Whether a model's probabilities can be believed: expected calibration error."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

BINS = 15


@dataclass
class Calibration:
    """Pixels by the probability of their class, in 15 bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3.
    """

    pixels: Int64[np.ndarray, " bins"]
    right: Int64[np.ndarray, " bins"]
    confidence: Float64[np.ndarray, " bins"]  # summed

    @classmethod
    def zeros(cls) -> "Calibration":
        """No pixel yet."""
        return cls(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64), np.zeros(BINS))

    def add(self, confidence: Float32[np.ndarray, " n"], is_right: Bool[np.ndarray, " n"]) -> None:
        """Count pixels: the highest probability (0..1) of each, and whether that class is true."""
        bins = np.clip(np.ceil(confidence * np.float32(BINS)) - 1, 0, BINS - 1).astype(np.uint8)
        self.pixels += np.bincount(bins, minlength=BINS)
        self.right += np.bincount(bins[is_right], minlength=BINS)
        self.confidence += np.bincount(bins, weights=confidence, minlength=BINS)

    def expected_error(self) -> float:
        """Mean distance (0..1) of a bin's accuracy from its mean probability, by its pixels.

        nan where nothing was counted.
        """
        total = int(self.pixels.sum())
        return float(np.abs(self.right - self.confidence).sum() / total) if total else math.nan

    def as_json(self) -> list[dict[str, Any]]:
        """The bins that hold pixels, from unsure to sure."""
        return [
            {
                "confidence": float(self.confidence[index] / pixels),
                "accuracy": float(self.right[index] / pixels),
                "pixels": int(pixels),
            }
            for index, pixels in enumerate(self.pixels)
            if pixels
        ]
