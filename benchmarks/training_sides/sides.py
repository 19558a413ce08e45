"""The sides of a comparison: each in a process of its own, of which one works at a time."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

BREAK_S = 0.1  # between two sides: threads of a framework spin for a moment after their last job


@dataclass(frozen=True)
class Side:
    """One loop that is measured."""

    name: str
    kind: Literal["own", "plain"]
    backbone: str  # a timm name
    precision: str  # of a recipe: fp32, bf16 or auto
    channels_last: bool = True  # of the plain loop
    choices: dict[str, Any] = field(default_factory=dict)  # further fields of our recipe


@dataclass(frozen=True)
class Job:
    """What all sides work on."""

    data: Path  # a data set that atrous opens
    classes: tuple[str, ...] | None  # names, where the data set does not tell them
    ignore_id: int | None
    height: int  # of the crop
    width: int
    batch_size: int


@dataclass(frozen=True)
class Step:
    """Seconds of one step of the optimizer."""

    whole_s: float
    data_s: float  # of these, waiting for the batch


class Finished(BaseException):
    """Nothing more is asked of a side."""


class Turns:
    """Runs a loop only while it is this side's turn, and tells what each step took."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.steps: list[Step] = []
        self.left = 0
        self.data_s = self.began = 0.0

    def wait(self) -> None:
        """Sleep until steps are asked for; raises Finished where no more are."""
        self.left = self.connection.recv()
        if self.left == 0:
            raise Finished
        self.steps = []
        self._begin()

    def timed(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same batches, with the time that each is waited for noted."""
        source = iter(batches)
        while True:
            began = time.perf_counter()
            try:
                batch = next(source)
            except StopIteration:
                return
            self.data_s += time.perf_counter() - began
            yield batch

    def step_done(self) -> None:
        """Note a step; after the last one of this turn, hand over and wait for the next turn."""
        self.steps.append(Step(time.perf_counter() - self.began, self.data_s))
        self.left -= 1
        if self.left == 0:
            self.connection.send(self.steps)
            self.wait()
        self._begin()

    def _begin(self) -> None:
        self.data_s, self.began = 0.0, time.perf_counter()


Loop = Callable[[Side, Job, Turns], None]


class Running:
    """A side at work in its process."""

    def __init__(self, side: Side, job: Job, loop: Loop) -> None:
        context = multiprocessing.get_context("spawn")  # nothing of one side reaches another
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(side, job, loop, theirs))
        self.process.start()
        theirs.close()

    def steps(self, count: int) -> list[Step]:
        """Let it do so many steps; EOFError where it failed, which it has told on stderr."""
        self.connection.send(count)
        steps: list[Step] = self.connection.recv()
        time.sleep(BREAK_S)
        return steps

    def stop(self) -> None:
        """End it."""
        if self.process.is_alive():
            self.connection.send(0)
        self.process.join()


def _work(side: Side, job: Job, loop: Loop, connection: Connection) -> None:
    turns = Turns(connection)
    try:
        loop(side, job, turns)
    except Finished:
        connection.close()


def alternate(
    sides: Sequence[Running], block: int, rounds: int, clock: Callable[[], bool]
) -> list[list[list[Step]]]:
    """Blocks of every side, A B C A B C: `rounds` of them, more while `clock` says so."""
    blocks: list[list[list[Step]]] = [[] for _ in sides]
    while len(blocks[0]) < rounds or clock():
        for side, own in zip(sides, blocks, strict=True):
            own.append(side.steps(block))
    return blocks
