import shutil
from pathlib import Path

import pytest

from atrous.jobs.tensorboard_log import with_tensorboard
from atrous.training.loop import Progress


def progress(epoch: int, results: dict[str, object] | None) -> Progress:
    return Progress(epoch, 0.5, 1.0, 2.0, None, results)


def test_epochs_are_written_and_everything_is_passed_on(tmp_path: Path) -> None:
    seen = []
    report = with_tensorboard(seen.append, tmp_path)
    reports = [
        progress(1, None),
        progress(1, {"epoch": 1, "valid_miou": 0.5, "iou_a": None}),
        progress(2, {"epoch": 2, "valid_miou": 0.75, "iou_a": 0.5}),
    ]
    for one in reports:
        report(one)
    assert seen == reports
    [file] = (tmp_path / "tensorboard").iterdir()
    content = file.read_bytes()
    assert (content.count(b"valid_miou"), content.count(b"iou_a")) == (2, 1)


def test_a_log_that_can_not_be_written_ends_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Progress] = []
    report = with_tensorboard(seen.append, tmp_path)
    shutil.rmtree(tmp_path / "tensorboard")
    report(progress(7, {"epoch": 7, "valid_miou": 0.5}))
    assert [one.epoch for one in seen] == [7]
    assert "epoch 7 is not in the TensorBoard log: No such file" in caplog.text
