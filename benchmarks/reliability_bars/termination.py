"""SIGTERM while more requests come than can be answered."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from serving.load import send_at_rate

from atrous.server.settings import ServerSettings
from reliability_bars.checked_client import Outcome, count, details
from reliability_bars.loaded_server import LoadedServer
from reliability_bars.overload import SPARE_CONNECTIONS

OVERLOAD = 2.0
ON_THE_WAY_S = 0.5  # a request sent so shortly before the signal may have come after it


@dataclass(frozen=True)
class TerminationResult:
    """What became of the requests before and after the signal."""

    accepted: int  # sent before the signal and not refused
    accepted_failed: int  # of these: no answer, or a wrong one
    late: int  # sent after the signal
    late_told: int  # 503 with Retry-After, or no server that listens any more
    late_failed: int
    exit_status: int
    seconds: float  # from the signal to the end of the process
    limit_s: float
    details: list[str]


def measure_termination(loaded: LoadedServer, capacity: float, seconds: float) -> TerminationResult:
    """Send twice the capacity, and the signal in the middle; the server ends by it."""
    settings = ServerSettings()
    places = settings.http_api_threadpool_workers + settings.max_waiting_requests
    outcomes: list[Outcome] = []
    ending = _Ending(loaded)
    timer = threading.Timer(seconds / 2, ending.end)
    timer.start()
    send_at_rate(loaded.clients(outcomes), OVERLOAD * capacity, seconds, places + SPARE_CONNECTIONS)
    timer.join()
    return judge_termination(
        outcomes, ending.signal_at, ending.status, ending.seconds, settings.drain_timeout_s
    )


class _Ending:
    """Sends the signal and waits for the end."""

    def __init__(self, loaded: LoadedServer) -> None:
        self._loaded = loaded
        self.signal_at, self.seconds, self.status = 0.0, 0.0, -1

    def end(self) -> None:
        self.signal_at = time.perf_counter()
        self.status = self._loaded.server.terminate()
        self.seconds = time.perf_counter() - self.signal_at


def judge_termination(
    outcomes: Sequence[Outcome],
    signal_at: float,
    exit_status: int,
    seconds: float,
    limit_s: float,
) -> TerminationResult:
    """Count what became of requests that were sent before the signal, and after it."""
    before = [outcome for outcome in outcomes if outcome.begin < signal_at]
    late = [outcome for outcome in outcomes if outcome.begin >= signal_at]
    on_the_way = [outcome for outcome in before if outcome.begin >= signal_at - ON_THE_WAY_S]
    fine = count(before, "right", "refused") + count(on_the_way, "draining")
    told = count(late, "draining", "unreachable")
    return TerminationResult(
        accepted=len(before) - count(before, "refused", "draining"),
        accepted_failed=len(before) - fine,
        late=len(late),
        late_told=told,
        late_failed=len(late) - told - count(late, "right", "refused"),
        exit_status=exit_status,
        seconds=seconds,
        limit_s=limit_s,
        details=details(outcomes),
    )
