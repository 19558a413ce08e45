"""Noise in a photo; its label map stays as it is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

Photo = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Noise:
    """Salt and pepper: some pixels become black or white."""

    percent: float  # 0..100, at most, of the pixels

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Strew it."""
        share = rng.uniform(0, self.percent) / 100
        hit = rng.random(image.shape[:2], np.float32) < share
        noisy = image.copy()
        noisy[hit] = rng.choice(np.array([0, 255], np.uint8), int(hit.sum()))[:, None]
        return noisy


@dataclass(frozen=True)
class CameraGain:
    """Grain of a sensor whose signal was amplified: its variance grows with the light."""

    variance: float  # 0..0.5, at most, of a white pixel (1.0)

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Add normal noise whose variance is a multiple of the grey level (0..1)."""
        gain = rng.uniform(0, self.variance)
        light = image.astype(np.float32) / 255
        grain = rng.standard_normal(image.shape, np.float32) * np.sqrt(gain * light)
        return np.rint((light + grain) * 255).clip(0, 255).astype(np.uint8)
