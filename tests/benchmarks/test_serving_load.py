import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving.load import BUSY, answers_per_second, keep_busy, send_at_rate, throughput_of

SERVICE_S = 0.02


class Queue:
    """A server that does one thing at a time and refuses what would wait too long."""

    def __init__(self, places: int) -> None:
        self._one_at_a_time = ThreadPoolExecutor(1)  # in the order of arrival, unlike a lock
        self.closed = 0  # connections to it
        self._places = threading.BoundedSemaphore(places)

    def post(self) -> int:
        if not self._places.acquire(blocking=False):
            return BUSY
        try:
            self._one_at_a_time.submit(time.sleep, SERVICE_S).result()
            return 200
        finally:
            self._places.release()

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
    assert answers_per_second([(0.0, 4.0)]) == pytest.approx(0.25)
    assert answers_per_second([]) == 0


def test_turns_are_averaged_and_their_requests_pooled() -> None:
    turns = [[(0.0, 1.0), (1.0, 2.0)], [(0.0, 1.0), (1.0, 1.5), (1.5, 2.0)]]
    result = throughput_of(turns, clients=1)
    assert result.per_second == pytest.approx((1 + 2) / 2)
    assert result.answered == 5
    assert result.median_ms == pytest.approx(1000)


def test_more_clients_wait_longer_and_get_no_more_from_one_at_a_time() -> None:
    queue = Queue(places=8)
    results = [
        throughput_of([keep_busy(lambda: queue, clients, 0.5)], clients) for clients in (1, 4)
    ]
    alone, together = results
    assert 0 < alone.per_second <= 1 / SERVICE_S
    assert together.per_second <= 1 / SERVICE_S * 1.2
    assert alone.median_ms is not None
    assert together.median_ms is not None
    assert together.median_ms > 2 * alone.median_ms
    assert queue.closed == 1 + 4


def test_a_refused_request_is_not_throughput() -> None:
    with pytest.raises(RuntimeError, match="429"):
        keep_busy(lambda: Always(BUSY), 2, 0.1)


def test_overload_counts_refusals_and_keeps_them_out_of_the_times() -> None:
    queue = Queue(places=3)
    result = send_at_rate(lambda: queue, 4 / SERVICE_S, 1.0, connections=10)
    assert result.sent == 200
    assert queue.closed == 10
    assert result.other == 0
    assert result.answered + round(result.refused_share * result.sent) == result.sent
    assert result.refused_share > 0.3
    assert result.p50_ms is not None
    assert result.p50_ms >= SERVICE_S * 1000


def test_time_counts_from_when_a_request_was_due() -> None:
    # One connection: the second request can't be sent before the first is answered.
    result = send_at_rate(lambda: Always(200, after_s=0.2), 20.0, 0.1, connections=1)
    assert result.sent == 2
    assert result.p99_ms is not None
    assert result.p99_ms > 300
