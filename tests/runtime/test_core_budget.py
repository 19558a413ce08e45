import threading
import time

import pytest

from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.processor import available_cores


def test_never_more_than_there_are() -> None:
    budget, lock = CoreBudget(3), threading.Lock()
    taken, most = 0, 0

    def work(wanted: int) -> None:
        nonlocal taken, most
        for _ in range(20):
            with budget.take(wanted):
                with lock:
                    taken += wanted
                    most = max(most, taken)
                time.sleep(0.0005)
                with lock:
                    taken -= wanted

    threads = [threading.Thread(target=work, args=(wanted,)) for wanted in (1, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == 0
    assert most == 3


def test_first_come_first_served() -> None:
    """One that wants all cores is not passed by many that want one."""
    budget, order = CoreBudget(2), []

    def work(name: str, wanted: int) -> None:
        with budget.take(wanted):
            order.append(name)

    with budget.take(1):
        waiting = []
        for name, wanted in (("all", 2), ("one", 1)):
            thread = threading.Thread(target=work, args=(name, wanted))
            thread.start()
            waiting.append(thread)
            while len(budget._line) < len(waiting):
                time.sleep(0.001)
        assert order == []
    for thread in waiting:
        thread.join()
    assert order == ["all", "one"]


def test_who_wants_more_than_all_gets_all() -> None:
    budget = CoreBudget(2)
    with budget.take(64):
        assert budget._free == 0
    assert budget._free == 2
    assert CoreBudget().cores == available_cores()


def test_cores_come_back_after_a_failure() -> None:
    budget = CoreBudget(1)
    with pytest.raises(ZeroDivisionError), budget.take(1):
        1 / 0  # noqa: B018
    with budget.take(1):
        assert budget._free == 0
