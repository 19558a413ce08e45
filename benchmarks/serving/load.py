"""Many clients at once: as many as fit a number, or as fast as a clock says."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from serving.figures import percentile_ms

BUSY = 429
Run = tuple[float, float]  # begin and end of a request, in seconds since the load began


class Client(Protocol):
    """Who sends photos, one after the other, on a connection of its own."""

    def post(self) -> int:
        """Send one and give the status of the answer."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True)
class Throughput:
    """What some clients got who each sent a photo as soon as the last one was answered."""

    clients: int
    answered: int
    per_second: float
    median_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class Overload:
    """What came of requests sent at a rate that can't be kept up with."""

    rate: float  # sent per second
    sent: int
    answered: int
    refused_share: float  # answered 429
    other: int  # neither: must be 0
    p50_ms: float | None  # of those answered, from the moment each was due
    p99_ms: float | None


def throughput_of(turns: Sequence[Sequence[Run]], clients: int) -> Throughput:
    """Summarise the answered requests of one or more turns.

    >>> throughput_of([[(0.0, 1.0), (1.0, 1.5), (1.5, 2.0)]], 1).per_second
    2.0
    """
    durations = [end - begin for runs in turns for begin, end in runs]
    return Throughput(
        clients=clients,
        answered=len(durations),
        per_second=sum(answers_per_second(runs) for runs in turns) / len(turns),
        median_ms=percentile_ms(durations, 50),
        p95_ms=percentile_ms(durations, 95),
    )


def answers_per_second(runs: Sequence[Run]) -> float:
    """The rate between the first and the last answer of a turn, as long as all clients send.

    Counted so, neither the wait for the first answer nor the requests that are open at the end
    matter: fewer and fewer of those are in work at once. All answers count where fewer than two,
    or less than half, came before the last request was begun. A single one counts by the time it
    took, none as 0.

    >>> answers_per_second([(0.0, 1.0), (0.0, 1.5), (1.0, 2.0), (1.5, 2.5), (2.0, 4.0)])
    2.0
    """
    ends = sorted(end for _, end in runs)
    last_begin = max((begin for begin, _ in runs), default=0.0)
    loaded = [end for end in ends if end <= last_begin]
    if len(loaded) > 1 and 2 * len(loaded) >= len(ends):
        ends = loaded
    if len(ends) > 1 and ends[-1] > ends[0]:
        return (len(ends) - 1) / (ends[-1] - ends[0])
    return 1 / ends[0] if ends else 0.0


def keep_busy(connect: Callable[[], Client], clients: int, seconds: float) -> list[Run]:
    """Let `clients` send one request after the other; gives those begun within `seconds`.

    Each sends at least one, however short that is.
    """
    runs: list[Run] = []
    refusals: Counter[int] = Counter()
    barrier = threading.Barrier(clients + 1)
    stop = threading.Event()

    def work() -> None:
        with closing(connect()) as client:
            barrier.wait()
            while True:
                start = time.perf_counter()
                status = client.post()
                end = time.perf_counter()
                if status == 200:
                    runs.append((start - begun, end - begun))
                else:
                    refusals[status] += 1
                    stop.set()
                if stop.is_set():
                    return

    with ThreadPoolExecutor(clients) as threads:
        futures = [threads.submit(work) for _ in range(clients)]
        begun = time.perf_counter()
        barrier.wait()
        stop.wait(seconds)
        stop.set()
        for future in futures:
            future.result()
    if refusals:
        raise RuntimeError(f"{clients} clients were answered with statuses {dict(refusals)}")
    return runs


def send_at_rate(
    connect: Callable[[], Client], rate: float, seconds: float, connections: int
) -> Overload:
    """Send requests when they are due, whether or not earlier ones are answered.

    A request's time counts from the moment it was due, so that a slow server can't hide its
    slowness by keeping the clients from sending.
    """
    free: SimpleQueue[Client] = SimpleQueue()
    outcomes: list[tuple[int, float]] = []

    def work(due: float) -> None:
        client = free.get()
        status = client.post()
        outcomes.append((status, time.perf_counter() - due))
        free.put(client)

    with ExitStack() as stack, ThreadPoolExecutor(connections) as threads:
        for _ in range(connections):
            free.put(stack.enter_context(closing(connect())))
        begun = time.perf_counter()
        futures = []
        for index in range(max(int(rate * seconds), 1)):
            due = begun + index / rate
            time.sleep(max(due - time.perf_counter(), 0))
            futures.append(threads.submit(work, due))
        for future in futures:
            future.result()
    answered = [duration for status, duration in outcomes if status == 200]
    refused = sum(status == BUSY for status, _ in outcomes)
    return Overload(
        rate=rate,
        sent=len(outcomes),
        answered=len(answered),
        refused_share=refused / len(outcomes),
        other=len(outcomes) - len(answered) - refused,
        p50_ms=percentile_ms(answered, 50),
        p99_ms=percentile_ms(answered, 99),
    )
