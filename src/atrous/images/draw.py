"""A prediction drawn over its photo, for people: class colours, contours and a legend."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from jaxtyping import Int64, UInt8

from atrous.domain.classes import BACKGROUND
from atrous.domain.errors import BadInput
from atrous.images.legend import add_legend

# The first colours are told apart in the common kinds of colour blindness, too (after Okabe and
# Ito 2008, brightened for photos).
FIRST_COLORS = (
    (0, 0, 0),
    (230, 80, 0),
    (40, 170, 250),
    (0, 190, 120),
    (245, 215, 50),
    (210, 90, 190),
    (0, 70, 220),
)


@cache
def _palette() -> UInt8[np.ndarray, "256 3"]:
    """Every next colour is the one of a grid that is farthest from all before it."""
    levels = np.arange(0, 256, 51)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    grid = grid[grid.max(axis=1) >= 150]  # darker ones are lost on a photo
    finer = grid[:, None, :] - np.array([[0, 0, 0], [25, 0, 13], [0, 25, 25]])
    candidates = finer.clip(0, 255).reshape(-1, 3)
    colors = [np.array(color) for color in FIRST_COLORS]
    nearest = np.min([_color_distance(candidates, color) for color in colors], axis=0)
    while len(colors) < 256:
        colors.append(candidates[np.argmax(nearest)])
        nearest = np.minimum(nearest, _color_distance(candidates, colors[-1]))
    palette: UInt8[np.ndarray, "256 3"] = np.array(colors, np.uint8)
    return palette


def _color_distance(
    colors: Int64[np.ndarray, "count 3"], other: Int64[np.ndarray, "3"]
) -> Int64[np.ndarray, " count"]:
    """Squared "redmean" distance (Riemersma, CompuPhase): close to how different they look."""
    red_mean = (colors[:, 0] + other[0]) // 2
    red, green, blue = ((colors - other) ** 2).T
    return np.asarray(((512 + red_mean) * red >> 8) + 4 * green + ((767 - red_mean) * blue >> 8))


def class_colors(count: int) -> UInt8[np.ndarray, "count 3"]:
    """RGB of class ids 0..count-1 (at most 256): distinct, the same for an id always, 0 black."""
    return _palette()[:count].copy()


def draw_overlay(
    image: UInt8[np.ndarray, "height width 3"],
    label_map: UInt8[np.ndarray, "height width"],
    class_names: Sequence[str],
    *,
    opacity: float = 0.5,
    labels: bool = True,
    stroke: int = 1,
) -> UInt8[np.ndarray, "height width 3"]:
    """Colour every class but background over an RGB photo, and name those that occur.

    opacity: 0..1, of the colours; contours are opaque.
    labels: whether a legend is drawn, top left, larger classes first.
    stroke: width in pixels of the contour inside each region; 0 draws none.
    """
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(class_names)] = class_colors(len(class_names))
    background = _background_of(class_names)
    colored = colors[label_map]
    drawn = np.asarray(cv2.addWeighted(image, 1 - opacity, colored, opacity, 0), np.uint8)
    foreground = label_map != background
    drawn[~foreground] = image[~foreground]
    if stroke > 0:
        contour = _contour(label_map, stroke) & foreground
        drawn[contour] = colored[contour]
    if labels:
        pixels = np.bincount(label_map.ravel(), minlength=256)[: len(class_names)]
        order = [index for index in np.argsort(-pixels) if pixels[index] and index != background]
        entries = [(class_names[index], tuple(colors[index].tolist())) for index in order]
        drawn = add_legend(drawn, entries)
    return drawn


def encode_jpeg(image: UInt8[np.ndarray, "height width 3"], quality: int = 90) -> bytes:
    """An RGB image as a JPEG file; quality 1..100."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """An RGB image as a PNG file."""
    return _encode(".png", image, [])


def _encode(kind: str, image: UInt8[np.ndarray, "height width 3"], settings: list[int]) -> bytes:
    encoded, data = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    if not encoded:
        raise BadInput(f"an image of shape {image.shape} can't be written as {kind}")
    return bytes(data.tobytes())


def _background_of(class_names: Sequence[str]) -> int:
    lowered = [name.lower() for name in class_names]
    return lowered.index(BACKGROUND) if BACKGROUND in lowered else 0


def _contour(
    label_map: UInt8[np.ndarray, "height width"], stroke: int
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Pixels with another class less than `stroke` + 1 pixels away."""
    kernel = np.ones((2 * stroke + 1, 2 * stroke + 1), np.uint8)
    return np.asarray(cv2.dilate(label_map, kernel) != cv2.erode(label_map, kernel))
