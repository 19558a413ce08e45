"""What share of a training's time goes into waiting for photos."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from atrous.training.checkpoint import TrainingState

Batch = TypeVar("Batch")


def counted(batches: Iterator[Batch], state: TrainingState) -> Iterator[Batch]:
    """The same batches; the time in which each is waited for is added to the state.

    Where the training itself reads and augments, that is the time that it takes for it.
    """
    while True:
        began_s = time.perf_counter()
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            state.waited_s += time.perf_counter() - began_s
        yield batch


@contextmanager
def stepping(state: TrainingState) -> Iterator[None]:
    """Add the time that its block takes to that of the epoch's steps."""
    began_s = time.perf_counter()
    try:
        yield
    finally:
        state.stepped_s += time.perf_counter() - began_s
