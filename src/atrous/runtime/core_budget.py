"""One set of cores for all requests of a process, so that their steps don't fight for it."""

import threading
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from atrous.runtime.processor import available_cores


@dataclass(order=True)
class _Turn:
    """A request's place among others: its age, and the cores that it holds now."""

    number: int
    held: int = field(default=0, compare=False)


class CoreBudget:
    """Lends cores to the steps of requests; who began first is served first.

    Engines keep threads per network, and know nothing of each other: with two networks on all
    cores at once, each waits for threads that the other has. The same goes for a network beside
    the decoding or encoding of another request: its threads wait for each other after every
    layer, so that a core taken from one of them is lost to all.
    """

    def __init__(self, cores: int | None = None) -> None:
        """Share out `cores`; None: all that the process may use."""
        self.cores = cores or available_cores()
        self._free = self.cores
        self._numbers = count()
        self._line: list[_Turn] = []  # who waits, the oldest first
        self._changed = threading.Condition()
        self._of_thread = threading.local()

    @contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        """Hold `wanted` cores, or all there are where that is more; waits for its turn.

        Inside another block of the same thread they replace what that one holds, as long as this
        one lasts: a request takes a core for all that it does, and more for its network. Its turn
        stays that of the outer block, so that what has begun is finished before newer requests.
        """
        outer: _Turn | None = getattr(self._of_thread, "turn", None)
        turn = outer or _Turn(next(self._numbers))
        before = turn.held
        self._exchange(turn, min(wanted, self.cores))
        self._of_thread.turn = turn
        try:
            yield
        finally:
            self._of_thread.turn = outer
            self._exchange(turn, before)

    def _exchange(self, turn: _Turn, wanted: int) -> None:
        """Hold so many instead of what is held: fewer at once, more when they are free."""
        with self._changed:
            if wanted > turn.held:
                self._wait_for(turn, wanted)
            self._free += turn.held - wanted
            turn.held = wanted
            self._changed.notify_all()

    def _wait_for(self, turn: _Turn, wanted: int) -> None:
        self._free += turn.held  # whoever holds some while it waits for more may wait for ever
        turn.held = 0
        insort(self._line, turn)
        self._changed.notify_all()
        try:
            self._changed.wait_for(lambda: self._line[0] is turn and self._free >= wanted)
        finally:
            self._line.remove(turn)
            self._changed.notify_all()  # there may be cores for the next in line, too
