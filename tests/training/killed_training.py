"""A program: trains a tiny set while it is killed again and again, and compares the outcome.

    python killed_training.py FOLDER

Each sitting is a forked process that kills itself at its n-th call of fsync, so at any point of
writing a checkpoint, or at its n-th step. The last one may end. Prints the moments survived.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import torch

from atrous.training.checkpoint import load_best
from atrous.training.loop import train
from atrous.training.run_folder import RunFolder

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)

# An epoch that is the best so far calls it 10 times, another 6 times: best tensors, best JSON,
# results, last tensors, last JSON; for each the file and then its folder.
FSYNCS = (1, 3, 5, 7, 9, 10, 6, 8)
STEPS = (1,)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def one_sitting(dataset, recipe, run: RunFolder, fsyncs: int = 0, steps: int = 0) -> int:
    """Train in a process of its own; gives the signal that ended it, 0 for none."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = {"fsync": fsyncs, "step": steps}
    fsync = os.fsync

    def count(what: str) -> None:
        left[what] -= 1
        if left[what] == 0:
            die()

    def counted_fsync(descriptor: int) -> None:
        count("fsync")
        fsync(descriptor)

    os.fsync = counted_fsync
    torch.set_num_threads(1)
    train(dataset, recipe, run, lambda progress: progress.results or count("step"))
    os._exit(0)


def weights(run: RunFolder) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(run.checkpoints.glob("*.safetensors")))


def main(folder: Path) -> None:
    dataset = tiny.tiny_dataset(folder / "set")
    recipe = tiny.tiny_recipe(epochs=4)
    whole = tiny.new_run(folder / "whole", recipe)
    assert one_sitting(dataset, recipe, whole) == 0
    broken = tiny.new_run(folder / "broken", recipe)
    moments = [{"fsyncs": n} for n in FSYNCS] + [{"steps": n} for n in STEPS]
    survived = sum(
        one_sitting(dataset, recipe, broken, **moment) == -signal.SIGKILL for moment in moments
    )
    assert one_sitting(dataset, recipe, broken) == 0
    assert weights(broken) == weights(whole)
    assert load_best(broken).epoch == load_best(whole).epoch
    epochs = [line.split(",")[:4] for line in broken.results.read_text().splitlines()]
    assert epochs == [line.split(",")[:4] for line in whole.results.read_text().splitlines()]
    sys.stdout.write(str(survived))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
