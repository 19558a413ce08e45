"""The loaded models of a server: each loaded once, the least recently used given up first."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from atrous.domain.errors import BadInput
from atrous.packages.directory import ModelPackage
from atrous.runtime.segmenter import Segmenter


class SegmenterPool:
    """At most `max_models` segmenters by model id, safe for many threads.

    Loading one model never keeps others waiting. A segmenter that leaves the pool is freed when
    the last prediction that holds it has ended, so its users need no lock.
    """

    def __init__(
        self,
        load: Callable[[str], ModelPackage],
        open_segmenter: Callable[[ModelPackage], Segmenter] = Segmenter,
        *,
        max_models: int = 8,
    ) -> None:
        """Set up an empty pool.

        load: reads the package of a model id; raises NotFound for an unknown one.
        open_segmenter: makes the segmenter, with the server's engine and precision.
        """
        if max_models < 1:
            raise BadInput(f"a pool of {max_models} models can't serve; give at least 1")
        self._load = load
        self._open_segmenter = open_segmenter
        self._max_models = max_models
        self._lock = threading.Lock()
        self._segmenters: OrderedDict[str, Future[Segmenter]] = OrderedDict()  # oldest use first

    def get(self, model_id: str) -> Segmenter:
        """The segmenter of a model, loaded if need be; a failure is raised to all who wait.

        A failed load is not remembered: the next call tries again.
        """
        with self._lock:
            future = self._segmenters.get(model_id)
            first = future is None
            if future is None:
                future = self._segmenters[model_id] = Future()
            self._segmenters.move_to_end(model_id)
        if first:
            self._fill(model_id, future)
        return future.result()

    def loaded(self) -> dict[str, Segmenter]:
        """The models that are ready, least recently used first."""
        with self._lock:
            return {
                model_id: future.result()
                for model_id, future in self._segmenters.items()
                if future.done() and not future.exception()
            }

    def remove(self, model_id: str) -> bool:
        """Give a model up; False where it was not there."""
        with self._lock:
            return self._segmenters.pop(model_id, None) is not None

    def clear(self) -> None:
        """Give all models up."""
        with self._lock:
            self._segmenters.clear()

    def _fill(self, model_id: str, future: Future[Segmenter]) -> None:
        try:
            segmenter = self._open_segmenter(self._load(model_id))
        except BaseException as error:
            with self._lock:
                if self._segmenters.get(model_id) is future:
                    del self._segmenters[model_id]
            future.set_exception(error)
            raise
        future.set_result(segmenter)
        self._evict()

    def _evict(self) -> None:
        with self._lock:
            ready = [model_id for model_id, future in self._segmenters.items() if future.done()]
            for model_id in ready[: max(0, len(ready) - self._max_models)]:
                del self._segmenters[model_id]
