"""The SAM 2 models in memory: each loaded once, the least recently used given up first."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from atrous.domain.errors import AtrousError, NotFound, NotInstalled
from atrous.sam2.models import Sam2Package, find_by_name, state_of
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server.loaded_models import ListedModel

logger = logging.getLogger(__name__)

PREFIX = "sam2/"  # of their ids among those of other models
State = tuple[str, int, int] | None  # of a package on the disk


def is_sam2(model_id: str) -> bool:
    """Tell an id of a SAM 2 model from one of a trained model.

    >>> is_sam2("sam2/hiera_tiny"), is_sam2("shapes/1")
    (True, False)
    """
    return model_id.startswith(PREFIX)


@dataclass(eq=False)
class _Loaded:
    """A model that is loaded, or is being loaded, and the package that it is from."""

    future: "Future[InteractiveSegmenter]"
    state: State
    newer: State = None  # the package that is loaded to take its place, or that can't be

    @property
    def is_ready(self) -> bool:
        return self.future.done() and not self.future.exception()


class LoadedSam2:
    """SAM 2 models by size and, where it matters, version: `hiera_tiny`, `hiera_tiny-2.0`.

    An id of PREFIX and name means the same. A size alone is its newest version, and names of one
    package share what is loaded. One that is added later, or converted anew, is loaded with the
    next request, and takes over when it is ready; one that can't be loaded leaves the old one
    serving, as does one that is removed.
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
        self._models: OrderedDict[str, _Loaded] = OrderedDict()  # least recently used first

    def request(self, name: str) -> "Future[InteractiveSegmenter]":
        """Give a future of the model, done at once where it is in memory.

        It fails with NotInstalled, whose text names the command that adds the model. A failed
        load is not remembered: the next call tries again.
        """
        name = name.removeprefix(PREFIX)
        state = state_of(self._folder, name)
        with self._lock:
            known = self._models.get(name) or self._of_package(state)
            if known is None:
                known = _Loaded(Future(), state)
                known.future.set_running_or_notify_cancel()  # who leaves can't cancel it for all
                _in_thread(self._fill, name, known)
            elif known.is_ready and state not in (None, known.state, known.newer):
                known.newer = state
                _in_thread(self._replace, name, known)
            self._models[name] = known
            self._models.move_to_end(name)
            return known.future

    def _of_package(self, state: State) -> _Loaded | None:
        same = (one for one in self._models.values() if state is not None and one.state == state)
        return next(same, None)

    def _names_of(self, model: _Loaded) -> list[str]:
        return [name for name, one in self._models.items() if one is model]

    def described(self) -> list[ListedModel]:
        """Give the models that are ready."""
        with self._lock:
            models = [(name, one.future) for name, one in self._models.items() if one.is_ready]
        ready = [(name, future.result()) for name, future in sorted(models, key=itemgetter(0))]
        return [
            ListedModel(PREFIX + name, segmenter.engine, "cpu", segmenter.precision)
            for name, segmenter in ready
        ]

    def remove(self, name: str) -> None:
        """Give a model up; it is freed when the last request that holds it is answered."""
        with self._lock:
            self._models.pop(name.removeprefix(PREFIX), None)

    def clear(self) -> None:
        """Give all models up."""
        with self._lock:
            self._models.clear()

    def _fill(self, name: str, loading: _Loaded) -> None:
        try:
            segmenter = self._open(self._find(name))
        except BaseException as error:  # noqa: BLE001 - it is raised to all who wait
            with self._lock:
                for each in self._names_of(loading):
                    del self._models[each]
            loading.future.set_exception(error)
            return
        with self._lock:
            # Each once, where the last of its names stands.
            ready = list(
                dict.fromkeys(one for one in reversed(self._models.values()) if one.is_ready)
            )
            for unused in ready[max(0, self._max_models - 1) :]:
                for each in self._names_of(unused):
                    del self._models[each]
                    logger.info("SAM 2 %s left memory to make room", each)
        loading.future.set_result(segmenter)

    def _replace(self, name: str, old: _Loaded) -> None:
        loaded = old.future.result().package
        try:
            package = self._find(name)
            if package.networks_digest == loaded.networks_digest:
                return  # the newest one is damaged
            segmenter = self._open(package)
        except (AtrousError, RuntimeError, OSError, MemoryError) as error:
            logger.error("SAM 2 %s goes on as it was, its new package fails: %s", name, error)
            return
        new = _Loaded(Future(), old.newer)
        new.future.set_result(segmenter)
        with self._lock:
            for each in self._names_of(old):  # that nobody removed meanwhile
                if state_of(self._folder, each) == old.newer:
                    self._models[each] = new
                    logger.info("SAM 2 %s is now %s", each, segmenter.package.name)

    def _find(self, name: str) -> Sam2Package:
        try:
            return find_by_name(self._folder, name)
        except NotFound as error:
            raise NotInstalled(str(error)) from None


def _in_thread(work: Callable[[str, _Loaded], None], name: str, model: _Loaded) -> None:
    threading.Thread(target=work, args=(name, model), name="load SAM 2", daemon=True).start()
