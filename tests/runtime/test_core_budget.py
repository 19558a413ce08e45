import threading
import time
from collections.abc import Callable

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


def start(work: Callable[[], None], budget: CoreBudget, line: int) -> threading.Thread:
    """Run it in a thread, and return when `line` wait."""
    thread = threading.Thread(target=work)
    thread.start()
    wait_for_line(thread, budget, line)
    return thread


def wait_for_line(thread: threading.Thread, budget: CoreBudget, line: int) -> None:
    while len(budget._line) < line:
        assert thread.is_alive()
        time.sleep(0.001)


def test_inner_cores_replace_the_outer_ones() -> None:
    budget = CoreBudget(4)
    with budget.take(1):
        with budget.take(4):  # it would wait for itself if these were beside the outer one
            assert budget._free == 0
        assert budget._free == 3
        with budget.take(0):
            assert budget._free == 4
        with pytest.raises(ZeroDivisionError), budget.take(2):
            1 / 0  # noqa: B018
        assert budget._free == 3
    assert budget._free == 4


def test_who_wants_more_gives_up_what_it_holds() -> None:
    """Two that hold one core each and want both would else wait for each other for ever."""
    budget, both, done = CoreBudget(2), threading.Barrier(2), []

    def work() -> None:
        with budget.take(1):
            both.wait(120)
            with budget.take(2):
                done.append(budget._free)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert done == [0, 0]
    assert budget._free == 2


def test_what_began_first_goes_on_first() -> None:
    """A request that has been decoded does not queue for its network behind newer requests."""
    budget, order = CoreBudget(2), []
    decoded, go_on = threading.Event(), threading.Event()

    def old() -> None:
        with budget.take(1):
            decoded.set()
            assert go_on.wait(120)
            with budget.take(2):
                order.append("old")

    def new() -> None:
        with budget.take(2):
            order.append("new")

    first = threading.Thread(target=old)
    first.start()
    assert decoded.wait(120)
    with budget.take(1):
        second = start(new, budget, line=1)
        go_on.set()
        wait_for_line(first, budget, line=2)
    first.join(120)
    second.join(120)
    assert order == ["old", "new"]


def test_fewer_cores_need_no_turn() -> None:
    """What is left to do after a network is done at once, whoever waits for all cores."""
    budget, order = CoreBudget(2), []
    begun, network_runs = threading.Event(), threading.Event()

    def older() -> None:
        with budget.take(0):
            begun.set()
            assert network_runs.wait(120)
            with budget.take(2):
                order.append("older")

    thread = threading.Thread(target=older)
    thread.start()
    assert begun.wait(120)
    with budget.take(2):
        network_runs.set()
        wait_for_line(thread, budget, line=1)
        with budget.take(1):
            order.append("encoded")
    thread.join(120)
    assert order == ["encoded", "older"]
