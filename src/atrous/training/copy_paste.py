"""Objects of rare classes, cut from one training photo and pasted into another.

Ghiasi et al., 2012.07177 ("Simple Copy-Paste"), for label maps: an object is a connected area of
a class. As there it is flipped and scaled at random, its edge is not blended, and it covers what
lies below, labels included. It stays near its own place in the photo, where it fits.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from atrous.datasets.version import Sample
from atrous.domain.classes import IGNORE_ID
from atrous.training.class_weights import RARE_SHARE

Pair = tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]

OBJECTS_AT_MOST = 3  # pasted into one photo
LEAST_PIXELS = 16  # of an object: smaller areas are specks of the labelling
SCALES = (0.5, 2.0)  # drawn log-uniformly; the paper's large jitter is 0.1 to 2
SHIFT = 0.25  # of the photo's height and width, at most, from the object's own place


@dataclass(frozen=True)
class CopyPaste:
    """Which photos show which rare class, and how often something is pasted."""

    chance: float  # 0..1, of a photo to get objects
    photos_of: Mapping[int, Sequence[int]]  # by class id: numbers of the photos that show it

    def __call__(self, pair: Pair, rng: np.random.Generator, read: Callable[[int], Pair]) -> Pair:
        """Paste into a copy of a photo and its label, or give both back.

        read: gives a photo by its number, of the same size.
        """
        if not self.photos_of or rng.random() >= self.chance:
            return pair
        class_id = int(rng.choice(sorted(self.photos_of)))
        image, labels = read(int(rng.choice(self.photos_of[class_id])))
        objects = objects_of(labels, class_id)
        if not objects:
            return pair
        wanted = int(rng.integers(1, min(OBJECTS_AT_MOST, len(objects)) + 1))
        for number in rng.choice(len(objects), wanted, replace=False):
            pair = paste(pair, image, objects[number], class_id, rng)
        return pair


def copy_paste_of(samples: Sequence[Sample], chance: float) -> CopyPaste:
    """Find the rare classes of a training split; reads all its label maps, unless chance is 0.

    Rare is a class on less than 2 % of the labelled pixels; where there is none, the rarest one.
    Class 0, the background, is never pasted.
    """
    if chance == 0:
        return CopyPaste(chance, {})
    # decoding leaves Python's lock, so threads are enough
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        counts = list(pool.map(_class_pixels, samples))
    totals = sum(counts, Counter[int]())
    labelled = sum(totals.values())
    objects = {class_id: pixels for class_id, pixels in totals.items() if class_id != 0}
    rare = [class_id for class_id, pixels in objects.items() if pixels < RARE_SHARE * labelled]
    if objects and not rare:
        rare = [min(objects, key=lambda class_id: objects[class_id])]
    return CopyPaste(
        chance,
        {
            class_id: tuple(number for number, photo in enumerate(counts) if class_id in photo)
            for class_id in rare
        },
    )


@dataclass(frozen=True)
class CutOut:
    """One object of a photo: its pixels within the rectangle that holds it."""

    top: int
    left: int
    shape: Bool[np.ndarray, "height width"]


def objects_of(labels: UInt8[np.ndarray, "height width"], class_id: int) -> list[CutOut]:
    """The connected areas (8 neighbours) of a class, those of a few pixels left out."""
    count, areas, rectangles, _ = cv2.connectedComponentsWithStats(
        (labels == class_id).astype(np.uint8), connectivity=8
    )
    objects = []
    for number in range(1, count):
        left, top, width, height, pixels = (int(value) for value in rectangles[number])
        if pixels >= LEAST_PIXELS:
            shape = areas[top : top + height, left : left + width] == number
            objects.append(CutOut(top, left, shape))
    return objects


def paste(
    pair: Pair,
    source: UInt8[np.ndarray, "source_height source_width 3"],
    found: CutOut,
    class_id: int,
    rng: np.random.Generator,
) -> Pair:
    """Lay one object of a photo over another, flipped and scaled by chance."""
    image, labels = pair[0].copy(), pair[1].copy()
    tall, wide = found.shape.shape
    pixels = source[found.top : found.top + tall, found.left : found.left + wide]
    scale = math.exp(rng.uniform(math.log(SCALES[0]), math.log(SCALES[1])))
    size = (
        min(max(1, round(tall * scale)), labels.shape[0]),
        min(max(1, round(wide * scale)), labels.shape[1]),
    )
    pixels, shape = _resized(pixels, found.shape, size)
    if rng.random() < 0.5:
        pixels, shape = pixels[:, ::-1], shape[:, ::-1]
    top, left = (
        _start(place + length / 2, new, limit, rng)
        for place, length, new, limit in zip(
            (found.top, found.left), (tall, wide), size, labels.shape, strict=True
        )
    )
    target = (slice(top, top + size[0]), slice(left, left + size[1]))
    image[target][shape] = pixels[shape]
    labels[target][shape] = class_id
    return image, labels


def _resized(
    pixels: UInt8[np.ndarray, "height width 3"],
    shape: Bool[np.ndarray, "height width"],
    size: tuple[int, int],
) -> tuple[UInt8[np.ndarray, "tall wide 3"], Bool[np.ndarray, "tall wide"]]:
    """Bilinear for pixels, nearest for the shape."""
    width_first = (size[1], size[0])
    return (
        np.asarray(
            cv2.resize(np.ascontiguousarray(pixels), width_first, interpolation=cv2.INTER_LINEAR),
            np.uint8,
        ),
        cv2.resize(
            shape.astype(np.uint8), width_first, interpolation=cv2.INTER_NEAREST_EXACT
        ).astype(bool),
    )


def _start(centre: float, length: int, limit: int, rng: np.random.Generator) -> int:
    """Where an object of this length begins: near its own centre, all of it in the photo."""
    shifted = centre + rng.uniform(-SHIFT, SHIFT) * limit
    return min(max(0, round(shifted - length / 2)), limit - length)


def _class_pixels(sample: Sample) -> Counter[int]:
    """How many pixels of each class a label map has, those of 255 left out."""
    ids, counts = np.unique(sample.read_label_map(), return_counts=True)
    pixels = zip(ids.tolist(), counts.tolist(), strict=True)
    return Counter({class_id: count for class_id, count in pixels if class_id != IGNORE_ID})
