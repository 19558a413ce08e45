"""Logits -> the most likely class of every pixel of a larger grid, and how likely it is.

The probabilities of all classes of a photo would be hundreds of megabytes. Here a few pixels at a
time are enlarged and reduced to two numbers each while they are in a core's registers, by machine
code (`pixel_kernel.py`) in several threads, each with a band of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8

from atrous.domain.predictions import Thresholds
from atrous.masks.shared_work import work_together
from atrous.runtime.machine_code import MachineCode
from atrous.runtime.processor import available_cores
from atrous.runtime.resampling import Resampling

TAPS = 3  # neighbours that the machine code mixes
LANES = 16  # columns that it compares together
BANDS_PER_CORE = 4  # so that one core, which others keep busy, does not keep the rest waiting
LARGEST = np.finfo(np.float32).max / 2  # instead of an infinite logit, which 0 times is no number
LEAST_ROWS = 16  # of a band: each enlarges the lines at its edges anew
PIXELS = MachineCode("pixel_kernel", ("vector_code",), {"write_pixels": 18})


@dataclass(frozen=True)
class PixelClasses:
    """What there is to know of each pixel; arrays to write into, or views of them."""

    label_map: UInt8[np.ndarray, "height width"]  # class ids
    confidence: Float32[np.ndarray, "height width"]  # probability of that class, 0..1

    def part(self, rows: slice, columns: slice = slice(None)) -> "PixelClasses":
        """Some of the rows and columns."""
        return PixelClasses(self.label_map[rows, columns], self.confidence[rows, columns])


@dataclass(frozen=True)
class Limit:
    """Pixels that are less sure than their class's threshold become `background_id`, with 0."""

    thresholds: Thresholds
    background_id: int

    def apply(self, pixels: PixelClasses) -> None:
        """Change what falls below, in place."""
        below = pixels.confidence < self._of(pixels.label_map)
        if below.any():
            np.copyto(pixels.label_map, self.background_id, where=below)
            np.copyto(pixels.confidence, 0, where=below)

    def of_class(self, class_id: int) -> float:
        """The least probability (0..1) of a class; 0 where none is given."""
        if not isinstance(self.thresholds, tuple):
            return self.thresholds
        return self.thresholds[class_id] if class_id < len(self.thresholds) else 0.0

    def _of(
        self, label_map: UInt8[np.ndarray, "height width"]
    ) -> float | Float32[np.ndarray, "height width"]:
        """The threshold of each pixel; one number where all classes have the same."""
        if not isinstance(self.thresholds, tuple):
            return self.thresholds
        if len(set(self.thresholds)) == 1:
            return self.thresholds[0]
        by_class = np.zeros(256, np.float32)
        by_class[: len(self.thresholds)] = self.thresholds
        return np.asarray(cv2.LUT(label_map, by_class), np.float32)


NO_LIMIT = Limit(0.0, 0)


def find_pixel_classes(
    logits: Float32[np.ndarray, "channels out_height out_width"],
    rows: Resampling,
    columns: Resampling,
    ids: UInt8[np.ndarray, " channels"],
    target: PixelClasses,
    limit: Limit = NO_LIMIT,
) -> None:
    """Enlarge the logits by `rows` and `columns`, and write each pixel's winner into `target`.

    ids: class id of each channel. Of equally likely channels the first wins. A single channel
    always wins; its confidence is its sigmoid. An infinite logit counts as a very large one.
    """
    if rows.taps > TAPS:  # of a photo much smaller than the network's input
        logits = rows.rows_of(np.clip(logits, -LARGEST, LARGEST))
        rows = Resampling(np.arange(rows.size), np.ones((rows.size, 1), np.float32))
    blocks = _Blocks.of(columns)
    work = _Work(
        kernel=PIXELS.load().result()["write_pixels"],
        logits=np.ascontiguousarray(logits),
        rows=rows.first,
        row_weights=rows.padded_weights(TAPS),
        blocks=blocks,
        width=columns.size,
        ids=ids.astype(np.int32),
        limits=np.array([limit.of_class(class_id) for class_id in range(256)], np.float32),
        has_one_limit=not isinstance(limit.thresholds, tuple),
        background_id=limit.background_id,
    )
    waiting = iter(_bands(rows.size))

    def write_bands() -> None:
        space = _Space.of(work)
        for band in waiting:  # shared by the threads: one that is free takes the next
            work.write(band, target, space)

    work_together(write_bands, available_cores() - 1)


@dataclass(frozen=True)
class _Blocks:
    """`LANES` columns of the result each, made of the same source columns by weights of their own.

    Weights of 0 fill up what other blocks need and what lies beyond the last column.
    """

    first: Int64[np.ndarray, " blocks"]  # of the source columns
    own_taps: Int64[np.ndarray, " blocks"]  # so many source columns have weights but 0
    weights: Float32[np.ndarray, "blocks taps 16"]

    @classmethod
    def of(cls, columns: Resampling) -> "_Blocks":
        first = columns.first[::LANES]
        column = np.arange(columns.size)
        before = columns.first - first[column // LANES]  # of its block's sources
        taps = int(before.max()) + columns.taps
        weights = np.zeros((len(first), taps, LANES), np.float32)
        for tap, of_tap in enumerate(columns.weights.T):
            weights[column // LANES, before + tap, column % LANES] = of_tap
        used = (weights != 0).max(axis=2)
        own_taps = taps - np.argmax(used[:, ::-1], axis=1)
        return cls(np.ascontiguousarray(first), own_taps.astype(np.int64), weights)

    @property
    def taps(self) -> int:
        """Source columns of a block."""
        return int(self.weights.shape[1])


@dataclass(frozen=True)
class _Work:
    """What the machine code reads, in the types and the order in memory that it was made for."""

    kernel: Callable[..., int]
    logits: Float32[np.ndarray, "channels out_height out_width"]
    rows: Int64[np.ndarray, " rows"]
    row_weights: Float32[np.ndarray, "rows 3"]
    blocks: _Blocks
    width: int
    ids: Int32[np.ndarray, " channels"]
    limits: Float32[np.ndarray, "256"]  # by class id
    has_one_limit: bool
    background_id: int

    def write(self, band: slice, target: PixelClasses, space: "_Space") -> None:
        """Write some rows of the target."""
        label_map, confidence = target.label_map, target.confidence
        sizes = [
            *(*self.logits.shape, band.start, band.stop, self.width, self.blocks.taps),
            *(label_map.strides[0], confidence.strides[0] // confidence.itemsize),
            *(self.background_id, self.has_one_limit),
        ]
        arrays = [
            *(np.array(sizes, np.int64), self.logits),
            *(self.rows, self.row_weights),
            *(self.blocks.first, self.blocks.own_taps, self.blocks.weights),
            *(self.ids, self.limits, label_map, confidence),
            *(space.lowered, space.mixed, space.highest),
            *(space.best, space.total, space.share, space.winner),
        ]
        self.kernel(*(array.ctypes.data for array in arrays))


@dataclass(frozen=True)
class _Space:
    """Memory of one thread, written anew for every row: fresh memory costs more than the work."""

    lowered: Float32[np.ndarray, "3 channels padded"]  # lines of logits, beyond their end
    mixed: Float32[np.ndarray, "channels padded"]  # a row of the result, as narrow as these
    highest: Float32[np.ndarray, " out_width"]  # of the channels
    best: Float32[np.ndarray, " lanes"]
    total: Float32[np.ndarray, " lanes"]  # of the exponentials
    share: Float32[np.ndarray, " lanes"]
    winner: Int32[np.ndarray, " lanes"]

    @classmethod
    def of(cls, work: _Work) -> "_Space":
        channels, _, out_width = work.logits.shape
        padded, lanes = out_width + work.blocks.taps, len(work.blocks.first) * LANES
        return cls(
            lowered=np.empty((TAPS, channels, padded), np.float32),
            mixed=np.empty((channels, padded), np.float32),
            highest=np.empty(out_width, np.float32),
            best=np.empty(lanes, np.float32),
            total=np.empty(lanes, np.float32),
            share=np.empty(lanes, np.float32),
            winner=np.empty(lanes, np.int32),
        )


def _bands(height: int) -> list[slice]:
    """The rows of the result in parts, some for each core."""
    step = max(-(-height // (BANDS_PER_CORE * available_cores())), LEAST_ROWS)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]
