"""Flips, turns, crops, rotation and shear, done to a photo and its label map alike.

What comes from outside the photo is black and ignored (255): nobody has labelled it.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from atrous.domain.classes import IGNORE_ID

Photo = UInt8[np.ndarray, "height width 3"]
Labels = UInt8[np.ndarray, "height width"]
NewPair = tuple[
    UInt8[np.ndarray, "new_height new_width 3"], UInt8[np.ndarray, "new_height new_width"]
]
BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Flip:
    """Mirror along each chosen axis, by even chance."""

    horizontal: bool = True  # left becomes right
    vertical: bool = False

    def __call__(self, image: Photo, label_map: Labels, rng: np.random.Generator) -> NewPair:
        """Flip both."""
        if self.horizontal and rng.random() < 0.5:
            image, label_map = image[:, ::-1], label_map[:, ::-1]
        if self.vertical and rng.random() < 0.5:
            image, label_map = image[::-1], label_map[::-1]
        return _contiguous(image, label_map)


@dataclass(frozen=True)
class QuarterTurn:
    """Turn by one of the chosen multiples of 90 degrees, or not at all, all equally likely."""

    clockwise: bool = True
    counter_clockwise: bool = True
    upside_down: bool = False

    def __call__(self, image: Photo, label_map: Labels, rng: np.random.Generator) -> NewPair:
        """Turn both; height and width change places with a turn to a side."""
        chosen = {1: self.counter_clockwise, 2: self.upside_down, 3: self.clockwise}
        turns = rng.choice([0, *(quarters for quarters, wanted in chosen.items() if wanted)])
        return _contiguous(np.rot90(image, turns), np.rot90(label_map, turns))


@dataclass(frozen=True)
class Crop:
    """Zoom in: keep a part of the photo, at its size."""

    min_percent: float  # 0..99, of height and width that go
    max_percent: float

    def __call__(self, image: Photo, label_map: Labels, rng: np.random.Generator) -> NewPair:
        """Cut the same part of both."""
        kept = 1 - rng.uniform(self.min_percent, self.max_percent) / 100
        height, width = label_map.shape
        rows = _part(height, max(round(height * kept), 1), rng)
        columns = _part(width, max(round(width * kept), 1), rng)
        size = (width, height)  # cv2 sizes are width first
        part, labels = _contiguous(image[rows, columns], label_map[rows, columns])
        return (
            np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8),
            np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
        )


@dataclass(frozen=True)
class Rotate:
    """Rotate about the middle, either way."""

    degrees: float  # 0..180, at most

    def __call__(self, image: Photo, label_map: Labels, rng: np.random.Generator) -> NewPair:
        """Rotate both; the corners of the photo are cut off."""
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        cosine, sine = math.cos(angle), math.sin(angle)
        return _warped(image, label_map, np.array([[cosine, sine], [-sine, cosine]]))


@dataclass(frozen=True)
class Shear:
    """Slant along each axis, either way."""

    horizontal_degrees: float  # 0..45, at most
    vertical_degrees: float

    def __call__(self, image: Photo, label_map: Labels, rng: np.random.Generator) -> NewPair:
        """Slant both about the middle: first sideways, then upwards."""
        sideways, upwards = (
            math.tan(math.radians(rng.uniform(-most, most)))
            for most in (self.horizontal_degrees, self.vertical_degrees)
        )
        matrix = np.array([[1.0, 0.0], [upwards, 1.0]]) @ np.array([[1.0, sideways], [0.0, 1.0]])
        return _warped(image, label_map, matrix)


GeometricStep = Flip | QuarterTurn | Crop | Rotate | Shear


def _part(side: int, kept: int, rng: np.random.Generator) -> slice:
    start = int(rng.integers(0, side - kept + 1))
    return slice(start, start + kept)


def _contiguous(image: Photo, label_map: Labels) -> NewPair:
    return np.ascontiguousarray(image), np.ascontiguousarray(label_map)


def _warped(image: Photo, label_map: Labels, matrix: Float64[np.ndarray, "2 2"]) -> NewPair:
    """Map x and y by the matrix about the middle; bilinear for the photo, nearest for labels."""
    height, width = label_map.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    mapping = np.hstack([matrix, (middle - matrix @ middle)[:, None]])
    size = (width, height)
    moved = cv2.warpAffine(
        image,
        mapping,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BLACK,
    )
    labels = cv2.warpAffine(
        label_map,
        mapping,
        size,
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORE_ID,
    )
    return np.asarray(moved, np.uint8), np.asarray(labels, np.uint8)
