"""One photo at a time is put under a client's name for it: the first that comes has the name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class NamesInWork:
    """A lock for each name that is in work, within one owner; one event loop owns the object."""

    def __init__(self) -> None:
        """Begin without any."""
        self._locks: dict[tuple[str, str], anyio.Lock] = {}
        self._users: dict[tuple[str, str], int] = {}  # who has the lock, and who waits for it

    def __len__(self) -> int:
        """How many names are in work."""
        return len(self._locks)

    def is_held(self, owner: str, name: str) -> bool:
        """Tell whether a name is in work."""
        return (owner, name) in self._locks

    @asynccontextmanager
    async def hold(self, owner: str, name: str) -> AsyncIterator[None]:
        """Hold a name when it is free; who waits gets it in turn."""
        key = (owner, name)
        lock = self._locks.setdefault(key, anyio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:  # names come from clients: only those in use are kept
                del self._locks[key], self._users[key]
