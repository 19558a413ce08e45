import errno
import os
from pathlib import Path
from types import ModuleType

import pytest

from atrous.datasets.version import Dataset
from atrous.domain.errors import TrainingFailed
from atrous.training import loop
from atrous.training.full_disk import explained_full_disk, explained_write_errors
from atrous.training.loop import Progress, train
from atrous.training.run_folder import RunFolder


def quiet(progress: Progress) -> None:
    """Report nothing."""


def test_a_full_disk_keeps_the_last_checkpoint(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full from the second epoch on; once it is freed, the run goes on from there."""
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)
    recipe = tiny.tiny_recipe(epochs=2)
    run = tiny.new_run(tmp_path, recipe)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill_disk(progress: Progress) -> None:
        if progress.results:
            monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(TrainingFailed) as failed:
        train(dataset, recipe, run, fill_disk)
    assert "the disk is full; the checkpoint before it is kept" in str(failed.value)
    assert "go on with --resume: free" in str(failed.value)
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.undo()
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)
    seen: list[Progress] = []
    assert train(dataset, recipe, run, seen.append).finished
    assert {progress.epoch for progress in seen} == {2}


def test_ctrl_c_on_a_full_disk_says_so(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first epoch, whose weights are then to be kept for the report."""

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def interrupt(progress: Progress) -> None:
        monkeypatch.setattr(os, "fsync", no_space)
        raise KeyboardInterrupt

    recipe = tiny.tiny_recipe()
    run = tiny.new_run(tmp_path, recipe)
    with pytest.raises(TrainingFailed, match="the disk is full; no checkpoint is kept"):
        train(dataset, recipe, run, interrupt)
    assert not list(run.checkpoints.iterdir())


def test_other_reasons_are_named(tmp_path: Path) -> None:
    with (
        pytest.raises(
            TrainingFailed, match="Read-only file system; no checkpoint is kept.*repair that"
        ),
        explained_write_errors(RunFolder(tmp_path)),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_an_export_explains_a_full_disk_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    (run.checkpoints / "last.json").touch()
    with (
        pytest.raises(TrainingFailed, match="disk is full; the checkpoint before it is kept"),
        explained_full_disk(run),
    ):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    with pytest.raises(FileNotFoundError), explained_full_disk(run):
        (tmp_path / "photo that is gone").read_bytes()
