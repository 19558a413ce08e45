"""Blur of a photo, out of focus or in motion; its label map stays as it is."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

Photo = UInt8[np.ndarray, "height width 3"]
SHARP = 0.1  # pixels: less is not seen


@dataclass(frozen=True)
class Blur:
    """Gaussian blur."""

    pixels: float  # 0..25, at most, the standard deviation

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Blur."""
        sigma = rng.uniform(0, self.pixels)
        if sigma < SHARP:
            return image
        blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        return np.asarray(blurred, np.uint8)


@dataclass(frozen=True)
class MotionBlur:
    """A streak, as of a camera that moves while the shutter is open."""

    length: float  # 1..100, pixels, at most
    angle: float = 0.0  # degrees from the right, downwards
    frames: int = 10  # copies along the streak; more make it smoother

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Average copies that lie along a line."""
        length = rng.uniform(0, self.length)
        if length < 1:
            return image
        blurred = cv2.filter2D(
            image, -1, _streak(length, self.angle, self.frames), borderType=cv2.BORDER_REFLECT_101
        )
        return np.asarray(blurred, np.uint8)


def _streak(length: float, angle: float, frames: int) -> Float64[np.ndarray, "side side"]:
    """Weights that add up to 1, each frame at its nearest pixel."""
    reach = math.ceil(length / 2)
    weights = np.zeros((2 * reach + 1, 2 * reach + 1))
    direction = math.radians(angle)
    for position in np.linspace(-length / 2, length / 2, frames):
        row = reach + round(position * math.sin(direction))
        column = reach + round(position * math.cos(direction))
        weights[row, column] += 1 / frames
    return weights
