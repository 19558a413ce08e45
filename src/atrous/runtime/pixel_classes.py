"""Logits -> the most likely class of every pixel of a larger grid, and how likely it is.

The probabilities of all classes of a photo would be hundreds of megabytes. Here a few rows at a
time are enlarged and reduced to two numbers a pixel while they lie in a core's cache, by several
threads, each with a band of rows.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from atrous.domain.predictions import Thresholds
from atrous.runtime.processor import available_cores
from atrous.runtime.resampling import Block, Resampling, multiply

STRIP_FLOATS = 1 << 17  # logits that are held enlarged at a time: half a core's cache or less
BAND_FLOATS = 1 << 18  # logits of the lines that a thread widens in one go, for several strips
SMALLEST = -80.0  # exponentials of less are denormal numbers, which take fifty times as long
WINDOW = 3  # taps of a Resampling that `_contenders` can vouch for
PAYING_GROWTH = 16  # pixels per logit from where finding the contenders takes less than it saves


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
    always wins; its confidence is its sigmoid.
    """
    contenders = _contenders(logits, rows, columns)
    blocks = columns.blocks()
    bands = iter(_bands(len(logits), rows, columns))

    def write_bands(_: int) -> None:
        space = _Space.of(len(logits), rows.size, columns.size)
        for band in bands:  # shared by the threads: one that is free takes the next
            sources = rows.sources(band)
            may_win = contenders[:, sources].any(axis=1)
            order = np.argsort(~may_win, kind="stable")  # contenders first, each part ascending
            lines = _comparable(logits[order, sources])
            far_apart = float(lines.min()) < SMALLEST
            for strip, scores in _enlarged_strips(_widen(lines, blocks), rows, band, space):
                part = target.part(strip)
                if len(logits) == 1:
                    _write_sigmoid(scores[:, 0], ids[0], part)
                    continue
                _write_winners(scores[:, : may_win.sum()], ids[order], part, space)
                _write_shares(scores, part, space, far_apart=far_apart)
            limit.apply(target.part(band))

    list(_threads().map(write_bands, range(available_cores())))


@lru_cache
def _threads() -> ThreadPoolExecutor:
    """The threads of all predictions of the process, which share them as in a queue."""
    return ThreadPoolExecutor(available_cores(), thread_name_prefix="pixels")


def _bands(channels: int, rows: Resampling, columns: Resampling) -> list[slice]:
    """The rows of the result, as many at a time as lines of logits fit the cache when widened."""
    lines = max(BAND_FLOATS // (channels * columns.size) - rows.taps, 1)
    height = max(lines * rows.size // int(rows.first[-1] + rows.taps), 1)
    return [slice(top, min(top + height, rows.size)) for top in range(0, rows.size, height)]


@dataclass(frozen=True)
class _Space:
    """Memory of one thread, written anew for every strip: fresh memory costs more than the work."""

    scores: Float32[np.ndarray, "rows channels width"]
    wins: UInt8[np.ndarray, "rows channels width"]
    best: Float32[np.ndarray, "rows width"]

    @classmethod
    def of(cls, channels: int, height: int, width: int) -> "_Space":
        rows = min(max(1, STRIP_FLOATS // (channels * width)), height)
        return cls(
            scores=np.empty((rows, channels, width), np.float32),
            wins=np.empty((rows, channels, width), np.uint8),
            best=np.empty((rows, width), np.float32),
        )


def _comparable(
    lines: Float32[np.ndarray, "channels lines out_width"],
) -> Float32[np.ndarray, "lines channels out_width"]:
    """Each line's channels next to each other, as differences from the highest of a place.

    The same is taken from all channels of a place, so no pixel's answer changes; and their
    exponentials are at most 1.
    """
    if len(lines) == 1:
        return lines.transpose(1, 0, 2)
    result = np.empty((lines.shape[1], lines.shape[0], lines.shape[2]), np.float32)
    np.subtract(lines.transpose(1, 0, 2), lines.max(axis=0)[:, None], out=result)
    return result


def _widen(
    lines: Float32[np.ndarray, "lines channels out_width"], blocks: list[Block]
) -> Float32[np.ndarray, "lines channels width"]:
    count, channels, out_width = lines.shape
    wide = np.empty((count, channels, blocks[-1].results.stop), np.float32)
    flat, flat_wide = lines.reshape(-1, out_width), wide.reshape(count * channels, -1)
    for block in blocks:
        multiply(flat[:, block.sources], block.weights, flat_wide[:, block.results])
    return wide


def _enlarged_strips(
    wide: Float32[np.ndarray, "lines channels width"], rows: Resampling, band: slice, space: _Space
) -> Iterator[tuple[slice, Float32[np.ndarray, "rows channels width"]]]:
    """Go through a band a few rows at a time; each step overwrites the scores of the last."""
    top = rows.sources(band).start
    for first in range(band.start, band.stop, len(space.scores)):
        strip = slice(first, min(first + len(space.scores), band.stop))
        block = rows.block(strip)
        lines = wide[block.sources.start - top : block.sources.stop - top]
        scores = space.scores[: strip.stop - strip.start]
        multiply(block.weights.T, lines.reshape(len(lines), -1), scores.reshape(len(scores), -1))
        yield strip, scores


def _write_winners(
    scores: Float32[np.ndarray, "rows contenders width"],
    ids: UInt8[np.ndarray, " channels"],
    target: PixelClasses,
    space: _Space,
) -> None:
    """Write the class of the highest score; leave that score in `space.best`."""
    rows, contenders, _ = scores.shape
    best = np.maximum.reduce(scores, axis=1, out=space.best[:rows])
    wins = space.wins[:rows, :contenders]
    np.equal(scores, best[:, None], out=wins.view(bool))
    # The first of equals gets the highest mark, and the highest mark wins.
    marks = 255 - np.arange(contenders, dtype=np.uint8)
    np.multiply(wins, marks[:, None], out=wins)
    class_of_mark = np.zeros(256, np.uint8)
    class_of_mark[marks] = ids[:contenders]
    target.label_map[:] = cv2.LUT(np.maximum.reduce(wins, axis=1), class_of_mark)


def _write_shares(
    scores: Float32[np.ndarray, "rows channels width"],
    target: PixelClasses,
    space: _Space,
    *,
    far_apart: bool,
) -> None:
    """Write the winner's exponential over the sum of all; overwrites `scores`."""
    best = space.best[: len(scores)]
    if far_apart:
        scores -= best[:, None]
        np.maximum(scores, SMALLEST, out=scores)
        best[:] = 0
    for values in (scores.reshape(1, -1), best):
        cv2.exp(values, values)  # NumPy's takes twice as long
    np.divide(best, np.add.reduce(scores, axis=1), out=target.confidence)


def _write_sigmoid(
    scores: Float32[np.ndarray, "rows width"], class_id: np.uint8, target: PixelClasses
) -> None:
    target.label_map[:] = class_id
    opposite = np.clip(-scores, SMALLEST, -SMALLEST)
    np.divide(1, 1 + np.exp(opposite), out=target.confidence)


def _contenders(
    logits: Float32[np.ndarray, "channels out_height out_width"],
    rows: Resampling,
    columns: Resampling,
) -> Bool[np.ndarray, "channels out_height"]:
    """Which channels may win a pixel that is made of this line of logits; all where unsure.

    A pixel is a weighted mean of neighbouring logits. So a channel whose highest logit among the
    neighbours is below the lowest of another channel can't win there: this is exact.
    """
    _, height, width = logits.shape
    pays = rows.size * columns.size >= PAYING_GROWTH * height * width
    if not pays or max(rows.taps, columns.taps) > WINDOW:
        return np.ones(logits.shape[:2], bool)
    window = np.ones((WINDOW, WINDOW), np.uint8)
    relative = logits - logits.max(axis=0)
    floor = np.full((height, width), -np.inf, np.float32)
    around = np.empty((height, width), np.float32)
    for plane in relative:
        cv2.max(floor, cv2.erode(plane, window, around), floor)
    may_win = np.empty((len(logits), height), bool)
    for plane, lines in zip(relative, may_win, strict=True):
        np.any(cv2.dilate(plane, window, around) >= floor, axis=1, out=lines)
    return may_win
