import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.domain.errors import TrainingFailed
from atrous.jobs import train as train_module
from atrous.jobs.artefacts import read_results
from atrous.jobs.train import finish_run, start_run
from atrous.jobs.training_report import report_unfinished
from atrous.jobs.training_request import TrainingRequest
from atrous.store.opening import Store
from atrous.training.loop import Progress


def stopping_after(epochs: int, error: BaseException) -> Callable[[Any], None]:
    """A report that raises once so many epochs are done."""

    def report(progress: Any) -> None:
        if progress.results and progress.epoch >= epochs:
            raise error

    return report


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TrainingFailed("the loss became nan")])
def test_a_training_that_ends_early_leaves_its_report(
    store: Store, tiny: ModuleType, directory: Path, error: BaseException
) -> None:
    run = start_run(TrainingRequest(directory, "cats", choices=dict(tiny.CHOICES)), store)
    with pytest.raises(type(error)):
        finish_run(run, store, stopping_after(1, error))
    page = (run.path / "report.html").read_text()
    assert "unfinished; epoch 1 is the best so far" in page
    figures = json.loads((run.path / "metrics.json").read_text())
    best = json.loads((run.path / "checkpoints" / "best.json").read_text())
    assert figures["valid"]["miou"] == pytest.approx(best["metrics"]["miou"])
    names = {path.name for path in (run.path / "pictures").iterdir()}
    assert {"curves.png", "confusion-valid.png", "classes-valid.png"} < names
    assert not run.package.exists()


def test_an_interrupt_in_the_first_epoch_leaves_a_report_of_its_weights(
    store: Store, tiny: ModuleType, directory: Path
) -> None:
    """And a resume begins anew, as nothing was saved to go on from."""

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    run = start_run(TrainingRequest(directory, "cats", choices=dict(tiny.CHOICES)), store)
    with pytest.raises(KeyboardInterrupt):
        finish_run(run, store, interrupt)
    assert "unfinished; ended in its first epoch" in (run.path / "report.html").read_text()
    assert "miou" in json.loads((run.path / "metrics.json").read_text())["valid"]
    columns = read_results(run.results)
    assert (columns["epoch"], columns["valid_miou"]) == ([0], [None])
    assert columns["train_loss"][0] > 0
    names = {path.name for path in (run.path / "pictures").iterdir()}
    assert {"curves.png", "confusion-valid.png", "classes-valid.png"} < names
    assert any(name.startswith("valid-1-") and name.endswith(".jpg") for name in names)
    steps: list[Progress] = []
    finish_run(run, store, steps.append)
    assert steps[0].epoch == 1
    assert read_results(run.results)["epoch"][0] == 1
    assert "is published" in (run.path / "report.html").read_text()


def test_nothing_to_report_before_the_first_step(
    store: Store, tiny: ModuleType, directory: Path
) -> None:
    run = start_run(TrainingRequest(directory, "cats", choices=dict(tiny.CHOICES)), store)
    _, dataset = train_module.reopen(run)
    assert report_unfinished(run, dataset) is None
    assert not (run.path / "report.html").exists()


def test_a_full_disk_does_not_hide_why_the_training_ended(
    store: Store, tiny: ModuleType, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start_run(TrainingRequest(directory, "cats", choices=dict(tiny.CHOICES)), store)
    (run.path / "pictures").write_text("in the way, as a full disk would be")
    with pytest.raises(TrainingFailed, match="the disk is full"):
        finish_run(run, store, stopping_after(1, TrainingFailed("the disk is full")))
    assert "the report can't be written" in caplog.text
