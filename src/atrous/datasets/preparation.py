"""The steps of a version, done to a photo and its label map alike.

Their order is fixed: static crop, tiles, grey, contrast, resize, classes. Photos are always turned
as their EXIF data says before any of them, because labels lie on the upright photo.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal, get_args

import cv2
import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import BACKGROUND, BACKGROUND_ID
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Box, Size
from atrous.domain.recipes import ContrastMode, StaticCrop
from atrous.images.contrast import adjust_contrast

Fit = Literal[
    "Stretch to",
    "Fill (with center crop) in",
    "Fit within",
    "Fit (reflect edges) in",
    "Fit (black edges) in",
    "Fit (white edges) in",
    "Fit (grey edges) in",
]
EDGE_LEVELS = {"Fit (black edges) in": 0, "Fit (white edges) in": 255, "Fit (grey edges) in": 127}
MAX_SIDE = 8192
MAX_TILES = 20  # per side


@dataclass(frozen=True)
class Resize:
    """A new size, and how a photo of other proportions is brought to it."""

    size: Size
    fit: Fit = "Stretch to"


@dataclass(frozen=True)
class Preparation:
    """Every step of a version; none of them by default."""

    auto_orient: bool = False  # write the pixels upright, without EXIF
    static_crop: StaticCrop | None = None
    tiles: tuple[int, int] | None = None  # rows, columns
    grayscale: bool = False
    contrast: ContrastMode | None = None
    resize: Resize | None = None
    remap: tuple[tuple[str, str], ...] = ()  # old class name, new one; empty: background
    labelled_percent: float = 0.0  # photos that show no class are left out until so many do

    @property
    def changes_pixels(self) -> bool:
        """Whether photos come out with other pixels than they went in."""
        steps = (self.static_crop, self.tiles, self.grayscale, self.contrast, self.resize)
        return any(bool(step) for step in steps)


@dataclass(frozen=True)
class Piece:
    """What became of a photo, or of one tile of it."""

    suffix: str  # for its name: empty, or which tile it is
    image: UInt8[np.ndarray, "height width 3"]
    label_map: UInt8[np.ndarray, "height width"]


def prepare(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    steps: Preparation,
) -> Iterator[Piece]:
    """Do the steps to an upright RGB photo and its label map; one piece, or one per tile."""
    box = _crop_box(Size(*label_map.shape), steps.static_crop)
    for suffix, part in _tiles(box, steps.tiles):
        rows, columns = slice(part.top, part.bottom), slice(part.left, part.right)
        pixels, labels = np.ascontiguousarray(image[rows, columns]), label_map[rows, columns]
        if steps.grayscale:
            grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
            pixels = np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)
        if steps.contrast:
            pixels = adjust_contrast(pixels, steps.contrast)
        if steps.resize:
            pixels, labels = _resize(pixels, np.ascontiguousarray(labels), steps.resize)
        yield Piece(suffix, pixels, np.ascontiguousarray(labels))


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


def left_out(
    empty: Sequence[str], labelled: int, labelled_percent: float, seed: int
) -> frozenset[str]:
    """Which photos without classes (by name) go, so that the others are `labelled_percent` of all.

    The choice follows from names and seed alone.
    """
    if labelled_percent <= 0:
        return frozenset()
    allowed = int(labelled * (100 - labelled_percent) / labelled_percent)
    ranked = sorted(empty, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return frozenset(ranked[allowed:])


def read_preparation(
    preprocessing: Mapping[str, Any], augmentation: Mapping[str, Any]
) -> Preparation:
    """Read the steps as the platform's clients write them; BadInput for what can't be done."""
    wanted = {name: options for name, options in preprocessing.items() if _is_on(options)}
    unknown = sorted(set(wanted) - set(READERS))
    if unknown:
        raise BadInput(f"preprocessing {unknown} is not offered; known are {sorted(READERS)}")
    changes = {
        name: options
        for name, options in augmentation.items()
        if _is_on(options) and not (name == "image" and _copies(options) == 1)
    }
    if changes:
        raise BadInput(
            f"augmentation {sorted(changes)} is not offered for versions: a training flips, scales "
            "and recolours its pictures anew in each epoch; send an empty augmentation"
        )
    fields: dict[str, Any] = {}
    for name, options in wanted.items():
        field, read = READERS[name]
        try:
            fields[field] = read(options if isinstance(options, Mapping) else {})
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"preprocessing '{name}' is {str(options)[:200]}, which is not understood "
                f"({type(error).__name__}: {str(error)[:100]})"
            ) from error
    return Preparation(**fields)


def _is_on(options: Any) -> bool:
    return bool(options.get("enabled", True)) if isinstance(options, Mapping) else bool(options)


def _copies(options: Any) -> int:
    return int(options.get("versions", 0)) if isinstance(options, Mapping) else 0


def _read_resize(options: Mapping[str, Any]) -> Resize:
    size = Size(height=int(options["height"]), width=int(options["width"]))
    fit = options.get("format", "Stretch to")
    if not (1 <= size.height <= MAX_SIDE and 1 <= size.width <= MAX_SIDE):
        raise ValueError(f"take 1 to {MAX_SIDE} pixels")
    if fit not in get_args(Fit):
        raise ValueError(f"format is one of {list(get_args(Fit))}")
    return Resize(size, fit)


def _read_crop(options: Mapping[str, Any]) -> StaticCrop:
    crop = StaticCrop(
        **{name: float(options[name]) for name in ("x_min", "x_max", "y_min", "y_max")}
    )
    if not (0 <= crop.x_min < crop.x_max <= 100 and 0 <= crop.y_min < crop.y_max <= 100):
        raise ValueError("give percent, 0 to 100, min below max")
    return crop


def _read_tiles(options: Mapping[str, Any]) -> tuple[int, int]:
    rows, columns = int(options["rows"]), int(options["columns"])
    if not (1 <= rows <= MAX_TILES and 1 <= columns <= MAX_TILES):
        raise ValueError(f"take 1 to {MAX_TILES} rows and columns")
    return rows, columns


def _read_contrast(options: Mapping[str, Any]) -> Any:
    kind = options["type"]
    if kind not in get_args(ContrastMode):
        raise ValueError(f"type is one of {list(get_args(ContrastMode))}")
    return kind


def _read_remap(options: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(old), "" if new in (None, False) else str(new))
        for old, new in options.items()
        if old != "enabled"
    )


def _read_percent(options: Mapping[str, Any]) -> float:
    percent = float(options["percent"])
    if not 0 <= percent <= 100:
        raise ValueError("give percent, 0 to 100")
    return percent


READERS: dict[str, tuple[str, Any]] = {
    "auto-orient": ("auto_orient", lambda options: True),
    "static-crop": ("static_crop", _read_crop),
    "tile": ("tiles", _read_tiles),
    "grayscale": ("grayscale", lambda options: True),
    "contrast": ("contrast", _read_contrast),
    "resize": ("resize", _read_resize),
    "remap": ("remap", _read_remap),
    "filter-null": ("labelled_percent", _read_percent),
}


def _crop_box(photo: Size, crop: StaticCrop | None) -> Box:
    if crop is None:
        return Box(0, 0, photo.width, photo.height)
    left, top = int(crop.x_min / 100 * photo.width), int(crop.y_min / 100 * photo.height)
    # of a tiny photo, one row or column is kept
    right = max(int(crop.x_max / 100 * photo.width), left + 1)
    bottom = max(int(crop.y_max / 100 * photo.height), top + 1)
    return Box(left, top, right, bottom)


def _tiles(box: Box, tiles: tuple[int, int] | None) -> Iterator[tuple[str, Box]]:
    if tiles is None:
        yield "", box
        return
    rows = pairwise(_cuts(box.top, box.bottom, tiles[0]))
    columns = pairwise(_cuts(box.left, box.right, tiles[1]))
    for (row, (top, bottom)), (column, (left, right)) in product(
        enumerate(rows, start=1), enumerate(columns, start=1)
    ):
        if top < bottom and left < right:  # a photo may have fewer pixels than tiles
            yield f"_r{row}c{column}", Box(left, top, right, bottom)


def _cuts(start: int, end: int, parts: int) -> list[int]:
    return [start + (end - start) * part // parts for part in range(parts + 1)]


def _resize(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    resize: Resize,
) -> tuple[UInt8[np.ndarray, "height2 width2 3"], UInt8[np.ndarray, "height2 width2"]]:
    photo, target = Size(*label_map.shape), resize.size
    if resize.fit == "Stretch to":
        return _scaled(image, label_map, target)
    scales = (target.width / photo.width, target.height / photo.height)
    scale = max(scales) if resize.fit == "Fill (with center crop) in" else min(scales)
    size = Size(
        height=max(round(photo.height * scale), 1), width=max(round(photo.width * scale), 1)
    )
    image, label_map = _scaled(image, label_map, size)
    if resize.fit == "Fit within":
        return image, label_map
    if resize.fit == "Fill (with center crop) in":
        top, left = (size.height - target.height) // 2, (size.width - target.width) // 2
        rows, columns = slice(top, top + target.height), slice(left, left + target.width)
        return image[rows, columns], label_map[rows, columns]
    return _padded(image, label_map, target, resize.fit)


def _scaled(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    size: Size,
) -> tuple[UInt8[np.ndarray, "height2 width2 3"], UInt8[np.ndarray, "height2 width2"]]:
    if label_map.shape == (size.height, size.width):
        return image, label_map
    shrinks = size.area < label_map.size
    wanted = (size.width, size.height)  # cv2 sizes are width first
    pixels = cv2.resize(
        image, wanted, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    labels = cv2.resize(label_map, wanted, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(pixels, np.uint8), np.asarray(labels, np.uint8)


def _padded(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    target: Size,
    fit: Fit,
) -> tuple[UInt8[np.ndarray, "height2 width2 3"], UInt8[np.ndarray, "height2 width2"]]:
    """Centre a photo; mirrored edges carry mirrored labels, plain edges are background."""
    above, left = (
        (target.height - label_map.shape[0]) // 2,
        (target.width - label_map.shape[1]) // 2,
    )
    below = target.height - label_map.shape[0] - above
    right = target.width - label_map.shape[1] - left
    around = ((above, below), (left, right))
    if fit == "Fit (reflect edges) in":
        return (
            np.pad(image, (*around, (0, 0)), mode="symmetric"),
            np.pad(label_map, around, mode="symmetric"),
        )
    level = EDGE_LEVELS[fit]
    return (
        np.pad(image, (*around, (0, 0)), constant_values=level),
        np.pad(label_map, around, constant_values=BACKGROUND_ID),
    )
