import logging
import threading

import pytest

from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.network_turns import NetworkTurns

CORES = 2


class Fake:
    """A network that says how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Crowd:
    """Says that many wait, as long as `waits`."""

    waits = False

    def __call__(self) -> bool:
        return self.waits


def loaded(turns: NetworkTurns) -> None:
    """Wait until the second network is there, or has failed."""
    assert turns._loader is not None
    turns._loader.join(30)


def test_alone_on_all_cores_until_many_wait() -> None:
    alone, halved, crowd, cores = Fake(), Fake(), Crowd(), CoreBudget(CORES)
    turns = NetworkTurns(alone, CORES, cores, open_halved=lambda: halved, crowded=crowd)
    with turns.take() as network:
        assert network is alone
        assert cores._free == 0
    assert turns._loader is None, "nobody needs it yet"

    crowd.waits = True
    with turns.take() as network:  # it is being loaded: nobody waits for that
        assert network is alone
    loaded(turns)
    with turns.take() as network:
        assert network is halved
        assert cores._free == CORES // 2
    crowd.waits = False
    with turns.take() as network:
        assert network is alone


def test_two_run_at_once_in_a_crowd() -> None:
    crowd, cores = Crowd(), CoreBudget(CORES)
    turns = NetworkTurns(Fake(), CORES, cores, open_halved=Fake, crowded=crowd)
    crowd.waits = True
    with turns.take():
        pass
    loaded(turns)
    both = threading.Barrier(2)

    def run() -> None:
        with turns.take():
            both.wait(timeout=30)  # breaks where they run one after the other

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken


def test_who_comes_beside_a_halved_run_does_not_wait_for_all_cores() -> None:
    halved, crowd, cores = Fake(), Crowd(), CoreBudget(CORES)
    turns = NetworkTurns(Fake(), CORES, cores, open_halved=lambda: halved, crowded=crowd)
    crowd.waits = True
    with turns.take():
        pass
    loaded(turns)
    begun, end, networks = threading.Event(), threading.Event(), []

    def run_first() -> None:
        with turns.take():
            begun.set()
            assert end.wait(30)

    def run_second() -> None:
        with turns.take() as network:
            networks.append(network)

    first, second = threading.Thread(target=run_first), threading.Thread(target=run_second)
    first.start()
    assert begun.wait(30)
    crowd.waits = False
    second.start()
    second.join(30)
    end.set()
    first.join()
    assert networks == [halved]


def test_a_second_network_that_can_not_be_loaded_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = 0

    def fail() -> Fake:
        nonlocal tries
        tries += 1
        raise MemoryError("no room")

    alone = Fake()
    turns = NetworkTurns(alone, 2, CoreBudget(2), open_halved=fail, crowded=lambda: True)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with turns.take() as network:
                assert network is alone
            loaded(turns)
    assert tries == 1
    assert caplog.text.count("no room") == 1


@pytest.mark.parametrize("closed_first", [True, False])
def test_both_are_closed_also_while_one_is_loaded(closed_first: bool) -> None:
    alone, halved, may_end = Fake(), Fake(), threading.Event()

    def open_slowly() -> Fake:
        assert may_end.wait(30)
        return halved

    turns = NetworkTurns(alone, 2, CoreBudget(2), open_halved=open_slowly, crowded=lambda: True)
    with turns.take():
        pass
    if closed_first:
        turns.close()
        may_end.set()
        loaded(turns)
    else:
        may_end.set()
        loaded(turns)
        turns.close()
    assert (alone.closed, halved.closed) == (1, 1)
