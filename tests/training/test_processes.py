import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.datasets.detect import open_dataset
from atrous.domain.errors import BadInput
from atrous.training import loop
from atrous.training.loop import train
from atrous.training.processes import ALONE, Processes
from atrous.training.run_folder import RunFolder

SOURCE = Path(__file__).parents[2] / "src"
TOGETHER = Path(__file__).with_name("together.py")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.slow
def test_two_processes_train_as_one(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summed batch has three photos, one of them in the first process, with ignored pixels.

    In float64, because the norms of a random network with so few values make much of rounding.
    """
    dataset = open_dataset(tiny.write_tiny_set(tmp_path / "set"))
    recipe = tiny.tiny_recipe(
        epochs=2,
        batch_size=3,
        norm="sync",
        class_weights=(0.5, 1.0, 2.0, 3.0)[: len(dataset.classes)],
        auxiliary_weight=0.4,
        optimizer="sgd",
        learning_rate=0.02,
        gradient_clip=1.0,
        repeat_threshold=0.9,
    )
    for name in ("whole", "parts", "one"):
        tiny.new_run(tmp_path / name, recipe)
    done = subprocess.run(
        [*TORCHRUN, str(TOGETHER), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("done-*")} == {"done-0", "done-1"}
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)
    monkeypatch.setattr(loop, "make_network", tiny.in_double(loop.make_network))
    alone = train(dataset, recipe, RunFolder(tmp_path / "one"), lambda _: None)
    together = train(dataset, recipe, RunFolder(tmp_path / "whole"), lambda _: None)
    assert (together.finished, together.epoch, together.step) == (True, 2, alone.step)
    for one, two in zip(alone.results, together.results, strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=5e-5)
        assert two["valid_miou"] == pytest.approx(one["valid_miou"], abs=1e-3)
        assert two["learning_rate"] == one["learning_rate"]
    whole, parts = (tiny.weights(RunFolder(tmp_path / name)) for name in ("whole", "parts"))
    assert parts == whole


def test_parts_make_up_the_batch() -> None:
    for count in (1, 2, 3, 5):
        parts = [Processes(rank, count).part_of(range(5)) for rank in range(count)]
        assert [number for part in parts for number in part] == list(range(5))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_is_changed_or_sent() -> None:
    network = torch.nn.Linear(2, 2)
    network(torch.ones(1, 2)).sum().backward()
    gradient = network.weight.grad.clone()
    ALONE.sum_gradients(network)
    ALONE.follow_first(network)
    assert torch.equal(network.weight.grad, gradient)
    assert ALONE.sum(0.5) == ALONE.of_first(0.5) == 0.5
    assert ALONE.share_of_labelled(torch.full((1, 2, 2), 255, dtype=torch.uint8)) == 1.0
    counts = np.array([3, 4])
    assert ALONE.sum_of_counts(counts) is counts
    assert ALONE.is_first


def test_more_processes_than_photos(tiny: ModuleType, tmp_path: Path) -> None:
    dataset = open_dataset(tiny.write_tiny_set(tmp_path / "set"))
    recipe = tiny.tiny_recipe(batch_size=9)
    with pytest.raises(BadInput, match="9 devices share 8 photos; give --devices 1"):
        loop.prepare(dataset, recipe, tiny.new_run(tmp_path / "run", recipe), Processes(0, 9))
