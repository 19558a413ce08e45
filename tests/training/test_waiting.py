import time
from collections.abc import Iterator

import pytest

from atrous.training.checkpoint import TrainingState
from atrous.training.waiting import counted, stepping


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes when a test says so."""
    seconds = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: seconds[0])
    return seconds


def test_the_share_of_waiting(now: list[float]) -> None:
    """Three batches that take a second each, and three steps of four seconds."""
    state = TrainingState()

    def batches() -> Iterator[int]:
        for batch in range(3):
            now[0] += 1.0
            yield batch

    assert state.waiting_share == 0.0
    with stepping(state):
        seen = []
        for batch in counted(batches(), state):
            now[0] += 4.0
            seen.append(batch)
    assert seen == [0, 1, 2]
    assert (state.waited_s, state.stepped_s) == (3.0, 15.0)
    assert state.waiting_share == pytest.approx(0.2)


def test_a_photo_that_is_gone_counts_and_is_told(now: list[float]) -> None:
    state = TrainingState()

    def broken() -> Iterator[int]:
        now[0] += 2.0
        raise FileNotFoundError("a.jpg")
        yield 0

    with stepping(state), pytest.raises(FileNotFoundError, match="a.jpg"):
        list(counted(broken(), state))
    assert (state.waited_s, state.stepped_s) == (2.0, 2.0)
