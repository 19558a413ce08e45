"""Clients by number, then three times as many requests as the server can answer."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from serving.load import Overload, answers_per_second, keep_busy, send_at_rate
from serving.process_memory import resident_mib

from atrous.server.settings import ServerSettings
from reliability_bars.checked_client import Outcome, count, details
from reliability_bars.loaded_server import LoadedServer

OVERLOAD = 3.0  # times the capacity
SPARE_CONNECTIONS = 32  # beyond those that the server lets wait
WINDOW_S = 10.0
FULL_TIMES = 2  # the load lasts at least so many times as long as the queue takes to be full


@dataclass(frozen=True)
class Level:
    """Answers per second with so many clients, of all turns."""

    clients: int
    per_second: list[float]
    failures: int  # answers that were not the idle server's, or none

    @property
    def mean(self) -> float:
        """Over all turns."""
        return float(np.mean(self.per_second))


@dataclass(frozen=True)
class OverloadResult:
    """What became of three times the capacity."""

    seconds: float
    capacity_before: float  # answers per second, closed loop
    capacity_after: float
    load: Overload
    goodput: float  # right answers per second while the queue was full
    windows: list[float]  # the same, in pieces of 10 s
    wrong_masks: int
    failures: int  # neither right nor refused as they should be
    details: list[str]
    places: int  # requests that the server takes at once
    refused_p99_ms: float | None  # from sending to the refusal
    still_held: dict[str, float]  # a second after the last answer
    resident_mib: tuple[float | None, float | None]  # before, after

    @property
    def capacity(self) -> float:
        """The mean of before and after: what else the machine did hits both."""
        return (self.capacity_before + self.capacity_after) / 2

    @property
    def bound_ms(self) -> float:
        """How long the last place in the queue waits at that capacity."""
        return 1000 * self.places / self.capacity


def measure_levels(
    loaded: LoadedServer, numbers: Sequence[int], turns: int, seconds: float
) -> list[Level]:
    """Let so many clients send, one request after the other; the numbers take turns."""
    rates: dict[int, list[float]] = {number: [] for number in numbers}
    failures = dict.fromkeys(numbers, 0)
    for _ in range(turns):
        for number in numbers:
            outcomes: list[Outcome] = []
            longest = max(seconds, math.sqrt(number))  # more clients need longer to get going
            runs = keep_busy(loaded.clients(outcomes), number, longest)
            rates[number].append(answers_per_second(runs))
            failures[number] += len(outcomes) - count(outcomes, "right")
    return [Level(number, rates[number], failures[number]) for number in numbers]


def measure_capacity(loaded: LoadedServer, clients: int, seconds: float) -> float:
    """Answers per second of so many clients; they never wait for a connection or a place."""
    return measure_levels(loaded, (clients,), 1, seconds)[0].mean


def measure_overload(
    loaded: LoadedServer, seconds: float, clients: int, capacity_s: float
) -> OverloadResult:
    """Send three times the capacity by the clock, whether or not earlier requests are answered."""
    settings = ServerSettings()
    places = settings.http_api_threadpool_workers + settings.max_waiting_requests
    server = loaded.server
    before = measure_capacity(loaded, clients, capacity_s)
    resident_before = resident_mib(server.pid)
    outcomes: list[Outcome] = []
    connections = places + SPARE_CONNECTIONS
    seconds = max(seconds, FULL_TIMES * places / ((OVERLOAD - 1) * before))
    load = send_at_rate(loaded.clients(outcomes), OVERLOAD * before, seconds, connections)
    time.sleep(1)
    held = loaded.still_held()
    resident_after = resident_mib(server.pid)
    after = measure_capacity(loaded, clients, capacity_s)
    begin, end = loaded_span(outcomes)
    refused = [outcome.end - outcome.begin for outcome in outcomes if outcome.kind == "refused"]
    return OverloadResult(
        seconds=seconds,
        capacity_before=before,
        capacity_after=after,
        load=load,
        goodput=goodput(outcomes, begin, end),
        windows=windows(outcomes, begin, end),
        wrong_masks=count(outcomes, "wrong"),
        failures=len(outcomes) - count(outcomes, "right", "refused"),
        details=details(outcomes),
        places=places,
        refused_p99_ms=float(np.percentile(refused, 99)) * 1000 if refused else None,
        still_held=held,
        resident_mib=(resident_before, resident_after),
    )


def loaded_span(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """From the first refusal, when the queue was full, to the last request that was sent.

    Without any refusal from the first request on.
    """
    begins = [outcome.begin for outcome in outcomes]
    full = [outcome.begin for outcome in outcomes if outcome.kind == "refused"]
    return min(full or begins), max(begins)


def goodput(outcomes: Sequence[Outcome], begin: float, end: float) -> float:
    """Right answers per second between two moments; refusals and wrong masks don't count.

    >>> goodput([Outcome(0, 1, "right", 200), Outcome(0, 2, "refused", 429)], 0, 2)
    0.5
    """
    if end <= begin:
        raise ValueError(f"the span from {begin} to {end} has no length; send for longer")
    right = sum(outcome.kind == "right" and begin < outcome.end <= end for outcome in outcomes)
    return right / (end - begin)


def windows(outcomes: Sequence[Outcome], begin: float, end: float) -> list[float]:
    """Goodput in whole pieces of WINDOW_S: whether it falls the longer the load lasts."""
    number = int((end - begin) / WINDOW_S)
    starts = [begin + index * WINDOW_S for index in range(number)]
    return [round(goodput(outcomes, start, start + WINDOW_S), 3) for start in starts]
