"""A limit on the pixels of all pictures that are decoded and in work at the same time."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atrous.images.decode import image_size
from atrous.server.work_queue import stop_if_unwanted

LOOK_EVERY_S = 0.5  # whether somebody still waits for the answer


class DecodedPixels:
    """Lends pixels to worker threads, first come, first served, by what a picture's header says.

    Threads bound how many pictures are in work; this bounds the memory that they take.
    """

    def __init__(self, max_pixels: int, max_image_pixels: int) -> None:
        """Let pictures have `max_pixels` together; one that is larger is in work alone.

        max_image_pixels: of one picture; those over it are refused by who decodes them.
        """
        self._max_pixels = max_pixels
        self._max_image_pixels = max_image_pixels
        self._free = max_pixels
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def of_picture(self, file_bytes: bytes) -> Iterator[None]:
        """Hold the pixels of a picture's file until the block ends; BadImage where it is none."""
        pixels = image_size(file_bytes, max_pixels=self._max_image_pixels).area
        with self.take(pixels if pixels <= self._max_image_pixels else 0):
            yield

    @contextmanager
    def take(
        self, pixels: int, stop_if_unwanted: Callable[[], None] = stop_if_unwanted
    ) -> Iterator[None]:
        """Hold so many pixels, in a worker thread; waits for its turn.

        stop_if_unwanted: what it raises while it waits ends the waiting.
        """
        pixels = min(pixels, self._max_pixels)
        self._wait_for(pixels, stop_if_unwanted)
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()

    def _wait_for(self, pixels: int, stop_if_unwanted: Callable[[], None]) -> None:
        turn = object()
        with self._changed:
            self._line.append(turn)
            try:
                while self._line[0] is not turn or self._free < pixels:
                    self._changed.wait(LOOK_EVERY_S)
                    stop_if_unwanted()
                self._free -= pixels
            finally:
                self._line.remove(turn)
                self._changed.notify_all()  # there may be enough for the next in line, too
