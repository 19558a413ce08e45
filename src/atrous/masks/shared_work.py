"""Parts of one answer's work, done by the thread that asks for them and those that help it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Result = TypeVar("Result")


def share(parts: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run functions that let other threads of Python run, by all cores; their results in order.

    The calling thread works as well: it never waits for threads that are busy with other answers.
    """
    results: dict[int, Result] = {}
    waiting = iter(enumerate(parts))

    def work() -> None:
        for index, part in waiting:  # shared by the threads: one that is free takes the next
            results[index] = part()

    work_together(work, min(len(parts), os.cpu_count() or 1) - 1)
    return [results[index] for index in range(len(parts))]


def work_together(work: Callable[[], None], helpers: int) -> None:
    """Run `work`, which ends when nothing is left to do, here and in so many threads that help."""
    others = [_threads().submit(work) for _ in range(helpers)]
    work()
    for other in others:
        if not other.cancel():  # else it has not begun, and there is nothing left for it
            other.result()


@lru_cache
def _threads() -> ThreadPoolExecutor:
    """Threads that help those of all answers of the process, which share them as in a queue."""
    return ThreadPoolExecutor(max((os.cpu_count() or 1) - 1, 1), thread_name_prefix="helper")
