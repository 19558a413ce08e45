import threading

import anyio
import pytest

from atrous.domain.errors import Busy
from atrous.server.metrics import Metrics
from atrous.server.services import WorkQueue


def test_the_queue_refuses_what_is_too_much() -> None:
    running, release = threading.Event(), threading.Event()

    def work() -> str:
        running.set()
        release.wait(10)
        return "done"

    async def scenario() -> list[str]:
        queue = WorkQueue(threads=1, max_waiting=1, metrics=Metrics())
        results: list[str] = []

        async def ask() -> None:
            results.append(await queue.run(work))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
            await anyio.to_thread.run_sync(running.wait)
            with pytest.raises(Busy):
                await queue.run(work)
            release.set()
        results.append(await queue.run(work))
        return results

    assert anyio.run(scenario) == ["done"] * 3


def test_a_failure_frees_its_place() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def scenario() -> str:
        queue = WorkQueue(threads=1, max_waiting=0, metrics=Metrics())
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await queue.run(fail)
        return await queue.run(lambda: "done")

    assert anyio.run(scenario) == "done"
