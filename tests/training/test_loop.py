import csv
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.domain.errors import BadDataset, BadInput, TrainingFailed
from atrous.training import loop, running
from atrous.training.checkpoint import load_best
from atrous.training.loop import Progress, train
from atrous.training.processes import Processes
from atrous.training.run_folder import RunFolder
from atrous.training.samples import batches_of_epoch
from atrous.training.schedule import training_time_s


def quiet(progress: Progress) -> None:
    """Report nothing."""


def test_a_training_from_beginning_to_end(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = tiny.tiny_recipe(epochs=3)
    run = tiny.new_run(tmp_path, recipe)
    seen: list[Progress] = []
    state = train(dataset, recipe, run, seen.append)
    assert (state.finished, state.epoch, state.step) == (True, 3, 6)
    assert [progress.epoch for progress in seen] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [progress.results is not None for progress in seen] == [False, False, True] * 3
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert seen[-1].left_s == 0
    with run.results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"train_loss", "valid_miou", "learning_rate", "iou_circle"} <= set(rows[0])
    assert 0 <= state.best_miou <= 1
    assert state.best_miou == max(float(row["valid_miou"]) for row in rows)
    assert (tmp_path / "augmented.png").exists()
    best = load_best(run)
    assert best.epoch == state.best_epoch
    assert best.metrics["miou"] == state.best_miou
    assert "RANDOM" in caplog.text
    # What is finished is not trained again.
    before = tiny.weights(run)
    assert train(dataset, recipe, run, quiet).step == 6
    assert tiny.weights(run) == before


def test_iterations_end_a_training_in_the_midst_of_an_epoch(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    """Five steps are two epochs and a half; stopped and resumed they are the same five."""
    recipe = tiny.tiny_recipe(epochs=None, iterations=5)
    run, resumed = (tiny.new_run(tmp_path / name, recipe) for name in ("whole", "parts"))
    state = train(dataset, recipe, run, quiet)
    assert (state.finished, state.epoch, state.step) == (True, 3, 5)
    assert state.results[-1]["valid_miou"] is not None
    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, resumed, tiny.stop_after(2))
    assert train(dataset, recipe, resumed, quiet).step == 5
    assert tiny.weights(resumed) == tiny.weights(run)
    # Of two ends the first one counts.
    for choices, steps in (({"iterations": 3, "epochs": 2}, 3), ({"iterations": 9}, 4)):
        shorter = tiny.tiny_recipe(**choices)
        run = tiny.new_run(tmp_path / str(steps), shorter)
        assert train(dataset, shorter, run, quiet).step == steps


def test_a_training_without_an_end_is_refused(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    recipe = tiny.tiny_recipe(epochs=None)
    with pytest.raises(BadInput, match="give iterations, epochs or time_budget_s"):
        train(dataset, recipe, tiny.new_run(tmp_path, recipe), quiet)


def test_the_time_that_steps_wait_for_photos_is_told(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    recipe = tiny.tiny_recipe()
    run = tiny.new_run(tmp_path, recipe)
    train(dataset, recipe, run, quiet)
    with run.results.open(newline="") as file:
        shares = [float(row["waiting_share"]) for row in csv.DictReader(file)]
    assert len(shares) == 2
    assert all(0 < share < 1 for share in shares)


def test_the_seed_decides(tiny: ModuleType, dataset: Dataset, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        recipe = tiny.tiny_recipe(epochs=1, seed=seed)
        train(dataset, recipe, tiny.new_run(tmp_path / name, recipe), quiet)
    first, again, other = (tiny.weights(RunFolder(tmp_path / name)) for name in "abc")
    assert first == again
    assert first != other


@pytest.mark.parametrize("epochs_before", [0, 1])
def test_a_loss_that_is_no_number(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs_before: int,
) -> None:
    recipe = tiny.tiny_recipe(epochs=3, learning_rate=0.3)
    run = tiny.new_run(tmp_path, recipe)
    steps = []

    def explode(output: torch.Tensor, targets: torch.Tensor, recipe: object) -> torch.Tensor:
        steps.append(1)
        return output.mean() * (1.0 if len(steps) <= 2 * epochs_before else float("nan"))

    monkeypatch.setattr(loop, "loss_of", explode)
    kept_epochs = "the checkpoint of epoch 1 is kept" if epochs_before else "no epoch was done"
    said = f"nan in epoch {epochs_before + 1}; {kept_epochs}. Start a new run with --learning-rate"
    with pytest.raises(TrainingFailed, match=f"{said} 0.1: --resume keeps the recipe"):
        train(dataset, recipe, run, quiet)
    kept = sorted(path.name for path in run.checkpoints.glob("last*"))
    assert kept == (["last-00001.safetensors", "last.json"] if epochs_before else [])


def test_a_time_budget_ends_a_training(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes one second with every look at it."""
    now = iter(range(10_000_000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(now)))
    recipe = tiny.tiny_recipe(epochs=None, time_budget_s=40.0)
    run = tiny.new_run(tmp_path, recipe)
    seen: list[Progress] = []
    state = train(dataset, recipe, run, seen.append)
    assert state.finished
    assert 1 < state.epoch < 15
    # What the last validation, export and test will take is left: by what validations took.
    photos = {split: len(samples) for split, samples in dataset.splits.items()}
    figures_s = state.validation_s * (photos["valid"] + photos["test"]) / photos["valid"]
    end_s = training_time_s(40.0, running.EXPORT_S + state.validation_s + figures_s)
    assert state.validation_s > 0
    assert end_s < 0.75 * 40
    assert end_s - 3 <= state.elapsed_s < 40
    assert seen[-1].fraction == 1
    assert state.results[-1]["learning_rate"] < state.results[0]["learning_rate"]


def test_out_of_memory_goes_on_with_parts_of_a_batch(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A memory that holds two photos: batches of four are computed in two parts, and so resumed."""
    seen: list[int] = []

    def short_of_memory(output: torch.Tensor, targets: torch.Tensor, recipe: object) -> object:
        seen.append(len(targets))
        if len(targets) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return output.mean()

    monkeypatch.setattr(loop, "loss_of", short_of_memory)
    recipe = tiny.tiny_recipe(epochs=2)
    run = tiny.new_run(tmp_path, recipe)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, run, tiny.stop_after(1))
    assert "each batch of 4 photos is computed in 2 parts of 2" in caplog.text
    assert train(dataset, recipe, run, quiet).step == 4
    assert seen == [4, *[2] * 8]


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_missing_split(tiny: ModuleType, dataset: Dataset, tmp_path: Path, split: str) -> None:
    others = {name: samples for name, samples in dataset.splits.items() if name != split}
    partial = Dataset(dataset.root, dataset.format, dataset.classes, others)
    recipe = tiny.tiny_recipe()
    with pytest.raises(BadDataset, match=f"no photos in its {split} split"):
        train(partial, recipe, tiny.new_run(tmp_path, recipe), quiet)


def test_it_learns(tiny: ModuleType, dataset: Dataset, tmp_path: Path) -> None:
    """From random weights, a tiny network learns eight pictures better and better."""
    recipe = tiny.tiny_recipe(epochs=6, learning_rate=5e-3, backbone_rate=1.0)
    state = train(dataset, recipe, tiny.new_run(tmp_path, recipe), quiet)
    losses = [row["train_loss"] for row in state.results]
    assert losses[-1] < 0.75 * losses[0]


def test_levers_of_speed_work_together(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small crops first, then whole ones; a quarter of the pixels; first layers as they were."""
    seen: list[tuple[int, ...]] = []
    loss_of = loop.loss_of

    def watched(output: torch.Tensor, targets: torch.Tensor, recipe: object) -> torch.Tensor:
        seen.append(tuple(targets.shape[1:]))
        return loss_of(output, targets, recipe)

    monkeypatch.setattr(loop, "loss_of", watched)
    recipe = tiny.tiny_recipe(
        epochs=4, frozen_stride=2, loss_stride=2, early_share=0.5, early_scale=0.5
    )
    run = tiny.new_run(tmp_path, recipe)
    training = loop.prepare(dataset, recipe, run)
    stem = training.network.backbone.network.conv_stem.weight
    assert not stem.requires_grad
    train(dataset, recipe, run, quiet)
    assert seen == [(16, 16)] * 4 + [(32, 32)] * 4


@pytest.mark.parametrize(("share", "small"), [(0.25, 1), (0.3, 2), (0.9, 4), (1.0, 4)])
def test_photos_grow_in_the_midst_of_an_epoch(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, share: float, small: int
) -> None:
    """A large set has few epochs, or a single one: its first photos are small all the same."""
    recipe = tiny.tiny_recipe(epochs=1, batch_size=2, early_share=share)
    training = loop.prepare(dataset, recipe, tiny.new_run(tmp_path, recipe))
    whole = [labels for _, labels in batches_of_epoch(training.samples, 0)]
    sides = []
    for number, (_, labels) in enumerate(loop.batches_at_hand(training)):
        sides.append(labels.shape[1])
        if labels.shape[1] == 64:
            assert torch.equal(labels, whole[number])
        training.state.step += 1
    assert sides == [32] * small + [64] * (4 - small)


def test_norms_settle_in_the_midst_of_an_epoch(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics learn until then and are the same in every step after it, and all processes'."""
    recipe = tiny.tiny_recipe(epochs=4, norm_share=0.6, validation_interval=0.0)
    run = tiny.new_run(tmp_path, recipe)
    training = loop.prepare(dataset, recipe, run)
    followed: list[int] = []
    monkeypatch.setattr(
        Processes, "follow_first", lambda *networks: followed.append(training.state.step)
    )
    norm = training.network.backbone.network.bn1
    means = []

    def report(progress: loop.Progress) -> None:
        means.append(norm.running_mean.clone())

    while not training.state.finished:
        rate = loop.train_epoch(training, report)
        loop.end_epoch(training, training.state.mean_loss, rate)
    learning = [not torch.equal(a, b) for a, b in pairwise(means)]
    assert learning == [True] * 5 + [False] * 2  # the averaged statistics come in the sixth
    assert followed == [2, 4, 5, 6, 8]  # at the end of each epoch, and when they came
    assert torch.equal(training.average.network.backbone.network.bn1.running_mean, means[-1])


def test_pixels_of_the_loss_take_turns() -> None:
    counts = torch.zeros(7, 5)
    for step in range(9):
        counts[loop.loss_pixels(3, step)] += 1
    assert counts.min() == counts.max() == 1
    assert loop.loss_pixels(1, 5) is None


def test_what_one_process_does_alone_asks_the_others_nothing(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would not answer: both would wait for each other until they are given up."""
    run = tiny.new_run(tmp_path, tiny.tiny_recipe())
    training = loop.prepare(dataset, tiny.tiny_recipe(), run)
    training.processes = Processes(0, 2)

    def asked(*_: object) -> None:
        raise AssertionError("the other process was asked")

    for name in ("broadcast", "all_reduce"):
        monkeypatch.setattr(torch.distributed, name, asked)
    with pytest.raises(AssertionError, match="was asked"):
        _ = training.elapsed_s
    loop.keep_beginning(training)
    [row] = csv.DictReader(run.results.read_text().splitlines())
    assert (row["epoch"], load_best(run).epoch) == ("0", 0)


def test_the_network_is_compiled_where_asked(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only that it is asked for; the next test does it."""
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: asked.append(self))
    for compile in (False, True):
        recipe = tiny.tiny_recipe(compile=compile)
        run = tiny.new_run(tmp_path / str(compile), recipe)
        network = loop.prepare(dataset, recipe, run).network
        assert asked == ([network] if compile else [])


COMPILED = """
import json, sys
from functools import partialmethod
from pathlib import Path

import torch

sys.path.insert(0, sys.argv[1])
import tiny
from atrous.training.loop import train

# The steps that Inductor would turn into C++ for two minutes, run as they are.
torch.nn.Module.compile = partialmethod(
    torch.nn.Module.compile, backend="aot_eager", fullgraph=True
)
folder, losses = Path(sys.argv[2]), []
dataset = tiny.tiny_dataset(folder / "set")
for compile in (False, True):
    recipe = tiny.tiny_recipe(compile=compile, epochs=1)
    run = tiny.new_run(folder / str(compile), recipe)
    losses.append([])
    train(dataset, recipe, run, lambda progress: losses[-1].append(progress.loss))
graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
print(json.dumps({"plain": losses[0], "compiled": losses[1], "graphs": graphs}))
"""


@pytest.mark.slow
def test_a_compiled_training_is_one_graph_with_the_same_losses(tmp_path: Path) -> None:
    """In a process of its own: torch can't trace the type checks that the tests run under."""
    command = [sys.executable, "-c", COMPILED, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["graphs"] == 1  # whole: nothing sends it back to Python within a step
    assert found["plain"][0] != found["plain"][1]
    assert found["compiled"] == pytest.approx(found["plain"], rel=1e-5)
