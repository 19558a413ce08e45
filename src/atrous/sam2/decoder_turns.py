"""Turns at the decoder: one prompt on all cores, or two side by side while many wait."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atrous.domain.errors import AtrousError
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.process_memory import give_back_freed
from atrous.sam2.engine import Network

logger = logging.getLogger(__name__)


class DecoderTurns:
    """Lends the decoder together with the cores that a run of it needs.

    A click alone is answered soonest on all cores. Where more wait than are served, two runs on
    half of the cores each answer more of them: no core waits for another after each layer.
    """

    def __init__(
        self,
        decoder: Network,
        threads: int,
        cores: CoreBudget,
        *,
        open_halved: Callable[[], Network] | None = None,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take a loaded decoder over, to be closed with this.

        threads: of one of its runs.
        open_halved: loads it once more, for two runs at once on half of the threads each. That is
            done in a thread when a crowd comes for the first time; runs go on alone until it is
            there. None: always alone.
        crowded: tells whether requests wait that nobody serves yet.
        """
        self._alone, self._threads, self._cores = decoder, threads, cores
        self._open_halved, self._crowded = open_halved, crowded
        self._lock = threading.Lock()
        self._halved: Network | None = None  # loaded
        self._loader: threading.Thread | None = None  # of it; works once
        self._halved_runs = 0
        self._closed = False

    @contextmanager
    def take(self) -> Iterator[Network]:
        """Hold the decoder that is to be run, and its cores; waits for these."""
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
        """The decoder for two runs at once, counted as running; None: run alone.

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
            # Clicks are answered one after the other, as before.
            logger.warning("the decoder can't be loaded for two runs at once: %s", error)
            return
        give_back_freed()  # what only its compilation needed
        with self._lock:
            if not self._closed:
                self._halved = network
                logger.info("many clicks wait: the decoder is loaded for two runs at once, too")
                return
        network.close()

    def close(self) -> None:
        """Free the decoder; it must not be taken any more."""
        with self._lock:
            self._closed = True
            halved, self._halved = self._halved, None
        self._alone.close()
        if halved is not None:
            halved.close()
