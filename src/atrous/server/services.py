"""What requests share while the server runs: settings, store, loaded models, worker threads."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import anyio
from fastapi import Request

from atrous.domain.errors import Busy
from atrous.runtime.segmenter import Segmenter
from atrous.server.loaded_models import LoadedModels
from atrous.server.metrics import Metrics
from atrous.server.settings import ServerSettings
from atrous.store import Store
from atrous.store.api_keys import ApiKey

Result = TypeVar("Result")
LOOK_UP_THREADS = 4  # for short reads of the store
LOAD_THREADS = 8


class WorkQueue:
    """Runs heavy functions in a few threads; refuses at once what would wait too long."""

    def __init__(self, threads: int, max_waiting: int, metrics: Metrics) -> None:
        """Run `threads` functions at once and let `max_waiting` more wait."""
        self._limiter = anyio.CapacityLimiter(threads)
        self._capacity = threads + max_waiting
        self._accepted = 0
        self._metrics = metrics

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run a function in a thread, or raise Busy where the queue is full."""
        if self._accepted >= self._capacity:
            raise Busy("Too many requests are waiting; try again in a second.")
        self._accepted += 1
        self._metrics.queue_depth.set(self._accepted)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._accepted -= 1
            self._metrics.queue_depth.set(self._accepted)


@dataclass
class Services:
    """One object per running app; opened and closed by `atrous.server.app`."""

    settings: ServerSettings
    store: Store
    models: LoadedModels
    metrics: Metrics
    work: WorkQueue
    server_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        """Make the limiters: short reads never wait behind models that are being loaded."""
        self._look_ups = anyio.CapacityLimiter(LOOK_UP_THREADS)
        self._loads = anyio.CapacityLimiter(LOAD_THREADS)

    async def look_up(self, work: Callable[[], Result]) -> Result:
        """Run something short that reads files or the database, off the event loop."""
        return await anyio.to_thread.run_sync(work, limiter=self._look_ups)

    async def verify_key(self, secret: str) -> ApiKey | None:
        """Give the active key of this plain text.

        It is read from the store each time: a key revoked a moment ago is refused.
        """
        return await self.look_up(lambda: self.store.api_keys.verify(secret))

    async def load_model(self, model_id: str) -> Segmenter:
        """Give a model's network, loaded if need be, while other models go on answering."""
        return await anyio.to_thread.run_sync(self.models.get, model_id, limiter=self._loads)


def services_of(request: Request) -> Services:
    """Give the services of the app that received this request."""
    return cast(Services, request.app.state.services)
