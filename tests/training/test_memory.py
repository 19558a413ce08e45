import platform
import subprocess
import sys
from pathlib import Path

import pytest

from atrous.runtime import process_memory
from atrous.training import memory

SOURCE = Path(__file__).parents[2] / "src"


def test_is_set_where_glibc_is() -> None:
    # In a process of its own: it can't be undone.
    code = "from atrous.training.memory import keep_freed_memory as k; print(k(), k())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=True
    )
    glibc = platform.libc_ver()[0] == "glibc"
    assert done.stdout.split() == [str(glibc)] * 2


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(process_memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
