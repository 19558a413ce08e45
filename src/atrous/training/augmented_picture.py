"""`augmented.png`: what the network is about to see, so that a wrong setting shows at once."""

import logging
import math

import numpy as np
from jaxtyping import UInt8

from atrous.disk.whole import write_whole
from atrous.domain.classes import ClassTable
from atrous.domain.errors import BadInput
from atrous.images.draw import draw_overlay, encode_png
from atrous.training.run_folder import RunFolder
from atrous.training.samples import TrainingSamples

logger = logging.getLogger(__name__)
SHOWN = 8  # crops at most
TILE_SIDE = 512  # pixels; of larger crops every second, third, ... pixel is shown
GAP = 4  # white pixels between crops


def write_augmented_picture(
    samples: TrainingSamples, epoch: int, scale: float, classes: ClassTable, run: RunFolder
) -> None:
    """Draw the first crops of an epoch, labels overlaid, into the run's folder.

    scale: how much shorter the sides of photos and crops are than planned.
    """
    path = run.path / "augmented.png"
    try:
        write_whole(path, encode_png(augmented_picture(samples, epoch, scale, classes)))
    except OSError as error:
        raise BadInput(
            f"{path} can't be written: {error.strerror}; free the disk or choose another folder"
        ) from error
    logger.info("a batch as the network sees it: %s", path)


def augmented_picture(
    samples: TrainingSamples, epoch: int, scale: float, classes: ClassTable
) -> UInt8[np.ndarray, "height width 3"]:
    """The crops that an epoch begins with, side by side: photo above, labels over it below.

    Pixels whose label is ignored are hatched in white.
    """
    count = min(SHOWN, samples.recipe.batch_size)
    pairs = [samples[(epoch, number, scale)] for number in samples.order(epoch)[:count]]
    names = classes.names
    tiles = []
    for photo, labels in pairs:
        step = math.ceil(max(labels.shape) / TILE_SIDE)
        image = np.ascontiguousarray(photo.permute(1, 2, 0).numpy()[::step, ::step])
        ids = np.ascontiguousarray(labels.numpy()[::step, ::step])
        overlay = _hatch_ignored(draw_overlay(image, ids, names), ids)
        tiles.append(np.concatenate([image, _white(GAP, image.shape[1]), overlay]))
    return _grid(tiles, columns=math.ceil(math.sqrt(2 * len(tiles))))


def _hatch_ignored(
    image: UInt8[np.ndarray, "height width 3"], ids: UInt8[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    rows, columns = np.indices(ids.shape)
    image[(ids == 255) & ((rows + columns) % 8 == 0)] = 255
    return image


def _grid(
    tiles: list[UInt8[np.ndarray, "height width 3"]], columns: int
) -> UInt8[np.ndarray, "grid_height grid_width 3"]:
    """Tiles of one size, row by row; the last row is filled up in white."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    grid = _white(rows * (height + GAP) - GAP, columns * (width + GAP) - GAP)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + GAP), (index % columns) * (width + GAP)
        grid[top : top + height, left : left + width] = tile
    return grid


def _white(height: int, width: int) -> UInt8[np.ndarray, "height width 3"]:
    return np.full((height, width, 3), 255, np.uint8)
