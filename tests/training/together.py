"""A program that torchrun starts in several processes: trains a tiny set in all of them.

    torchrun --nproc-per-node 2 together.py FOLDER

FOLDER has the set, and a run folder `whole` with its recipe: trained in one go. `parts` is the
same, interrupted after its first epoch.
"""

import importlib.util
import os
import sys
from pathlib import Path

import torch

from atrous.datasets.detect import open_dataset
from atrous.training import loop
from atrous.training.loop import train
from atrous.training.processes import joined
from atrous.training.run_folder import RunFolder

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)


def main(folder: Path) -> None:
    # Each process draws dropout of its own; without it the sum is that of one process.
    torch.nn.Dropout.forward = lambda self, x: x
    loop.make_network = tiny.in_double(loop.make_network)
    torch.set_num_threads(1)
    dataset = open_dataset(folder / "set")
    with joined() as processes:
        whole, parts = RunFolder(folder / "whole"), RunFolder(folder / "parts")
        recipe = whole.read_recipe()
        train(dataset, recipe, whole, lambda _: None, processes)
        try:
            train(dataset, recipe, parts, tiny.stop_after(1), processes)
        except KeyboardInterrupt:
            train(dataset, recipe, parts, lambda _: None, processes)
    (folder / f"done-{os.environ['RANK']}").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
