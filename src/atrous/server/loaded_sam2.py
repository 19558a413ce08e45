"""The SAM 2 models in memory: each loaded once, the least recently used given up first."""

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from atrous.domain.errors import NotFound, NotInstalled
from atrous.sam2.models import Sam2Package, find_package
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server.loaded_models import ListedModel

logger = logging.getLogger(__name__)

PREFIX = "sam2/"  # of their ids among those of other models
NAME = re.compile(r"(?P<variant>.*?)(-(?P<version>\d\.\d))?")


def is_sam2(model_id: str) -> bool:
    """Tell an id of a SAM 2 model from one of a trained model.

    >>> is_sam2("sam2/hiera_tiny"), is_sam2("shapes/1")
    (True, False)
    """
    return model_id.startswith(PREFIX)


class LoadedSam2:
    """SAM 2 models by size and, where it matters, version: `hiera_tiny`, `hiera_tiny-2.0`.

    An id of PREFIX and name means the same. A size alone is its newest version at the time of
    loading.
    """

    def __init__(
        self,
        folder: Path,
        open_segmenter: Callable[[Sam2Package], InteractiveSegmenter],
        *,
        max_models: int,
    ) -> None:
        """Serve the converted models of a folder, `max_models` of them at a time."""
        self._folder = folder
        self._open = open_segmenter
        self._max_models = max_models
        self._lock = threading.Lock()
        self._models: OrderedDict[str, Future[InteractiveSegmenter]] = OrderedDict()  # oldest first

    def request(self, name: str) -> "Future[InteractiveSegmenter]":
        """Give a future of the model, done at once where it is in memory.

        It fails with NotInstalled, whose text names the command that adds the model. A failed
        load is not remembered: the next call tries again.
        """
        name = name.removeprefix(PREFIX)
        with self._lock:
            future = self._models.get(name)
            if future is None:
                future = Future()
                future.set_running_or_notify_cancel()  # one who leaves can't cancel it for all
                self._models[name] = future
                threading.Thread(
                    target=self._fill, args=(name, future), name="load SAM 2", daemon=True
                ).start()
            self._models.move_to_end(name)
            return future

    def described(self) -> list[ListedModel]:
        """Give the models that are ready."""
        with self._lock:
            ready = {
                name: future.result() for name, future in self._models.items() if _is_ready(future)
            }
        return [
            ListedModel(PREFIX + name, segmenter.engine, "cpu", segmenter.precision)
            for name, segmenter in sorted(ready.items())
        ]

    def remove(self, name: str) -> None:
        """Give a model up; it is freed when the last request that holds it is answered."""
        with self._lock:
            self._models.pop(name.removeprefix(PREFIX), None)

    def clear(self) -> None:
        """Give all models up."""
        with self._lock:
            self._models.clear()

    def _fill(self, name: str, future: "Future[InteractiveSegmenter]") -> None:
        try:
            named = NAME.fullmatch(name)
            assert named is not None  # every text matches
            segmenter = self._open(self._find(named["variant"], named["version"]))
        except BaseException as error:  # noqa: BLE001 - it is raised to all who wait
            with self._lock:
                if self._models.get(name) is future:
                    del self._models[name]
            future.set_exception(error)
            return
        with self._lock:
            ready = [other for other, one in self._models.items() if _is_ready(one)]
            for other in ready[: max(0, len(ready) + 1 - self._max_models)]:
                del self._models[other]
                logger.info("SAM 2 %s left memory to make room", other)
        future.set_result(segmenter)

    def _find(self, variant: str, version: str | None) -> Sam2Package:
        try:
            return find_package(self._folder, variant, version)
        except NotFound as error:
            raise NotInstalled(str(error)) from None


def _is_ready(future: "Future[InteractiveSegmenter]") -> bool:
    return future.done() and not future.exception()
