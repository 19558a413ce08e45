import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from atrous.masks import shared_work
from atrous.masks.shared_work import share


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_order(count: int) -> None:
    assert share([partial(pow, number, 2) for number in range(count)]) == [
        number**2 for number in range(count)
    ]


def test_parts_run_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_work.os, "cpu_count", lambda: 2)
    both = threading.Barrier(2)  # each waits for the other
    assert sorted(share([partial(both.wait, 60), partial(both.wait, 60)])) == [0, 1]


def test_nobody_waits_for_threads_that_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_work.os, "cpu_count", lambda: 2)
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(shared_work, "_threads", lambda: pool)
        pool.submit(over.wait, 60)
        assert share([partial(pow, 2, 3), partial(pow, 3, 2)]) == [8, 9]
        over.set()


def test_parts_may_have_parts() -> None:
    inner = [partial(int, "7")] * 3
    assert share([partial(share, inner)] * 4) == [[7, 7, 7]] * 4


def test_a_failure_of_any_part_is_raised() -> None:
    for place in range(3):
        parts = [partial(int, "1")] * 3
        parts[place] = partial(int, "none")
        with pytest.raises(ValueError, match="none"):
            share(parts)
