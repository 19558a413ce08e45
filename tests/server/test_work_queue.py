import threading
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from atrous.domain.errors import Busy
from atrous.server.metrics import Metrics
from atrous.server.work_queue import WorkQueue


class Held:
    """Work that runs until it is let go."""

    def __init__(self) -> None:
        self.running, self.release = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.running.set()
        assert self.release.wait(120)
        return "done"


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(300):
        while not true():
            await anyio.sleep(0.001)


def test_a_full_queue_refuses_at_once_and_only_its_own_model() -> None:
    async def scenario() -> None:
        queue = WorkQueue(threads=1, max_waiting=1, metrics=Metrics())
        with queue.place("a/1"), queue.place("a/1"):
            with pytest.raises(Busy), queue.place("a/1"):
                pass
            with queue.place("b/1"):
                assert await queue.run("b/1", lambda: "done") == "done"
        with queue.place("a/1"), queue.place("a/1"):  # free again
            pass
        assert not queue._taken  # names that clients send are not kept

    anyio.run(scenario)


def test_models_take_turns() -> None:
    order: list[str] = []

    async def scenario() -> None:
        queue, first = WorkQueue(threads=1, max_waiting=9, metrics=Metrics()), Held()
        async with anyio.create_task_group() as group:
            group.start_soon(queue.run, "busy", first)
            await until(first.running.is_set)
            assert not queue.is_crowded()
            for name in ("busy 1", "busy 2", "busy 3", "quiet 1"):
                model = name.split()[0]
                group.start_soon(queue.run, model, lambda name=name: order.append(name))
                await anyio.lowlevel.checkpoint()
            await until(lambda: len(queue._waiting) == 2)
            assert queue.is_crowded()
            first.release.set()
        assert not queue.is_crowded()

    anyio.run(scenario)
    assert order == ["busy 1", "quiet 1", "busy 2", "busy 3"]


def test_what_waits_and_is_cancelled_never_runs() -> None:
    ran: list[str] = []

    async def scenario() -> None:
        queue, first = WorkQueue(threads=1, max_waiting=9, metrics=Metrics()), Held()
        async with anyio.create_task_group() as group:
            group.start_soon(queue.run, "a", first)
            await until(first.running.is_set)
            with anyio.move_on_after(0):
                await queue.run("a", lambda: ran.append("cancelled"))
            assert not queue._waiting
            first.release.set()
        await queue.run("a", lambda: ran.append("next"))
        assert queue._free_threads == 1

    anyio.run(scenario)
    assert ran == ["next"]


def test_cancelled_just_when_its_turn_comes_it_passes_the_thread_on() -> None:
    async def scenario() -> None:
        queue, first = WorkQueue(threads=1, max_waiting=9, metrics=Metrics()), Held()
        scope = anyio.CancelScope()

        async def wait_and_leave() -> None:
            with scope:
                await queue.run("a", lambda: None)

        async with anyio.create_task_group() as group:
            group.start_soon(queue.run, "a", first)
            await until(first.running.is_set)
            group.start_soon(wait_and_leave)
            await until(lambda: bool(queue._waiting))
            queue._pass_on()  # in the same step of the loop:
            scope.cancel()
            await until(lambda: queue._free_threads == 1)
            first.release.set()
        assert await queue.run("a", lambda: "done") == "done"

    anyio.run(scenario)


def test_a_failure_frees_its_thread() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def scenario() -> None:
        queue = WorkQueue(threads=1, max_waiting=0, metrics=Metrics())
        for _ in range(3):
            with pytest.raises(ValueError, match="no"), queue.place("a"):
                await queue.run("a", fail)
        assert await queue.run("a", lambda: "done") == "done"

    anyio.run(scenario)
