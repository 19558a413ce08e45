import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atrous.cli.main import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATROUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def atrous(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; give exit code, standard output and standard error."""
    monkeypatch.delenv("ATROUS_DEBUG", raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main sets it: put it back

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["atrous", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a training does to its process: log handlers, threads, memory settings."""
    import torch

    from atrous.training import loop

    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)
    logger = logging.getLogger("atrous")
    handlers, level, threads = list(logger.handlers), logger.level, torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    torch.set_num_threads(threads)
