import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.amp import GradScaler

from atrous.datasets.version import Dataset
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.training import loop
from atrous.training.checkpoint import load_best
from atrous.training.loop import Progress, train

SOURCE = Path(__file__).parents[2] / "src"
KILLED_TRAINING = Path(__file__).with_name("killed_training.py")


def quiet(progress: Progress) -> None:
    """Report nothing."""


@pytest.mark.parametrize(
    "choices",
    [
        {"early_share": 0.4, "loss_stride": 2},  # photos grow in the midst of an epoch
        {"optimizer": "sgd", "separable": False, "nesterov": True, "gradient_clip": 0.5},
        {"norm_share": 0.5},  # norms settle in the midst of an epoch, and stay so
        {"ema_decay": 0.0, "workers": 1, "norm": "frozen", "schedule": "cosine"},
        {"repeat_threshold": 1.0, "accumulation": 2, "loss": "ce + 0.5*lovasz + dice"},
        {"precision": "bf16", "copy_paste": 0.5, "class_weights": (1.0, 2.0, 1.0, 0.5)},
    ],
)
def test_resumed_is_uninterrupted_bit_for_bit(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, choices: dict[str, object]
) -> None:
    recipe = tiny.tiny_recipe(epochs=3, auxiliary_weight=0.4, **choices)
    whole = tiny.new_run(tmp_path / "whole", recipe)
    train(dataset, recipe, whole, quiet)
    parts = tiny.new_run(tmp_path / "parts", recipe)
    for epoch in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train(dataset, recipe, parts, tiny.stop_after(epoch))
    assert train(dataset, recipe, parts, quiet).finished
    assert tiny.weights(parts) == tiny.weights(whole)


def test_a_resume_does_not_read_what_the_run_started_from(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    """The file that it was to fine-tune is deleted meanwhile; frozen layers are still its."""
    earlier = tiny.tiny_recipe(epochs=1, seed=5)
    train(dataset, earlier, tiny.new_run(tmp_path / "earlier", earlier), quiet)
    [start] = (tmp_path / "earlier" / "checkpoints").glob("best-*.safetensors")
    recipe = tiny.tiny_recipe(start=str(start), frozen_stride=4)
    runs = [tiny.new_run(tmp_path / name, recipe) for name in ("whole", "parts")]
    train(dataset, recipe, runs[0], quiet)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, runs[1], tiny.stop_after(1))
    start.unlink()
    train(dataset, recipe, runs[1], quiet)
    assert tiny.weights(runs[1]) == tiny.weights(runs[0])


def test_fp16_resumes_with_the_scale_of_its_gradients(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scale that changes with every step, and with it what fp16 rounds; few and small photos."""

    def restless(recipe: object, device: torch.device) -> GradScaler:
        return GradScaler(device.type, init_scale=256.0, growth_factor=1.7, growth_interval=1)

    monkeypatch.setattr(loop, "gradient_scaler", restless)
    splits = {split: samples[:2] for split, samples in dataset.splits.items()}
    small = {"crop": Size(32, 32), "preprocess": PreprocessRecipe(Size(32, 32))}
    recipe = tiny.tiny_recipe(precision="fp16", batch_size=2, **small)
    runs = [tiny.new_run(tmp_path / name, recipe) for name in ("whole", "parts")]
    train(replace(dataset, splits=splits), recipe, runs[0], quiet)
    with pytest.raises(KeyboardInterrupt):
        train(replace(dataset, splits=splits), recipe, runs[1], tiny.stop_after(1))
    train(replace(dataset, splits=splits), recipe, runs[1], quiet)
    assert tiny.weights(runs[1]) == tiny.weights(runs[0])
    for run in runs:
        state = json.loads((run.checkpoints / "last.json").read_text())["state"]
        assert state["scaler"]["scale"] == pytest.approx(256 * 1.7**2)


def test_an_interrupt_loses_at_most_its_epoch(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path
) -> None:
    recipe = tiny.tiny_recipe(epochs=3)
    run = tiny.new_run(tmp_path, recipe)

    def stop_in_the_third(progress: Progress) -> None:
        if progress.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, run, stop_in_the_third)
    again: list[Progress] = []
    train(dataset, recipe, run, again.append)
    assert [progress.epoch for progress in again] == [3, 3, 3]


@pytest.mark.parametrize("choices", [{}, {"early_share": 0.5, "repeat_threshold": 1.0}])
def test_long_epochs_are_saved_in_their_midst(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choices: dict[str, float],
) -> None:
    """A step takes a minute here, an epoch has ten or more; after the sixth, one is saved."""
    splits = {**dataset.splits, "train": dataset.splits["train"] * 5}
    recipe = tiny.tiny_recipe(**choices)
    runs = [tiny.new_run(tmp_path / name, recipe) for name in ("whole", "parts")]
    whole = train(replace(dataset, splits=splits), recipe, runs[0], quiet)
    now_s = 0.0
    monkeypatch.setattr(loop.time, "monotonic", lambda: now_s)

    def stop_after_minutes(minutes: int) -> Callable[[Progress], None]:
        def report(progress: Progress) -> None:
            nonlocal now_s, minutes
            now_s, minutes = now_s + 60.0, minutes - 1
            if minutes < 0:
                raise KeyboardInterrupt

        return report

    begun = []
    for minutes in (3, 8, 3):
        with pytest.raises(KeyboardInterrupt):
            train(replace(dataset, splits=splits), recipe, runs[1], stop_after_minutes(minutes))
        last = runs[1].checkpoints / "last.json"
        begun.append(json.loads(last.read_text())["state"]["step"] if last.exists() else 0)
        assert load_best(runs[1]).epoch == 0
        assert load_best(runs[1]).metrics == {}
    assert begun == [0, 6, 6]
    again = train(replace(dataset, splits=splits), recipe, runs[1], stop_after_minutes(1000))
    assert tiny.weights(runs[1]) == tiny.weights(runs[0])
    figures = [
        [{**row, "elapsed_s": 0, "waiting_share": 0} for row in state.results]
        for state in (whole, again)
    ]
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """20 kills drawn from a seed, half of them while a checkpoint is written."""
    done = subprocess.run(
        [sys.executable, str(KILLED_TRAINING), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 20


def test_time_spent_before_a_resume_counts(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(10_000_000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(now) / 2)
    recipe = tiny.tiny_recipe(epochs=None, time_budget_s=40.0)
    run = tiny.new_run(tmp_path, recipe)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, run, tiny.stop_after(1))
    for _ in range(1000):  # the pause
        next(now)
    again: list[Progress] = []
    state = train(dataset, recipe, run, again.append)
    assert again[0].elapsed_s < 40
    assert state.epoch > 1
    assert state.elapsed_s < 40
