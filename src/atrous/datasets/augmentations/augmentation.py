"""What chance may change in a training picture, and the changing of it, in a fixed order.

Geometry comes before a picture is resized, so that it keeps its size; colours, blur, noise and
cutout come after, so that they are counted in pixels of the picture that is trained on.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.augmentations.blur import Blur, MotionBlur
from atrous.datasets.augmentations.colour import (
    Brightness,
    Exposure,
    Hue,
    RandomGrayscale,
    Saturation,
)
from atrous.datasets.augmentations.erasing import Cutout
from atrous.datasets.augmentations.geometry import GeometricStep
from atrous.datasets.augmentations.mosaic import PARTS, Pair, mosaic
from atrous.datasets.augmentations.noise import CameraGain, Noise

LookStep = (
    RandomGrayscale
    | Hue
    | Saturation
    | Brightness
    | Exposure
    | Blur
    | MotionBlur
    | CameraGain
    | Noise
)
MOSAIC_SHARE = 0.5  # of the pictures that are changed

Partner = Callable[[np.random.Generator], Pair]  # another picture to make a mosaic with


@dataclass(frozen=True)
class Augmentation:
    """Every step that was asked for; none by default."""

    versions: int = 1  # pictures made of each training picture
    mosaic: bool = False
    geometry: tuple[GeometricStep, ...] = ()  # in the order in which they are done
    look: tuple[LookStep, ...] = ()
    cutout: Cutout | None = None

    @property
    def changes_pixels(self) -> bool:
        """Whether chance may change anything."""
        return bool(self.mosaic or self.geometry or self.look or self.cutout)

    @property
    def copies(self) -> int:
        """Pictures made of each training picture: one where nothing would tell them apart."""
        return self.versions if self.changes_pixels else 1


def random_stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one picture: by seed and name alone, in whatever order it is made.

    >>> random_stream(1, "a").random() == random_stream(1, "a").random()
    True
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, "<u4"))


def move(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    augmentation: Augmentation,
    rng: np.random.Generator,
    partner: Partner,
) -> tuple[UInt8[np.ndarray, "new_height new_width 3"], UInt8[np.ndarray, "new_height new_width"]]:
    """Mosaic and geometry, to an RGB photo and its label map alike."""
    if augmentation.mosaic and rng.random() < MOSAIC_SHARE:
        others = [partner(rng) for _ in range(PARTS - 1)]
        image, label_map = mosaic([(image, label_map), *others], rng)
    for step in augmentation.geometry:
        image, label_map = step(image, label_map, rng)
    return image, label_map


def change_look(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
    """Colours, blur and noise to the photo; cutout to both."""
    for step in augmentation.look:
        image = step(image, rng)
    if augmentation.cutout:
        image, label_map = augmentation.cutout(image, label_map, rng)
    return image, label_map


def augment(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    augmentation: Augmentation,
    rng: np.random.Generator,
    partner: Partner,
) -> tuple[UInt8[np.ndarray, "new_height new_width 3"], UInt8[np.ndarray, "new_height new_width"]]:
    """All steps, for a caller that does not resize in between.

    partner: gives another picture, for mosaics; it may be any size.
    """
    image, label_map = move(image, label_map, augmentation, rng, partner)
    return change_look(image, label_map, augmentation, rng)
