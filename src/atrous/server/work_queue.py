"""Heavy work in a few threads: a bounded queue per model, the models served in turn."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from atrous.domain.errors import Busy
from atrous.server.metrics import Metrics

Result = TypeVar("Result")


class WorkQueue:
    """Runs heavy functions; refuses at once what would wait too long.

    A request takes a place in its model's queue before its picture is read, and keeps it until it
    is answered. Threads that become free go to the models in turn, so that a model that is asked
    too much delays itself and hardly any other. One event loop owns the object.
    """

    def __init__(self, threads: int, max_waiting: int, metrics: Metrics) -> None:
        """Run `threads` functions at once and let `max_waiting` more wait for each model."""
        self._free_threads = threads
        self._threads = anyio.CapacityLimiter(threads)
        self._places_per_model = threads + max_waiting
        self._taken: Counter[str] = Counter()  # places, by model
        self._waiting: OrderedDict[str, deque[anyio.Event]] = OrderedDict()  # next model first
        self._metrics = metrics

    def is_crowded(self) -> bool:
        """Tell whether requests wait for a thread; may be asked in any thread."""
        return bool(self._waiting)

    def is_full(self, model: str) -> bool:
        """Tell whether all of a model's places are taken."""
        return self._taken[model] >= self._places_per_model

    @contextmanager
    def place(self, model: str) -> Iterator[None]:
        """Hold one of the model's places, or raise Busy where all are taken."""
        if self.is_full(model):
            self._metrics.refused.inc()
            raise Busy("Too many requests are waiting for this model; try again in a second.")
        self._taken[model] += 1
        self._metrics.queue_depth.inc()
        try:
            yield
        finally:
            self._metrics.queue_depth.dec()
            self._taken[model] -= 1
            if not self._taken[model]:  # names come from clients: only those in use are kept
                del self._taken[model]

    async def run(self, model: str, work: Callable[[], Result]) -> Result:
        """Run a function in a thread when it is the model's turn.

        Cancelled while it waits, it never runs; later, it ends at its next `stop_if_unwanted`.
        """
        await self._wait_for_turn(model)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._pass_on()

    async def _wait_for_turn(self, model: str) -> None:
        if self._free_threads:
            self._free_threads -= 1
            return
        turn = anyio.Event()
        self._waiting.setdefault(model, deque()).append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # cancelled just when its turn had come
                self._pass_on()
            else:
                self._waiting[model].remove(turn)
                if not self._waiting[model]:
                    del self._waiting[model]
            raise

    def _pass_on(self) -> None:
        """Give a thread that became free to the next model."""
        if not self._waiting:
            self._free_threads += 1
            return
        model, turns = next(iter(self._waiting.items()))
        turns.popleft().set()
        if turns:
            self._waiting.move_to_end(model)
        else:
            del self._waiting[model]


def stop_if_unwanted() -> None:
    """Between two stages of work in a thread: end here where nobody waits for the answer."""
    anyio.from_thread.check_cancelled()
