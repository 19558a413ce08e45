"""What requests share while the server runs: settings, store, loaded models, worker threads."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

import anyio
from fastapi import Request

from atrous.runtime.segmenter import Segmenter
from atrous.server.failed_keys import FailedKeys
from atrous.server.lifecycle import Lifecycle
from atrous.server.loaded_models import LoadedModels
from atrous.server.metrics import Metrics
from atrous.server.settings import ServerSettings
from atrous.server.work_queue import WorkQueue
from atrous.store import Store
from atrous.store.api_keys import ApiKey

Result = TypeVar("Result")
LOOK_UP_THREADS = 4  # for short reads of the store


@dataclass
class Services:
    """One object per running app; opened and closed by `atrous.server.app`."""

    settings: ServerSettings
    store: Store
    models: LoadedModels
    metrics: Metrics
    work: WorkQueue
    failed_keys: FailedKeys
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    server_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        """Make the limiter: short reads have threads of their own."""
        self._look_ups = anyio.CapacityLimiter(LOOK_UP_THREADS)

    async def look_up(self, work: Callable[[], Result]) -> Result:
        """Run something short that reads files or the database, off the event loop."""
        return await anyio.to_thread.run_sync(work, limiter=self._look_ups)

    async def verify_key(self, secret: str) -> ApiKey | None:
        """Give the active key of this plain text.

        It is read from the store each time: a key revoked a moment ago is refused.
        """
        return await self.look_up(lambda: self.store.api_keys.verify(secret))

    async def load_model(self, model_id: str) -> Segmenter:
        """Give a model's network, loaded if need be, while other models go on answering.

        Who waits for a load holds no thread meanwhile.
        """
        future = await self.look_up(partial(self.models.request, model_id))
        return await asyncio.wrap_future(future)


def services_of(request: Request) -> Services:
    """Give the services of the app that received this request."""
    return cast(Services, request.app.state.services)
