"""What the requests for SAM 2 share: models, embeddings, names of photos, and queues of their own.

A click takes some ten milliseconds, a photo's encoding a second and more, a search for all objects
many seconds. Each has threads of its own, so that none waits behind a slower kind.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from atrous.runtime.core_budget import CoreBudget
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.models import Sam2Package
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server.loaded_sam2 import LoadedSam2
from atrous.server.metrics import Metrics
from atrous.server.names_in_work import NamesInWork
from atrous.server.sam2_image_ids import ImageIds
from atrous.server.sam2_logits import LogitsCache
from atrous.server.settings import ServerSettings
from atrous.server.work_queue import WorkQueue
from atrous.store.home import Home

Result = TypeVar("Result")
OpenSegmenter = Callable[[Sam2Package], InteractiveSegmenter]
READ_THREADS = 2  # for the bytes of photos and embeddings on the disk
SEARCH_THREADS = 1  # for all objects of a photo
MAX_IMAGE_IDS = 100_000
EMBEDDING_BYTES = 8 * 1024**2  # of every photo and model, in half precision


@dataclass
class Sam2Services:
    """One per app, part of its `Services`."""

    models: LoadedSam2
    embeddings: EmbeddingCache
    image_ids: ImageIds
    logits: LogitsCache
    encoders: WorkQueue
    decoders: WorkQueue
    searchers: WorkQueue
    # Of photos that are encoded just now: who names one, or sends another, waits for it.
    names_in_work: NamesInWork = field(default_factory=NamesInWork)

    def __post_init__(self) -> None:
        """Make the limiter of reads."""
        self._reads = anyio.CapacityLimiter(READ_THREADS)

    async def load(self, name: str) -> InteractiveSegmenter:
        """Give a model, loaded if need be; who waits for a load holds no thread meanwhile."""
        return await asyncio.wrap_future(self.models.request(name))

    async def read(self, work: Callable[[], Result]) -> Result:
        """Run what reads a photo's bytes or the disk, off the event loop."""
        return await anyio.to_thread.run_sync(work, limiter=self._reads)

    def clear(self) -> None:
        """Give up all models, and what was kept in memory for them."""
        self.models.clear()
        self.embeddings.clear()
        self.image_ids.clear()
        self.logits.clear()


def open_sam2(
    settings: ServerSettings,
    home: Home,
    metrics: Metrics,
    open_segmenter: OpenSegmenter | None = None,
    cores: CoreBudget | None = None,
) -> Sam2Services:
    """Bring together what requests for SAM 2 share; nothing is loaded yet.

    cores: shared with the networks of other models.
    """
    disk = home.sam2_embeddings if settings.sam2_embedding_disk_bytes else None
    queue = partial(WorkQueue, max_waiting=settings.max_waiting_requests, metrics=metrics)
    embeddings = EmbeddingCache(
        max_bytes=_most_embedding_bytes(settings),
        folder=disk,
        max_disk_bytes=settings.sam2_embedding_disk_bytes,
    )
    embeddings.make_room()  # the limit may have been lowered
    tiers = metrics.sam2_embedding_bytes
    tiers.labels("memory").set_function(lambda: embeddings.bytes_in_memory)
    tiers.labels("disk").set_function(lambda: embeddings.bytes_on_disk)
    decoders = queue(settings.sam2_decoder_threads)
    # One thread answers one prompt at a time, however many wait.
    crowded = decoders.is_crowded if settings.sam2_decoder_threads > 1 else lambda: False
    return Sam2Services(
        models=open_sam2_models(settings, home, open_segmenter, cores, crowded),
        embeddings=embeddings,
        image_ids=ImageIds(MAX_IMAGE_IDS, disk / "names" if disk else None),
        logits=LogitsCache(_most_logits(settings), metrics),
        encoders=queue(settings.sam2_encoder_threads),
        decoders=decoders,
        searchers=queue(SEARCH_THREADS),
    )


def _most_logits(settings: ServerSettings) -> int:
    return 0 if settings.disable_sam2_logits_cache else settings.sam2_max_logits_cache_size


def _most_embedding_bytes(settings: ServerSettings) -> int:
    """The lower of both bounds, where there are two."""
    in_bytes, count = settings.sam2_embedding_memory_bytes, settings.sam2_max_embedding_cache_size
    return min(in_bytes, count * EMBEDDING_BYTES) if count else in_bytes


def open_sam2_models(
    settings: ServerSettings,
    home: Home,
    open_segmenter: OpenSegmenter | None = None,
    cores: CoreBudget | None = None,
    crowded: Callable[[], bool] = lambda: False,
) -> LoadedSam2:
    """Give the models of a data folder, as the settings run them."""
    as_settings_say = partial(
        InteractiveSegmenter,
        engine=settings.engine,
        precision=settings.precision,
        cache_folder=Path(settings.model_cache_dir or home.cache),
        cores=cores or CoreBudget(),
        crowded=crowded,
    )
    return LoadedSam2(
        home.sam2_models,
        open_segmenter or as_settings_say,
        max_models=settings.sam2_max_active_models,
    )
