import io
import logging
from collections.abc import Iterator

import pytest
from rich.console import Console

from atrous.cli import training_progress
from atrous.cli.training_progress import TrainingBar, log_to_standard_error, spoken
from atrous.training.loop import Progress


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    logger = logging.getLogger("atrous")
    before, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


def step(**values: object) -> Progress:
    return Progress(**{"epoch": 2, "fraction": 0.4, "loss": 0.5, "elapsed_s": 60.0, **values})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0.0, "0s"),
        (59.9, "59s"),
        (60.0, "1m00s"),
        (754.0, "12m34s"),
        (3600.0, "1h00m"),
        (90000.0, "25h00m"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert spoken(seconds) == text


def test_an_epoch_is_a_line_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBar() as bar:
        log_to_standard_error(bar.console)
        bar.report(step(left_s=None))
        assert capsys.readouterr().err == ""
        bar.report(step(left_s=90.0, results={"valid_miou": 0.125, "waiting_share": 0.0312}))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip().endswith(
        "epoch 2: loss 0.5000, validation mIoU 0.1250, 3.1 % of its time waiting for photos; "
        "1m00s gone, 1m30s left"
    )
    assert err.count("\n") == 1


def test_an_epoch_that_was_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBar() as bar:
        log_to_standard_error(bar.console)
        bar.report(step(left_s=90.0, results={"valid_miou": None, "waiting_share": 0.0}))
    said = "epoch 2: loss 0.5000, 0.0 % of its time waiting for photos; 1m00s gone, 1m30s left"
    assert capsys.readouterr().err.strip().endswith(said)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(training_progress.sys, "stderr", screen)
    terminal = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(training_progress, "Console", lambda stderr: terminal)
    with TrainingBar() as bar:
        bar.report(step(left_s=90.0))
    shown = screen.getvalue()
    for part in ("epoch 2", "40%", "loss 0.500", "left 1m30s"):
        assert part in shown


def test_a_line_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "go on with: atrous train '/a/[b]/" + "very/long/" * 20 + "c d' --as cats"
    with TrainingBar() as bar:
        bar.say(line)
    assert capsys.readouterr() == ("", line + "\n")
