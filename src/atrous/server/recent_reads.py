"""What was read from the store a moment ago: requests that follow each other need not read it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

FRESH_S = 0.5  # a revoked key is refused within a second, a removed model not found
MOST = 1024  # names come from clients


class RecentReads(Generic[Value]):
    """Values by name, each kept for half a second from when its read began. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._clock = clock
        self._lock = threading.Lock()
        self._reads: OrderedDict[str, tuple[float, Value]] = OrderedDict()  # oldest first

    def recent(self, name: str) -> tuple[Value, ...]:
        """Give the one value that was read a moment ago, or none."""
        with self._lock:
            found = self._reads.get(name)
            return (found[1],) if found and self._is_fresh(found[0]) else ()

    def get(self, name: str, read: Callable[[], Value]) -> Value:
        """Give the recent value, else read it. What `read` raises is raised, and not kept."""
        for value in self.recent(name):
            return value
        began = self._clock()
        value = read()
        with self._lock:
            self._reads.pop(name, None)
            self._reads[name] = began, value
            self._drop_old()
        return value

    def _drop_old(self) -> None:
        while self._reads:
            began, _ = next(iter(self._reads.values()))
            if len(self._reads) <= MOST and self._is_fresh(began):
                return
            self._reads.popitem(last=False)

    def _is_fresh(self, began: float) -> bool:
        return self._clock() - began <= FRESH_S
