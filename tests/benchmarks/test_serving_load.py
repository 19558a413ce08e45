import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from serving import load
from serving.load import BUSY, answers_per_second, keep_busy, send_at_rate, throughput_of

SERVICE_S = 0.02
PLACES = 3


class Clock:
    """Time that passes only where somebody is served, or sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(load, "time", SimpleNamespace(perf_counter=made, sleep=made.sleep))
    return made


class Queue:
    """A server that does one thing at a time, once each of its clients waits for something."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._one_at_a_time = ThreadPoolExecutor(1)  # in the order of arrival, unlike a lock
        self._changed = threading.Condition()
        self._clients = self._waiting = self.closed = 0

    def connect(self) -> "Queue":
        with self._changed:
            self._clients += 1
        return self

    def post(self) -> int:
        with self._changed:
            self._waiting += 1
            answer = self._one_at_a_time.submit(self._serve)
            self._changed.notify_all()
        return answer.result()

    def _serve(self) -> int:
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiting == self._clients, timeout=300)
            self._waiting -= 1
        self._clock.sleep(SERVICE_S)
        return 200

    def close(self) -> None:
        with self._changed:
            self._clients -= 1
            self.closed += 1
            self._changed.notify_all()


class Full:
    """A server of a few places, which it keeps until everybody has asked."""

    def __init__(self, requests: int) -> None:
        self._places = threading.BoundedSemaphore(PLACES)
        self._left = requests
        self._all_asked = threading.Event()
        self._lock = threading.Lock()
        self.closed = 0

    def post(self) -> int:
        has_place = self._places.acquire(blocking=False)
        with self._lock:
            self._left -= 1
            if not self._left:
                self._all_asked.set()
        if not has_place:
            return BUSY
        assert self._all_asked.wait(300)
        return 200

    def close(self) -> None:
        self.closed += 1


class Always:
    """Answers everything with one status, after a while."""

    def __init__(self, status: int, after_s: float = 0.0) -> None:
        self._status, self._after_s = status, after_s

    def post(self) -> int:
        time.sleep(self._after_s)
        return self._status

    def close(self) -> None:
        pass


def test_rate_is_between_the_first_and_the_last_answer() -> None:
    assert answers_per_second([(0.0, 5.0), (5.0, 6.0), (6.0, 7.0)]) == pytest.approx(1.0)
    assert answers_per_second([(0.0, 5.0), (5.0, 6.0)]) == pytest.approx(1.0)
    assert answers_per_second([(0.0, 4.0)]) == pytest.approx(0.25)
    assert answers_per_second([]) == 0


def test_turns_are_averaged_and_their_requests_pooled() -> None:
    turns = [[(0.0, 1.0), (1.0, 2.0)], [(0.0, 1.0), (1.0, 1.5), (1.5, 2.0)]]
    result = throughput_of(turns, clients=1)
    assert result.per_second == pytest.approx((1 + 2) / 2)
    assert result.answered == 5
    assert result.median_ms == pytest.approx(1000)


def test_more_clients_wait_longer_and_get_no_more_from_one_at_a_time(clock: Clock) -> None:
    results, closed = [], []
    for clients in (1, 4):
        queue = Queue(clock)
        results.append(throughput_of([keep_busy(queue.connect, clients, 0.05)], clients))
        closed.append(queue.closed)
    alone, together = results
    assert alone.per_second == pytest.approx(1 / SERVICE_S)
    assert together.per_second == pytest.approx(1 / SERVICE_S)
    assert alone.median_ms == pytest.approx(1000 * SERVICE_S)
    assert together.median_ms is not None
    assert together.median_ms > 2 * alone.median_ms
    assert closed == [1, 4]


def test_a_refused_request_is_not_throughput() -> None:
    with pytest.raises(RuntimeError, match="429"):
        keep_busy(lambda: Always(BUSY), 2, 0.1)


def test_overload_counts_refusals_and_keeps_them_out_of_the_times(clock: Clock) -> None:
    server = Full(requests=200)
    result = send_at_rate(lambda: server, 4 / SERVICE_S, 1.0, connections=10)
    assert (result.sent, result.answered, result.other) == (200, PLACES, 0)
    assert server.closed == 10
    assert result.refused_share == (200 - PLACES) / 200
    assert result.p50_ms is not None
    assert result.p50_ms > 900  # they were due in the first moments, and were answered at the end


def test_time_counts_from_when_a_request_was_due() -> None:
    # One connection: the second request can't be sent before the first is answered.
    result = send_at_rate(lambda: Always(200, after_s=0.2), 20.0, 0.1, connections=1)
    assert result.sent == 2
    assert result.p99_ms is not None
    assert result.p99_ms > 300
