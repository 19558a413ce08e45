import csv
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from torch import Tensor

from atrous.datasets.version import Dataset, Sample
from atrous.domain.geometry import Size
from atrous.masks.metrics import ConfusionMatrix
from atrous.training import loop
from atrous.training.checkpoint import load_best
from atrous.training.loop import train
from atrous.training.running import EXPORT_S, Training


@pytest.mark.parametrize(
    ("choices", "measured"),
    [
        ({"validation_interval": 0.0}, [1, 2, 3, 4, 5]),
        ({"validation_interval": 6.0}, [1, 4, 5]),  # 18 photos of 8 an epoch
        ({"early_share": 0.8}, [1, 5]),  # 8 photos of half the size are worth 2
        ({"early_share": 0.5, "early_scale": 1.0}, [1, 2, 3, 4, 5]),
    ],
)
def test_a_validation_follows_on_several_times_its_photos(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    choices: dict[str, float],
    measured: list[int],
) -> None:
    """Three photos are measured; what was not is empty, and a resumed run does the same."""
    recipe = tiny.tiny_recipe(epochs=5, **choices)
    run = tiny.new_run(tmp_path / "whole", recipe)
    state = train(dataset, recipe, run, lambda _: None)
    with run.results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    for column in ("valid_miou", "valid_pixel_accuracy", "iou_circle"):
        assert [int(row["epoch"]) for row in rows if row[column]] == measured
    assert all(row["train_loss"] and row["elapsed_s"] for row in rows)
    assert state.best_epoch in measured
    assert load_best(run).epoch == state.best_epoch

    resumed = tiny.new_run(tmp_path / "resumed", recipe)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, resumed, tiny.stop_after(2))
    again = train(dataset, recipe, resumed, lambda _: None)
    figures = [[row["valid_miou"] for row in one.results] for one in (state, again)]
    assert figures[0] == figures[1]
    files = [sorted(one.checkpoints.glob("*.safetensors")) for one in (run, resumed)]
    assert len(files[0]) == len(files[1]) == 2
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


@pytest.mark.parametrize("budget_s", [60.0, 100.0])
def test_a_time_budget_is_kept_by_a_first_epoch_that_fills_it(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    budget_s: float,
) -> None:
    """By a clock on which a photo is trained in 3 s and measured in 1 s."""
    now_s = 0.0

    def gradients_of(training: Training, images: Tensor, *_: object) -> float:
        nonlocal now_s
        now_s += 3.0 * len(images)
        return 1.0

    def measure(predict: object, samples: list[Sample], classes: int) -> ConfusionMatrix:
        nonlocal now_s
        now_s += len(samples)
        return ConfusionMatrix.zeros(classes)

    monkeypatch.setattr(loop, "gradients_of", gradients_of)
    monkeypatch.setattr(loop, "measure", measure)
    monkeypatch.setattr(loop.time, "monotonic", lambda: now_s)
    splits = {**dataset.splits, "train": dataset.splits["train"] * 5}  # 120 s
    recipe = tiny.tiny_recipe(batch_size=1, time_budget_s=budget_s)
    run = tiny.new_run(tmp_path, recipe)
    state = train(replace(dataset, splits=splits), recipe, run, lambda _: None)
    assert state.epoch == 1
    assert state.validation_s == len(splits["valid"])
    figures_s = len(splits["valid"]) + len(splits["test"])
    left_s = budget_s - state.elapsed_s - EXPORT_S - figures_s
    assert -3.0 <= left_s <= 0.0  # but for the last step


def test_photos_are_measured_whole_and_trained_on_in_parts(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.time, "monotonic", lambda: 5.0)
    recipe = tiny.tiny_recipe(crop=Size(32, 64), time_budget_s=100.0)
    training = loop.prepare(dataset, recipe, tiny.new_run(tmp_path, recipe))
    assert training.training_s == 100 - EXPORT_S
    training.started_s, training.state.photos_unmeasured = 0.0, 10.0
    photo_s = 2 * (5.0 / 10) / 3  # of twice a crop's area
    assert training.training_s == pytest.approx(100 - EXPORT_S - photo_s * (3 + 3 + 2))
    training.state.validation_s = 6.0  # once it is known
    assert training.training_s == pytest.approx(100 - EXPORT_S - 2.0 * (3 + 3 + 2))


@pytest.mark.parametrize(
    ("exported", "times"),
    [
        ({"export_output_stride": 8}, 2),
        ({"export_side": 128}, 4),
        ({"export_flip": True}, 2),
        ({"export_output_stride": 8, "export_side": 128, "export_flip": True}, 16),
    ],
)
def test_the_package_is_measured_in_the_time_that_it_takes(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exported: dict[str, object],
    times: int,
) -> None:
    monkeypatch.setattr(loop.time, "monotonic", lambda: 5.0)
    recipe = tiny.tiny_recipe(time_budget_s=500.0, **exported)
    training = loop.prepare(dataset, recipe, tiny.new_run(tmp_path, recipe))
    training.state.validation_s = 6.0  # of 3 photos
    assert training.training_s == pytest.approx(500 - EXPORT_S - 6.0 - 2.0 * times * (3 + 2))


@pytest.mark.parametrize(("share", "due"), [(0.6, [5, 6, 7, 8]), (0.0, list(range(9))), (1.0, [])])
def test_norms_settle_once_from_their_share_on(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, share: float, due: list[int]
) -> None:
    recipe = tiny.tiny_recipe(epochs=4, norm_share=share)
    training = loop.prepare(dataset, recipe, tiny.new_run(tmp_path, recipe))
    found = []
    for step in range(9):
        training.state.step = step
        if training.norms_settle_now:
            found.append(step)
    assert found == due
    training.state.norms_settled = True
    assert not training.norms_settle_now
