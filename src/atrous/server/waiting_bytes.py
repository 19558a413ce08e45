"""A limit on the bytes of all requests together that are not answered yet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atrous.domain.errors import Busy
from atrous.server.metrics import Metrics

FULL = "Too many bytes are waiting to be worked on; try again in a second."


class WaitingBytes:
    """Counts bodies and fetched pictures from their arrival to the answer.

    The queue's places bound the number of requests, for each model; this bounds the memory that
    requests for all models take while they wait. One event loop owns the object.
    """

    def __init__(self, max_bytes: int, metrics: Metrics) -> None:
        """Let requests hold `max_bytes` together."""
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._held = 0

    @contextmanager
    def account(self) -> Iterator[Callable[[int], None]]:
        """Give a function that holds more bytes until the block ends.

        It raises Busy where they are too many beside those of other requests.
        """
        held = 0

        def hold(count: int) -> None:
            nonlocal held
            if self._held + count > self._max_bytes:
                self._metrics.refused.inc()
                raise Busy(FULL)
            held += count
            self._add(count)

        try:
            yield hold
        finally:
            self._add(-held)

    def _add(self, count: int) -> None:
        self._held += count
        self._metrics.waiting_bytes.set(self._held)
