"""What requests share while the server runs: settings, store, loaded models, worker threads."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

import anyio
from fastapi import Request

from atrous.domain.errors import NotFound
from atrous.runtime.segmenter import Segmenter
from atrous.server.decoded_pixels import DecodedPixels
from atrous.server.failed_keys import FailedKeys
from atrous.server.lifecycle import Lifecycle
from atrous.server.loaded_models import ListedModel, LoadedModels
from atrous.server.loaded_sam2 import is_sam2
from atrous.server.metrics import Metrics
from atrous.server.recent_reads import RecentReads
from atrous.server.sam2_services import Sam2Services
from atrous.server.settings import ServerSettings
from atrous.server.tracing import Traces
from atrous.server.waiting_bytes import WaitingBytes
from atrous.server.work_queue import WorkQueue
from atrous.store import Store
from atrous.store.api_keys import ApiKey, digest_of

Result = TypeVar("Result")
LOOK_UP_THREADS = 4  # for short reads of the store


@dataclass
class Services:
    """One object per running app; opened and closed by `atrous.server.app`."""

    settings: ServerSettings
    store: Store
    models: LoadedModels
    sam2: Sam2Services
    metrics: Metrics
    work: WorkQueue
    waiting_bytes: WaitingBytes
    decoded_pixels: DecodedPixels
    failed_keys: FailedKeys
    traces: Traces | None = None  # None: nobody collects them
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    server_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        """Make what is not given: threads of their own for short reads, and what these found."""
        self._look_ups = anyio.CapacityLimiter(LOOK_UP_THREADS)
        self._keys: RecentReads[ApiKey | None] = RecentReads()

    async def look_up(self, work: Callable[[], Result]) -> Result:
        """Run something short that reads files or the database, off the event loop."""
        return await anyio.to_thread.run_sync(work, limiter=self._look_ups)

    async def verify_key(self, secret: str) -> ApiKey | None:
        """Give the active key of this plain text, as the store had it at most a moment ago."""
        digest = digest_of(secret)  # no plain text stays in memory
        for key in self._keys.recent(digest):
            return key
        verify = partial(self.store.api_keys.verify, secret)
        return await self.look_up(partial(self._keys.get, digest, verify))

    async def load_model(self, model_id: str, key: ApiKey | None) -> Segmenter:
        """Give a model's network, loaded if need be, while other models go on answering.

        A key opens the models of its workspace alone; without keys (None) all are open. Who waits
        for a load holds no thread meanwhile.
        """
        workspace = workspace_of(key)
        for future in self.models.request_known(model_id, workspace):
            return await asyncio.wrap_future(future)
        request = partial(self.models.request, model_id, workspace)
        return await asyncio.wrap_future(await self.look_up(request))

    async def load_any(self, model_id: str, key: ApiKey | None = None) -> None:
        """Load the network of an id, a trained model's or `sam2/hiera_tiny`'s."""
        if is_sam2(model_id) and self.settings.has_sam2:
            await self.sam2.load(model_id)
        elif is_sam2(model_id):
            raise NotFound("SAM 2 is switched off here (CORE_MODEL_SAM2_ENABLED)")
        else:
            await self.load_model(model_id, key)

    def described(self, key: ApiKey | None = None) -> list[ListedModel]:
        """Give the networks in memory that a key opens, of every kind."""
        return [*self.models.described(workspace_of(key)), *self.sam2.models.described()]

    def drop(self, model_id: str, key: ApiKey | None = None) -> None:
        """Drop a network from memory; one that is not there is no error."""
        if is_sam2(model_id):
            self.sam2.models.remove(model_id)
        else:
            self.models.remove(model_id, workspace_of(key))

    def drop_all(self, key: ApiKey | None = None) -> None:
        """Drop all networks that a key opens from memory.

        Without keys also what clients called their photos and what was computed of them: with
        keys, that is of other workspaces as well.
        """
        if key is None:
            self.models.clear()
            self.sam2.clear()
        else:
            self.models.clear_workspace(key.workspace_id)
            self.sam2.models.clear()


def workspace_of(key: ApiKey | None) -> str | None:
    """Give the workspace that a key opens; None without keys: all of them."""
    return key.workspace_id if key else None


def key_of(request: Request) -> ApiKey | None:
    """Give the key that a request came with; None where the server asks for none."""
    return cast("ApiKey | None", request.state.api_key)


def services_of(request: Request) -> Services:
    """Give the services of the app that received this request."""
    return cast(Services, request.app.state.services)
