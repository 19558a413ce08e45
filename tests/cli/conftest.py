import sys
from collections.abc import Callable
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
