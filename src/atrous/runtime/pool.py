"""The loaded models of a server: each loaded once, the least recently used given up first."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from atrous.domain.errors import BadInput
from atrous.packages.directory import ModelPackage
from atrous.runtime.process_memory import GrowthMeter, give_back_freed
from atrous.runtime.segmenter import Segmenter

logger = logging.getLogger(__name__)

LOADS_AT_ONCE = 4
COPIES_OF_WEIGHTS = 3  # the engine's own, packed for the processor, and room while it compiles
BYTES_PER_INPUT_PIXEL = 512  # layers in between: 128 floats for each pixel of the network's input
ROUNDING_BYTES = 16 << 20  # a measured growth is rounded up to a multiple of this


def bytes_of(segmenter: Segmenter, grown: int | None = None) -> int:
    """The memory that a loaded network takes.

    grown: by how much the process grew while it was loaded, which is taken, rounded up to 16 MiB;
        at least the size of its weights, as memory that others freed meanwhile is in it, too.
        None, where another load went on beside it: an estimate from weights and input size.
    """
    package = segmenter.package
    weights = package.weights.stat().st_size
    if grown is None:
        return COPIES_OF_WEIGHTS * weights + BYTES_PER_INPUT_PIXEL * package.preprocess.size.area
    return -(-max(grown, weights) // ROUNDING_BYTES) * ROUNDING_BYTES


class SegmenterPool:
    """Segmenters by model id, bounded in number and in bytes, safe for many threads.

    Each load runs in a thread of the pool, so that it goes on when who asked for it has left, and
    loading one model never keeps the users of others waiting. A segmenter that leaves the pool is
    freed when the last prediction that holds it has ended, so its users need no lock.
    """

    def __init__(
        self,
        load: Callable[[str], ModelPackage],
        open_segmenter: Callable[[ModelPackage], Segmenter] = Segmenter,
        *,
        max_models: int = 8,
        max_bytes: int | None = None,
        bytes_of: Callable[[Segmenter, int | None], int] = bytes_of,
    ) -> None:
        """Set up an empty pool.

        load: reads the package of a model id; raises NotFound for an unknown one.
        open_segmenter: makes the segmenter, with the server's engine and precision.
        max_bytes: of all segmenters together, as `bytes_of` says; one is always kept.
        """
        if max_models < 1:
            raise BadInput(f"a pool of {max_models} models can't serve; give at least 1")
        self._load = load
        self._open_segmenter = open_segmenter
        self._max_models = max_models
        self._max_bytes = max_bytes
        self._bytes_of = bytes_of
        self._lock = threading.Lock()
        self._loads = threading.BoundedSemaphore(LOADS_AT_ONCE)
        self._growth = GrowthMeter()
        self._segmenters: OrderedDict[str, Future[Segmenter]] = OrderedDict()  # oldest use first
        self._bytes: dict[str, int] = {}  # of those that are ready
        self._pinned: set[str] = set()  # stay when others need their room

    def get(self, model_id: str) -> Segmenter:
        """The segmenter of a model, loaded if need be; a failure is raised to all who wait.

        A failed load is not remembered: the next call tries again.
        """
        return self.request(model_id).result()

    def request(self, model_id: str, *, pinned: bool = False) -> "Future[Segmenter]":
        """`get` without waiting: a future that is done at once for a model that is ready.

        A model that was asked for as `pinned` is not given up for others, until it is removed.
        """
        with self._lock:
            if pinned:
                self._pinned.add(model_id)
            future = self._segmenters.get(model_id)
            if future is None:
                future = Future()
                future.set_running_or_notify_cancel()  # one who leaves can't cancel it for all
                self._segmenters[model_id] = future
                threading.Thread(
                    target=self._fill, args=(model_id, future), name="load", daemon=True
                ).start()
            self._segmenters.move_to_end(model_id)
            return future

    def loaded(self) -> dict[str, Segmenter]:
        """The models that are ready, least recently used first."""
        with self._lock:
            return {
                model_id: future.result()
                for model_id, future in self._segmenters.items()
                if future.done() and not future.exception()
            }

    @property
    def bytes_in_use(self) -> int:
        """What the models that are ready take together."""
        with self._lock:
            return self._total()

    def _total(self) -> int:
        ready = [self._segmenters[name] for name in self._bytes]
        for_crowds = sum(future.result().bytes_for_crowds for future in ready if future.done())
        return sum(self._bytes.values()) + for_crowds

    def remove(self, model_id: str) -> bool:
        """Give a model up; False where it was not there."""
        with self._lock:
            self._bytes.pop(model_id, None)
            self._pinned.discard(model_id)
            removed = self._segmenters.pop(model_id, None) is not None
        give_back_freed()
        return removed

    def clear(self) -> None:
        """Give all models up."""
        with self._lock:
            self._segmenters.clear()
            self._bytes.clear()
            self._pinned.clear()
        give_back_freed()

    def _fill(self, model_id: str, future: "Future[Segmenter]") -> None:
        try:
            with self._loads:
                segmenter, grown = self._open(model_id)
            size_bytes = self._bytes_of(segmenter, grown)
        except BaseException as error:  # noqa: BLE001 - it is raised to all who wait
            with self._lock:
                if self._segmenters.get(model_id) is future:
                    del self._segmenters[model_id]
            future.set_exception(error)
            return
        with self._lock:
            if self._segmenters.get(model_id) is future:  # else removed in the meantime
                self._bytes[model_id] = size_bytes
                self._evict(model_id)
        future.set_result(segmenter)

    def _open(self, model_id: str) -> tuple[Segmenter, int | None]:
        """A segmenter, and by how much the process grew, where that can be told."""
        mark = self._growth.begin()
        try:
            segmenter = self._open_segmenter(self._load(model_id))
        finally:
            grown = self._growth.end(mark)
        return segmenter, grown

    def _evict(self, newest: str) -> None:
        """Give up models until number and bytes fit; pinned ones and the newest always stay."""
        for model_id in [name for name in self._segmenters if name in self._bytes]:
            total = self._total()
            too_large = self._max_bytes is not None and total > self._max_bytes
            if model_id == newest or model_id in self._pinned:
                continue
            if not (too_large or len(self._bytes) > self._max_models):
                continue
            del self._segmenters[model_id], self._bytes[model_id]
            logger.info("model %s left memory: %d bytes were in use", model_id, total)
        if self._max_bytes is not None and self._bytes[newest] > self._max_bytes:
            logger.warning(
                "one model alone takes about %d bytes, more than the %d allowed",
                self._bytes[newest],
                self._max_bytes,
            )
