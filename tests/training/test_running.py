import csv
from pathlib import Path
from types import ModuleType

import pytest

from atrous.datasets.version import Dataset
from atrous.training import loop
from atrous.training.checkpoint import load_best
from atrous.training.loop import train


@pytest.fixture(autouse=True)
def memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)


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
