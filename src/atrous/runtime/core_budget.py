"""One set of cores for all networks of a process, so that two of them don't fight for it."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from atrous.runtime.processor import available_cores


class CoreBudget:
    """Lends cores to networks while they run; first come, first served.

    Engines keep threads per network, and know nothing of each other: with two networks on all
    cores at once, each waits for threads that the other has. What is done around the networks
    (decode, preprocess, encode) needs no core of the budget and goes on meanwhile.
    """

    def __init__(self, cores: int | None = None) -> None:
        """Share out `cores`; None: all that the process may use."""
        self.cores = cores or available_cores()
        self._free = self.cores
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        """Hold `wanted` cores, or all there are where that is more; waits for its turn."""
        wanted = min(wanted, self.cores)
        self._wait_for(wanted)
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()

    def _wait_for(self, wanted: int) -> None:
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                self._changed.wait_for(lambda: self._line[0] is ticket and self._free >= wanted)
                self._free -= wanted
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()  # there may be cores for the next in line, too
