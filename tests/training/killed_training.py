"""A program: trains a tiny set while it is killed again and again, and compares the outcome.

    python killed_training.py FOLDER [--kills N] [--seed S]

Each sitting is a forked process that kills itself with SIGKILL at a call of some function, Python's
or C's, whose number is drawn from the seed: every second one among all calls of an epoch and a
half, the others among those made while a checkpoint is written (between a write and its flush,
before or after a rename, while old tensors are removed). No clock is looked at. After the kills
one sitting may end, and its files must be those of a training that nobody disturbed.
"""

import argparse
import importlib.util
import json
import math
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from atrous.training import checkpoint
from atrous.training.checkpoint import load_best
from atrous.training.loop import Progress, train
from atrous.training.run_folder import RunFolder

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)

KILLS, SEED = 20, 2026
EPOCHS = 9  # enough that no sitting ends before its kill
COUNTED = ("call", "c_call")
WRITING = (checkpoint._save.__code__, RunFolder.write_results.__code__)


class Calls:
    """Counts calls, all and those made while a checkpoint is written, and acts at the last."""

    def __init__(self, last: float, *, writing: bool, act: Callable[[], None]) -> None:
        self.all = self.while_writing = self.depth = 0
        self.last, self.writing, self.act = last, writing, act

    def __call__(self, frame: Any, event: str, argument: object) -> None:
        """See one event of `sys.setprofile`."""
        if frame.f_code in WRITING and event in ("call", "return"):
            self.depth += 1 if event == "call" else -1
        if event not in COUNTED:
            return
        self.all += 1
        self.while_writing += self.depth > 0
        if (self.while_writing if self.writing else self.all) == self.last:
            self.act()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sitting(
    dataset: Any, recipe: Any, run: RunFolder, calls: Calls | None = None, report: Any = None
) -> int:
    """Train in a process of its own; gives the signal that ended it, 0 for none."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    torch.set_num_threads(1)
    sys.setprofile(calls)
    train(dataset, recipe, run, report or (lambda progress: None))
    os._exit(0)


def count_calls(dataset: Any, recipe: Any, run: RunFolder) -> tuple[int, int, int]:
    """Calls until the first epoch's end, all and while writing; and those of one more epoch."""
    seen: list[tuple[int, int]] = []
    counts = run.path / "counts.json"
    calls = Calls(math.inf, writing=False, act=die)

    def note(progress: Progress) -> None:
        if progress.results:
            seen.append((calls.all, calls.while_writing))
            if len(seen) == 2:
                counts.write_text(json.dumps(seen))
                die()

    assert sitting(dataset, recipe, run, calls, note) == -signal.SIGKILL
    (first, writing), (second, _) = json.loads(counts.read_text())
    return first, writing, second - first


def contents(run: RunFolder) -> list[bytes]:
    """All tensors, and the results without the times in them."""
    tensors = [path.read_bytes() for path in sorted(run.checkpoints.glob("*.safetensors"))]
    epochs = [line.split(",") for line in run.results.read_text().splitlines()]
    timed = epochs[0].index("elapsed_s")
    figures = [repr(line[:timed] + line[timed + 2 :]).encode() for line in epochs]
    return [*tensors, *figures, str(load_best(run).epoch).encode()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    folder, chance = options.folder, random.Random(options.seed)
    dataset = tiny.tiny_dataset(folder / "set")
    recipe = tiny.tiny_recipe(epochs=max(EPOCHS, options.kills // 2))
    first, writing, epoch = count_calls(dataset, recipe, tiny.new_run(folder / "count", recipe))
    whole = tiny.new_run(folder / "whole", recipe)
    assert sitting(dataset, recipe, whole) == 0
    broken = tiny.new_run(folder / "broken", recipe)
    survived = 0
    for number in range(options.kills):
        in_writing = number % 2 == 1
        last = chance.randint(1, writing if in_writing else first + epoch // 2)
        calls = Calls(last, writing=in_writing, act=die)
        survived += sitting(dataset, recipe, broken, calls) == -signal.SIGKILL
    assert sitting(dataset, recipe, broken) == 0
    assert contents(broken) == contents(whole)
    sys.stdout.write(str(survived))


if __name__ == "__main__":
    main()
