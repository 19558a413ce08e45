import csv
import os
from pathlib import Path
from types import ModuleType

import pytest

from atrous.domain.errors import BadInput, Conflict, NotFound
from atrous.training import run_folder
from atrous.training.run_folder import RunFolder, write_whole


def test_the_recipe_is_kept(tiny: ModuleType, tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe(time_budget_s=1.5, seed=7)
    run = tiny.new_run(tmp_path / "a" / "run", recipe)
    assert RunFolder(run.path).read_recipe() == recipe
    assert run.checkpoints.is_dir()


def test_no_run_here(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=str(tmp_path)):
        RunFolder(tmp_path).read_recipe()


def test_a_folder_that_can_not_be_written(tiny: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match="file/run"):
        RunFolder(tmp_path / "file" / "run").create(tiny.tiny_recipe())


def test_one_process_at_a_time(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second `--resume` would remove what the first one is writing."""
    monkeypatch.setattr(run_folder, "CLAIM_S", 0.0)
    with pytest.raises(NotFound, match="no run to resume"):
        RunFolder(tmp_path).claimed().__enter__()
    run = tiny.new_run(tmp_path, tiny.tiny_recipe())
    with run.claimed(), pytest.raises(Conflict, match="another process; wait for it, or stop it"):
        RunFolder(tmp_path).claimed().__enter__()
    with run.claimed():
        assert run.read_recipe() == tiny.tiny_recipe()


def test_results_can_be_read_as_csv(tmp_path: Path) -> None:
    rows = [
        {"epoch": 1, "train_loss": 0.5, 'iou_a, "b"': None},
        {"epoch": 2, "train_loss": 0.25, 'iou_a, "b"': 0.75},
    ]
    run = RunFolder(tmp_path)
    for count in (1, 2):
        run.write_results(rows[:count])
        with run.results.open(newline="") as file:
            read = list(csv.DictReader(file))
        assert [row["epoch"] for row in read] == ["1", "2"][:count]
    assert read[0]['iou_a, "b"'] == ""
    assert float(read[1]['iou_a, "b"']) == 0.75


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.json"
    write_whole(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_data_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), fsync(fd)))
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (events.append("rename"), replace(self, to))[1]
    )
    write_whole(tmp_path / "file", b"data")
    assert events == ["sync", "rename", "sync"]
