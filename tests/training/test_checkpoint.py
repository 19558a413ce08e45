import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.deeplab.network import build_network
from atrous.domain.classes import ClassTable
from atrous.domain.errors import NotFound
from atrous.domain.recipes import TrainingRecipe
from atrous.training import checkpoint
from atrous.training.averaging import WeightAverage
from atrous.training.checkpoint import (
    TrainingState,
    load_best,
    load_last,
    save_best,
    save_last,
)
from atrous.training.optimizer import make_optimizer
from atrous.training.run_folder import RunFolder, write_whole

Parts = tuple[torch.nn.Module, WeightAverage, torch.optim.Optimizer]


def parts(tiny: ModuleType, recipe: TrainingRecipe, seed: int, steps: int = 0) -> Parts:
    """Network, average and optimizer after some steps on noise."""
    torch.manual_seed(seed)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 3).train()
    network.to(memory_format=torch.channels_last)
    average = WeightAverage(network, 0.9)
    optimizer = make_optimizer(network, recipe)
    for _ in range(steps):
        network(torch.randn(2, 3, 32, 32)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(network)
    return network, average, optimizer


def tensors(parts: Parts) -> dict[str, torch.Tensor]:
    """All that a checkpoint has to bring back."""
    network, average, optimizer = parts
    state = optimizer.state_dict()["state"]
    return {
        **{f"n {key}": value for key, value in network.state_dict().items()},
        **{f"a {key}": value for key, value in average.network.state_dict().items()},
        **{
            f"o {index} {name}": torch.as_tensor(value)
            for index, values in state.items()
            for name, value in values.items()
        },
    }


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) for key, value in first.items()
    )


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_last_comes_back_whole(tiny: ModuleType, tmp_path: Path, optimizer: str) -> None:
    recipe = tiny.tiny_recipe(optimizer=optimizer)
    run = tiny.new_run(tmp_path, recipe)
    saved = parts(tiny, recipe, seed=0, steps=2)
    state = TrainingState(3, 17, 4.5, 0.25, 2, results=[{"epoch": 1, "iou_cat": None}])
    save_last(run, state, *saved)
    loaded = parts(tiny, recipe, seed=1)
    assert not equal(tensors(saved), tensors(loaded))
    assert load_last(run, *loaded) == replace(state, average_updates=2)
    assert equal(tensors(saved), tensors(loaded))
    assert loaded[1].updates == 2
    assert len(tensors(saved)) > 2 * len(saved[0].state_dict())  # the optimizer has a state
    # And both take the same next step.
    for network, _, stepped in (saved, loaded):
        torch.manual_seed(5)
        network(torch.randn(2, 3, 32, 32)).square().mean().backward()
        stepped.step()
    assert equal(tensors(saved), tensors(loaded))


def test_nothing_to_load_yet(tiny: ModuleType, tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe()
    run = tiny.new_run(tmp_path, recipe)
    assert load_last(run, *parts(tiny, recipe, seed=0)) is None
    with pytest.raises(NotFound, match="at least one epoch"):
        load_best(run)


@pytest.mark.parametrize("fails_at", ["last-00002.safetensors", "last.json"])
def test_an_interrupted_write_leaves_the_previous(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    recipe = tiny.tiny_recipe()
    run = tiny.new_run(tmp_path, recipe)
    first = parts(tiny, recipe, seed=0, steps=1)
    save_last(run, TrainingState(epoch=1), *first)

    def fail(path: Path, data: bytes) -> None:
        if path.name == fails_at:
            raise OSError(28, "No space left on device")
        write_whole(path, data)

    second = parts(tiny, recipe, seed=1, steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", fail)
        with pytest.raises(OSError, match="No space"):
            save_last(run, TrainingState(epoch=2), *second)
    found = parts(tiny, recipe, seed=2)
    state = load_last(run, *found)
    assert state is not None
    assert state.epoch == 1
    assert equal(tensors(found), tensors(first))
    save_last(run, TrainingState(epoch=2), *second)
    assert load_last(run, *found).epoch == 2
    assert equal(tensors(found), tensors(second))


def test_older_tensors_are_removed(tiny: ModuleType, tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe()
    run = tiny.new_run(tmp_path, recipe)
    network, average, optimizer = parts(tiny, recipe, seed=0, steps=1)
    for epoch in (1, 2, 3):
        save_last(run, TrainingState(epoch=epoch), network, average, optimizer)
    classes = ClassTable(("background", "a", "b"))
    for epoch in (1, 3):
        save_best(run, epoch, network, classes, recipe, {})
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "best-00003.safetensors",
        "best.json",
        "last-00003.safetensors",
        "last.json",
    ]


def test_best_rebuilds_its_network(tiny: ModuleType, tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe(architecture="deeplabv3", seed=3)
    run = tiny.new_run(tmp_path, recipe)
    torch.manual_seed(0)
    network = build_network(
        "deeplabv3", tiny.BACKBONE, 3, output_stride=8, separable=False, auxiliary=True
    )
    classes = ClassTable(("background", "sky", "road"), background_labelled=False)
    save_best(run, 7, network, classes, recipe, {"miou": 0.5})
    best = load_best(run)
    assert best.network.config == network.config
    assert not best.network.training
    assert equal(dict(best.network.state_dict()), dict(network.state_dict()))
    assert (best.classes, best.recipe, best.epoch) == (classes, recipe, 7)
    assert best.metrics == {"miou": 0.5}


def test_multi_grid_comes_back(tiny: ModuleType, tmp_path: Path) -> None:
    run = tiny.new_run(tmp_path, tiny.tiny_recipe())
    network = build_network("deeplabv3", "resnet50", 2, multi_grid=(1, 2, 4))
    save_best(run, 1, network, ClassTable(("background", "a")), tiny.tiny_recipe(), {})
    assert load_best(run).network.config.multi_grid == (1, 2, 4)


def test_the_files_are_open_formats(tiny: ModuleType, dataset: Dataset, tmp_path: Path) -> None:
    """JSON that names a safetensors file: nothing in a checkpoint can run code."""
    recipe = tiny.tiny_recipe()
    run: RunFolder = tiny.new_run(tmp_path, recipe)
    save_last(run, TrainingState(epoch=1), *parts(tiny, recipe, seed=0, steps=1))
    facts = json.loads((run.checkpoints / "last.json").read_text())
    assert facts["tensors"] == "last-00001.safetensors"
    header = (run.checkpoints / facts["tensors"]).read_bytes()[8:2000]
    assert header.startswith(b"{")
