"""Decoded photos and labels in memory that a training and all processes that augment share."""

import mmap
import multiprocessing
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.domain.geometry import Size
from atrous.training.machine import free_memory_bytes

CACHE_BYTES = 8 * 1024**3  # at most, whatever the number of processes that augment
MEMORY_SHARE = 0.25  # of the free memory, at most
BYTES_PER_PIXEL = 4  # red, green, blue and the label

Pair = tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]


def cache_bytes(trainings: int = 1) -> int:
    """Room for photos in each of so many processes that train, on a machine with little memory."""
    return min(CACHE_BYTES, int(MEMORY_SHARE * free_memory_bytes() / trainings))


class PhotoCache:
    """Room for the first photos of a set, at one size, filled as they are read and never emptied.

    The memory is mapped once, before processes are forked, and all of them write into it: what one
    has read none reads again, also not those that are started for the next epoch. Pages that
    nobody has written take no memory.
    """

    def __init__(self, photos: int, size: Size, limit_bytes: int | None = None) -> None:
        self.size = size
        self.photo_bytes = BYTES_PER_PIXEL * size.area
        limit_bytes = cache_bytes() if limit_bytes is None else limit_bytes
        self.room = min(photos, limit_bytes // self.photo_bytes)
        self._memory = mmap.mmap(-1, max(1, self.room * (self.photo_bytes + 1)))
        bytes_of_all = np.frombuffer(self._memory, np.uint8)
        self._filled = bytes_of_all[: self.room]  # 1 where a photo is there
        self._pixels = bytes_of_all[self.room :]
        # Whoever sees a photo as filled also sees its pixels: the lock orders both.
        self._lock = multiprocessing.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """A process that was not forked from this one gets an empty cache of its own."""
        return PhotoCache, (self.room, self.size, self.room * self.photo_bytes)

    def __len__(self) -> int:
        """Photos that it holds."""
        with self._lock:
            return int(self._filled.sum())

    def get(self, index: int) -> Pair | None:
        """The photo and label of a number; None where they have to be read."""
        if index >= self.room:
            return None
        with self._lock:
            if not self._filled[index]:
                return None
        return self._place(index)

    def put(self, index: int, pair: Pair) -> None:
        """Keep a photo and its label, if there is room for this number."""
        if index >= self.room:
            return
        # Two processes may read a photo at once; both write the same bytes.
        for kept, given in zip(self._place(index), pair, strict=True):
            kept[:] = given
        with self._lock:
            self._filled[index] = 1

    def _place(self, index: int) -> Pair:
        start, area = index * self.photo_bytes, self.size.area
        height, width = self.size.height, self.size.width
        image = self._pixels[start : start + 3 * area].reshape(height, width, 3)
        labels = self._pixels[start + 3 * area : start + 4 * area].reshape(height, width)
        return image, labels
