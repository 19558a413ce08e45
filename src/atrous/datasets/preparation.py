"""The preprocessing of a version, done to a photo and its label map alike.

The order is fixed: static crop, isolate, tiles, grey, contrast, resize, classes. Photos are always
turned as their EXIF data says before any of them, because labels lie on the upright photo. Crop,
grey, contrast and resize are those of `images/preprocess.py`, so that a model which is asked about
a photo sees it as it saw the pictures of the version.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise, product
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from atrous.datasets.regions import region_boxes
from atrous.domain.classes import BACKGROUND, BACKGROUND_ID, IGNORE_ID
from atrous.domain.geometry import Box, Size
from atrous.domain.recipes import ContrastMode, PreprocessRecipe, StaticCrop
from atrous.images.contrast import adjust_contrast
from atrous.images.preprocess import fit_image, fit_label_map, place

Fit = Literal[
    "Stretch to",
    "Fill (with center crop) in",
    "Fit within",
    "Fit (reflect edges) in",
    "Fit (black edges) in",
    "Fit (white edges) in",
    "Fit (grey edges) in",
]
EDGE_LEVELS = {"Fit (white edges) in": 255, "Fit (grey edges) in": 127}  # others: black


@dataclass(frozen=True)
class Resize:
    """A new size, and how a photo of other proportions is brought to it."""

    size: Size
    fit: Fit = "Stretch to"


@dataclass(frozen=True)
class Preparation:
    """Every preprocessing step of a version; none of them by default."""

    auto_orient: bool = False  # write the pixels upright, without EXIF
    static_crop: StaticCrop | None = None
    isolate: bool = False  # every region of a class becomes a picture
    tiles: tuple[int, int] | None = None  # rows, columns
    grayscale: bool = False
    contrast: ContrastMode | None = None
    resize: Resize | None = None
    remap: tuple[tuple[str, str], ...] = ()  # old class name, new one; empty: background
    labelled_percent: float = 0.0  # photos that show no class are left out until so many do
    required_tags: tuple[str, ...] = ()  # a photo has all of these
    excluded_tags: tuple[str, ...] = ()  # and none of these

    @property
    def changes_pixels(self) -> bool:
        """Whether photos come out with other pixels than they went in."""
        steps = (self.static_crop, self.isolate, self.tiles, self.grayscale, self.contrast)
        return any(bool(step) for step in (*steps, self.resize))


@dataclass(frozen=True)
class Piece:
    """What became of a photo, or of one region or tile of it."""

    suffix: str  # for its name: empty, or which part it is
    image: UInt8[np.ndarray, "height width 3"]
    label_map: UInt8[np.ndarray, "height width"]


def prepare(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    steps: Preparation,
) -> Iterator[Piece]:
    """Do the steps to an upright RGB photo and its label map; one piece, or one per part."""
    for suffix, box in cut_boxes(label_map, steps):
        pixels, labels = resized(*cut(image, label_map, box, steps), steps.resize)
        yield Piece(suffix, pixels, labels)


def cut_boxes(
    label_map: UInt8[np.ndarray, "height width"], steps: Preparation
) -> list[tuple[str, Box]]:
    """Where a photo is cut: the static crop, each region in it, each tile of these."""
    box = _crop_box(Size(*label_map.shape), steps.static_crop)
    boxes = [("", box)]
    if steps.isolate:
        regions = region_boxes(label_map[box.top : box.bottom, box.left : box.right])
        boxes = [
            (f"_i{number}", _moved(region, box)) for number, region in enumerate(regions, start=1)
        ]
    if steps.tiles is None:
        return boxes
    return [
        (f"{outer}{inner}", tile)
        for outer, part in boxes
        for inner, tile in _tiles(part, steps.tiles)
    ]


def cut(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    box: Box,
    steps: Preparation,
) -> tuple[UInt8[np.ndarray, "box_height box_width 3"], UInt8[np.ndarray, "box_height box_width"]]:
    """One part of a photo, with grey and contrast done; not resized yet."""
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    pixels = np.ascontiguousarray(image[rows, columns])
    if steps.grayscale:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        pixels = np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)
    if steps.contrast:
        pixels = adjust_contrast(pixels, steps.contrast)
    return pixels, np.ascontiguousarray(label_map[rows, columns])


def resized(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    resize: Resize | None,
) -> tuple[UInt8[np.ndarray, "new_height new_width 3"], UInt8[np.ndarray, "new_height new_width"]]:
    """Bring a picture and its label map to the size of a version.

    Labels take the nearest pixel. Plain edges are ignored (255), as nobody labelled them; mirrored
    ones carry mirrored labels.
    """
    if resize is None:
        return image, label_map
    if resize.fit == "Fill (with center crop) in":
        image, label_map = _middle(image, label_map, resize.size)
    recipe = PreprocessRecipe(
        size=resize.size,
        resize_mode="letterbox" if resize.fit.startswith("Fit ") else "stretch",
        padding_value=EDGE_LEVELS.get(resize.fit, 0),
    )
    if resize.fit == "Fit within":
        within = place(Size(*label_map.shape), recipe).content.size
        recipe = replace(recipe, size=within, resize_mode="stretch")
    pixels, placement = fit_image(image, recipe)
    labels = fit_label_map(label_map, placement)
    if resize.fit == "Fit (reflect edges) in":
        return _mirrored(pixels, labels, placement.content)
    return pixels, labels


def serving_choices(steps: Preparation) -> dict[str, Any]:
    """The fields of a PreprocessRecipe, as JSON, by which a model sees photos as it saw pictures.

    Parts of photos (isolate, tile) are not repeated: a model is asked about whole photos. Those
    that were filled in come with black edges, as other servers of such models do it.
    """
    chosen: dict[str, Any] = {
        "static_crop": asdict(steps.static_crop) if steps.static_crop else None,
        "grayscale": steps.grayscale,
        "contrast": steps.contrast,
    }
    if steps.resize and steps.resize.fit == "Fit (reflect edges) in":
        chosen["resize_mode"] = "letterbox-reflect-edges"
    elif steps.resize and steps.resize.fit != "Stretch to":
        chosen["resize_mode"] = "letterbox"
        chosen["padding_value"] = EDGE_LEVELS.get(steps.resize.fit, 0)
    return chosen


def for_prepared(recipe: PreprocessRecipe) -> PreprocessRecipe:
    """The recipe of a model for pictures of its version, to which the steps were done already."""
    return replace(recipe, static_crop=None, grayscale=False, contrast=None)


def remap_classes(
    names: Sequence[str], remap: Sequence[tuple[str, str]]
) -> tuple[tuple[str, ...], UInt8[np.ndarray, "256"]]:
    """The class names after renaming and merging, and the new id of each id; 255 stays."""
    chosen = dict(remap)
    kept = [BACKGROUND]
    table = np.arange(256, dtype=np.uint8)
    for old_id, name in enumerate(names):
        new = chosen.get(name, name)
        if old_id == BACKGROUND_ID or not new or new.lower() == BACKGROUND:
            table[old_id] = BACKGROUND_ID
            continue
        if new not in kept:
            kept.append(new)
        table[old_id] = kept.index(new)
    return tuple(kept), table


def shows_class(label_map: UInt8[np.ndarray, "height width"]) -> bool:
    """Whether any pixel is of a class other than background."""
    return bool(((label_map != BACKGROUND_ID) & (label_map != IGNORE_ID)).any())


def left_out(
    empty: Sequence[str], labelled: int, labelled_percent: float, seed: int
) -> frozenset[str]:
    """Which pictures without classes (by name) go, so that others are `labelled_percent` of all.

    The choice follows from names and seed alone.
    """
    if labelled_percent <= 0:
        return frozenset()
    allowed = int(labelled * (100 - labelled_percent) / labelled_percent)
    ranked = sorted(empty, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return frozenset(ranked[allowed:])


def _crop_box(photo: Size, crop: StaticCrop | None) -> Box:
    if crop is None:
        return Box(0, 0, photo.width, photo.height)
    left, top = int(crop.x_min / 100 * photo.width), int(crop.y_min / 100 * photo.height)
    # of a tiny photo, one row or column is kept
    right = max(int(crop.x_max / 100 * photo.width), left + 1)
    bottom = max(int(crop.y_max / 100 * photo.height), top + 1)
    return Box(left, top, right, bottom)


def _moved(inner: Box, outer: Box) -> Box:
    """A box of a part, in pixels of the whole."""
    return Box(
        inner.left + outer.left,
        inner.top + outer.top,
        inner.right + outer.left,
        inner.bottom + outer.top,
    )


def _tiles(box: Box, tiles: tuple[int, int]) -> Iterator[tuple[str, Box]]:
    rows = pairwise(_cuts(box.top, box.bottom, tiles[0]))
    columns = pairwise(_cuts(box.left, box.right, tiles[1]))
    for (row, (top, bottom)), (column, (left, right)) in product(
        enumerate(rows, start=1), enumerate(columns, start=1)
    ):
        if top < bottom and left < right:  # a photo may have fewer pixels than tiles
            yield f"_r{row}c{column}", Box(left, top, right, bottom)


def _cuts(start: int, end: int, parts: int) -> list[int]:
    return [start + (end - start) * part // parts for part in range(parts + 1)]


def _middle(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    target: Size,
) -> tuple[UInt8[np.ndarray, "new_height new_width 3"], UInt8[np.ndarray, "new_height new_width"]]:
    """The largest part around the middle that has the target's proportions."""
    height, width = label_map.shape
    scale = max(target.height / height, target.width / width)
    tall = min(max(round(target.height / scale), 1), height)
    wide = min(max(round(target.width / scale), 1), width)
    top, left = (height - tall) // 2, (width - wide) // 2
    rows, columns = slice(top, top + tall), slice(left, left + wide)
    return image[rows, columns], label_map[rows, columns]


def _mirrored(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    content: Box,
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
    """Fill what lies around the content with its mirror image."""
    height, width = label_map.shape
    rows, columns = slice(content.top, content.bottom), slice(content.left, content.right)
    around = (
        (content.top, height - content.bottom),
        (content.left, width - content.right),
    )
    return (
        np.pad(image[rows, columns], (*around, (0, 0)), mode="symmetric"),
        np.pad(label_map[rows, columns], around, mode="symmetric"),
    )
