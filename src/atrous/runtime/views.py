"""One answer blended of several looks at a photo: overlapping windows, scales, mirrored."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Box, Size
from atrous.domain.predictions import Prediction, Thresholds
from atrous.domain.recipes import PreprocessRecipe
from atrous.domain.views import Views
from atrous.images.preprocess import Placement, place
from atrous.runtime.postprocess import restore, ways_back
from atrous.runtime.resampling import Resampling

CANVAS_BYTES = 256 << 20  # of the blended probabilities of one photo
CELLS = (1, 2, 4, 8)  # pixels of the photo per place of the canvas, the finest that fits
LEAST = 1e-7  # of a probability, whose logarithm is taken


@dataclass(frozen=True)
class Look:
    """What the network said of one picture."""

    logits: Float32[np.ndarray, "channels out_height out_width"]
    placement: Placement
    enlarged: Size | None  # as in `restore`


See = Callable[[UInt8[np.ndarray, "height width 3"], PreprocessRecipe], Look]


def predict_views(
    see: See,
    image: UInt8[np.ndarray, "height width 3"],
    recipe: PreprocessRecipe,
    views: Views,
    *,
    background_id: int,
    class_count: int,
    threshold: Thresholds = 0.0,
) -> Prediction:
    """Blend the probabilities of all looks, then answer as `restore` does for one.

    see: preprocesses a picture by a recipe and runs the network. Raises BadInput for a photo
    whose probabilities are more than memory is meant for.
    """
    crop = place(Size(*image.shape[:2]), recipe).crop
    inside = image[crop.top : crop.bottom, crop.left : crop.right]
    recipe = replace(recipe, static_crop=None)
    logits, cell = _blend(see, inside, recipe, views, class_count)
    padded = Size(logits.shape[1] * cell, logits.shape[2] * cell)
    found = restore(
        logits,
        place(padded, PreprocessRecipe(size=padded)),
        background_id=background_id,
        threshold=threshold,
        class_count=class_count,
    )
    label_map = np.full(image.shape[:2], background_id, np.uint8)
    confidence = np.zeros(image.shape[:2], np.float32)
    rows, columns = slice(crop.top, crop.bottom), slice(crop.left, crop.right)
    height, width = inside.shape[:2]
    label_map[rows, columns] = found.label_map[:height, :width]
    confidence[rows, columns] = found.confidence[:height, :width]
    return Prediction(label_map, confidence)


def _blend(
    see: See,
    image: UInt8[np.ndarray, "height width 3"],
    recipe: PreprocessRecipe,
    views: Views,
    class_count: int,
) -> tuple[Float32[np.ndarray, "channels rows columns"], int]:
    """Logits of the blended probabilities, and the pixels of the photo per place of them."""
    photo = Size(*image.shape[:2])
    cell = _cell(photo, class_count)
    rows, columns = -(-photo.height // cell), -(-photo.width // cell)
    canvas = np.zeros((0, rows, columns), np.float32)
    weights = np.zeros((rows, columns), np.float32)
    for scale in views.scales:
        window = _window(photo, recipe, views.window, scale, cell)
        ramp = _ramps(window, views.overlap, cell)
        for box in _boxes(photo, window, views.overlap, cell):
            picture = _cut(image, box, recipe.padding_value)
            for mirrored in (False, True) if views.flip else (False,):
                shares = _shares(see, picture, recipe, cell, mirrored)
                if not len(canvas):
                    canvas = np.zeros((len(shares), rows, columns), np.float32)
                here, there = _overlap(box, cell, rows, columns)
                canvas[:, here[0], here[1]] += (shares * ramp)[:, there[0], there[1]]
                weights[here] += ramp[there]
    canvas /= weights
    np.clip(canvas, LEAST, 1 - LEAST, out=canvas)
    if len(canvas) == 1:  # the logit whose sigmoid it is
        return np.log(canvas / (1 - canvas)), cell
    return np.log(canvas, out=canvas), cell


def _cell(photo: Size, class_count: int) -> int:
    for cell in CELLS:
        if photo.height * photo.width * class_count * 4 / cell**2 <= CANVAS_BYTES:
            return cell
    raise BadInput(
        f"a photo of {photo} with {class_count} classes needs more than "
        f"{CANVAS_BYTES >> 20} MB to blend windows in; make the photo smaller"
    )


def _window(
    photo: Size, recipe: PreprocessRecipe, wanted: int | None, scale: float, cell: int
) -> Size:
    """The part of the photo that one look takes in; multiples of `cell`."""
    network = recipe.size
    if recipe.resize_mode == "center-crop":
        factor = 1.0 if wanted is None else min(1.0, wanted / max(network.height, network.width))
        height, width = network.height * factor, network.width * factor
        scale = max(scale, 1.0)  # it can't shrink what it sees
    elif wanted is None or wanted >= max(photo.height, photo.width):
        height, width = float(photo.height), float(photo.width)
    else:  # the shape that the network was trained on
        factor = wanted / max(network.height, network.width)
        height, width = network.height * factor, network.width * factor
    up = math.floor if recipe.resize_mode == "center-crop" else math.ceil
    sides = (max(cell, up(side / scale / cell) * cell) for side in (height, width))
    return Size(*sides)


def _boxes(photo: Size, window: Size, overlap: float, cell: int) -> Iterator[Box]:
    """Windows over the whole photo; larger ones than it are laid around its middle."""
    tops = _starts(photo.height, window.height, overlap, cell)
    for top in tops:
        for left in _starts(photo.width, window.width, overlap, cell):
            yield Box(left, top, left + window.width, top + window.height)


def _starts(side: int, window: int, overlap: float, cell: int) -> list[int]:
    if window >= side:
        return [-((window - side) // 2 // cell) * cell]
    last = -(-(side - window) // cell) * cell
    count = math.ceil(last / (window * (1 - overlap))) + 1
    return [round(last * index / (count - 1) / cell) * cell for index in range(count)]


def _cut(
    image: UInt8[np.ndarray, "height width 3"], box: Box, padding: int
) -> UInt8[np.ndarray, "window_height window_width 3"]:
    """A part of the photo, padded where it reaches beyond."""
    height, width = image.shape[:2]
    part = image[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right]
    around = (
        max(-box.top, 0),
        max(box.bottom - height, 0),
        max(-box.left, 0),
        max(box.right - width, 0),
    )
    if not any(around):
        return np.ascontiguousarray(part)
    color = (padding, padding, padding)
    part = np.ascontiguousarray(part)
    if max(around) < max(CELLS):  # a few pixels that fill the last cell
        return np.asarray(cv2.copyMakeBorder(part, *around, cv2.BORDER_REPLICATE), np.uint8)
    framed = cv2.copyMakeBorder(part, *around, cv2.BORDER_CONSTANT, value=color)
    return np.asarray(framed, np.uint8)


def _shares(
    see: See,
    picture: UInt8[np.ndarray, "height width 3"],
    recipe: PreprocessRecipe,
    cell: int,
    mirrored: bool,
) -> Float32[np.ndarray, "channels rows columns"]:
    """Probabilities of one look, at the cells that the picture covers."""
    look = see(np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture, recipe)
    result = Size(picture.shape[0] // cell, picture.shape[1] // cell)
    low = Size(*look.logits.shape[1:])
    rows, columns = ways_back(low, look.enlarged, look.placement, result)
    scores = _resampled(look.logits, rows, columns)
    if len(scores) == 1:
        shares = 1 / (1 + np.exp(-scores))
    else:
        scores -= scores.max(axis=0)
        shares = np.exp(scores, out=scores)
        shares /= shares.sum(axis=0)
    return np.asarray(shares[:, :, ::-1] if mirrored else shares)


def _resampled(
    logits: Float32[np.ndarray, "channels out_height out_width"],
    rows: Resampling,
    columns: Resampling,
) -> Float32[np.ndarray, "channels rows columns"]:
    across = columns.block(slice(0, columns.size))
    wide = logits[:, :, across.sources] @ across.weights
    return rows.rows_of(wide)


def _ramps(window: Size, overlap: float, cell: int) -> Float32[np.ndarray, "rows columns"]:
    """The weight of each place of a window: less towards its edges, over the overlap."""
    sides = []
    for side in (window.height // cell, window.width // cell):
        places = np.arange(side) + 0.5
        to_edge = np.minimum(places, side - places)
        sides.append(np.minimum(to_edge / max(overlap * side, 0.5), 1.0))
    return np.asarray(np.outer(*sides), np.float32)


def _overlap(
    box: Box, cell: int, rows: int, columns: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The cells that a window covers, of the canvas and of the window."""
    here, there = [], []
    for start, stop, size in ((box.top, box.bottom, rows), (box.left, box.right, columns)):
        first, last = start // cell, stop // cell
        begin, end = max(first, 0), min(last, size)
        here.append(slice(begin, end))
        there.append(slice(begin - first, end - first))
    return (here[0], here[1]), (there[0], there[1])
