"""Turns at a network: one run on all cores, or two side by side while many wait."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, runtime_checkable

from atrous.domain.errors import AtrousError
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.process_memory import give_back_freed

logger = logging.getLogger(__name__)


@runtime_checkable  # the tests check annotations while they run
class Closable(Protocol):
    """What can be freed."""

    def close(self) -> None:
        """Free it; it must not be used any more."""
        ...


Network = TypeVar("Network", bound=Closable)


class NetworkTurns(Generic[Network]):
    """Lends a network together with the cores that a run of it needs.

    A request alone is answered soonest on all cores. Where more wait than are served, two runs on
    half of the cores each answer more of them: no core waits for another after each layer, and
    what else takes a core for a moment, another program or an answer on its way, delays one run
    instead of all cores.
    """

    def __init__(
        self,
        alone: Network,
        threads: int,
        cores: CoreBudget,
        *,
        name: str = "a network",
        open_halved: Callable[[], Network] | None = None,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take a loaded network over, to be closed with this.

        threads: of one of its runs.
        name: for the log.
        open_halved: loads it once more, for two runs at once on half of the threads each. That is
            done in a thread when a crowd comes for the first time; runs go on alone until it is
            there. None: always alone.
        crowded: tells whether requests wait that nobody serves yet.
        """
        self._alone, self._threads, self._cores, self._name = alone, threads, cores, name
        self._open_halved, self._crowded = open_halved, crowded
        self._lock = threading.Lock()
        self._halved: Network | None = None  # loaded
        self._loader: threading.Thread | None = None  # of it; works once
        self._halved_runs = 0
        self._closed = False

    @property
    def is_there_twice(self) -> bool:
        """Whether the second network is in memory, too."""
        return self._halved is not None

    @contextmanager
    def take(self) -> Iterator[Network]:
        """Hold the network that is to be run, and its cores; waits for these."""
        halved = self._enter_halved()
        if halved is None:
            with self._cores.take(self._threads):
                yield self._alone
            return
        try:
            with self._cores.take(self._threads // 2):
                yield halved
        finally:
            with self._lock:
                self._halved_runs -= 1

    def _enter_halved(self) -> Network | None:
        """The network for two runs at once, counted as running; None: run alone.

        Beside one that runs there already, too: on all cores it would have to wait for that one,
        and a core would have nothing to do meanwhile.
        """
        if self._open_halved is None:
            return None
        with self._lock:
            if not (self._halved_runs or self._crowded()):
                return None
            if self._loader is None:
                arguments = (self._open_halved,)
                self._loader = threading.Thread(target=self._load, args=arguments, daemon=True)
                self._loader.start()
            self._halved_runs += self._halved is not None
            return self._halved

    def _load(self, open_halved: Callable[[], Network]) -> None:
        try:
            network = open_halved()
        except (AtrousError, RuntimeError, MemoryError, OSError) as error:
            # Requests are answered one after the other, as before.
            logger.warning("%s can't be loaded for two runs at once: %s", self._name, error)
            return
        give_back_freed()  # what only its compilation needed
        with self._lock:
            if not self._closed:
                self._halved = network
                logger.info("requests wait: %s is loaded for two runs at once, too", self._name)
                return
        network.close()

    def close(self) -> None:
        """Free the network; it must not be taken any more."""
        with self._lock:
            self._closed = True
            halved, self._halved = self._halved, None
        self._alone.close()
        if halved is not None:
            halved.close()
