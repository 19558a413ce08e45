"""Pictures to compare engines on where no photo is at hand: seeded, as a network receives them."""

import cv2
import numpy as np
from jaxtyping import Float32

from atrous.domain.geometry import Size

COARSE, MEDIUM, FINE = 4, 16, 64  # cells along a side of the noise that is blown up
RECTANGLES = 24


def trial_pictures(size: Size) -> list[Float32[np.ndarray, "1 3 {size.height} {size.width}"]]:
    """Three pictures, normalised (mean 0, deviation 1): clouds, rectangles, both.

    Smooth and hard-edged, coarse and fine: single-coloured ones would ask little of a network,
    and white noise, which no photo is like, asks for what it has never learnt.
    """
    random = np.random.default_rng(0)
    clouds = _clouds(random, size)
    rectangles = _rectangles(random, size)
    both = _clouds(random, size) + rectangles
    return [_normalised(picture) for picture in (clouds, rectangles, both)]


def _clouds(random: np.random.Generator, size: Size) -> Float32[np.ndarray, "height width 3"]:
    """Noise of three scales, the coarse one strongest."""
    picture = np.zeros((size.height, size.width, 3), np.float32)
    for cells, strength in ((COARSE, 1.0), (MEDIUM, 0.5), (FINE, 0.25)):
        noise = random.standard_normal((cells, cells, 3)).astype(np.float32)
        picture += strength * cv2.resize(
            noise, (size.width, size.height), interpolation=cv2.INTER_CUBIC
        )
    return picture


def _rectangles(random: np.random.Generator, size: Size) -> Float32[np.ndarray, "height width 3"]:
    """Rectangles of one colour each, over one another."""
    picture = np.zeros((size.height, size.width, 3), np.float32)
    for _ in range(RECTANGLES):
        top, bottom = np.sort(random.integers(0, size.height + 1, 2))
        left, right = np.sort(random.integers(0, size.width + 1, 2))
        picture[top:bottom, left:right] = random.standard_normal(3)
    return picture


def _normalised(
    picture: Float32[np.ndarray, "height width 3"],
) -> Float32[np.ndarray, "1 3 height width"]:
    deviation = max(float(picture.std()), 1e-6)
    normal = (picture - picture.mean()) / deviation
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)
