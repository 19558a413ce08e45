import importlib.util
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from atrous.cli import worker
from atrous.jobs import worker as jobs_worker
from atrous.jobs.worker import DATASET_KINDS, KINDS
from atrous.store import open_store

ROOT = Path(__file__).parents[2]


def start(home: Path, *options: str) -> "subprocess.Popen[str]":
    """A worker, once it waits for jobs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "atrous", "worker", *options],
        env={**os.environ, "ATROUS_HOME": str(home), "PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "waits for jobs" in line:
            return process
    raise AssertionError("the worker ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0(home: Path, number: signal.Signals) -> None:
    process = start(home)
    process.send_signal(number)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "Traceback" not in rest


@pytest.mark.parametrize(("options", "kinds"), [((), KINDS), (("--only", "data"), DATASET_KINDS)])
def test_which_jobs_it_takes(
    atrous, home: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], kinds
) -> None:
    taken = []
    monkeypatch.setattr(jobs_worker, "work", lambda *given: taken.append(given[-1]))
    monkeypatch.setattr(worker.signal, "signal", lambda *given: None)
    assert atrous("worker", *options)[0] == 0
    assert taken == [kinds]


# What keeps everything of `atrous[train]` from being imported.
LIGHT = """
import sys

class Light:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "torchvision", "timm", "accelerate", "onnxscript", "transformers"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Light())
import atrous.jobs.dataset_child, atrous.jobs.worker
"""


def test_jobs_on_data_need_nothing_of_training() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_does_not_outlive_its_parent(home: Path) -> None:
    process = start(home, "--parent", str(os.getppid()))  # which is not the worker's parent
    process.communicate(timeout=300)
    assert process.returncode == 0


def test_it_stays_while_its_parent_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PARENT_POLL_S", 0.01)
    parents = iter([7, 7, 7, 1])
    monkeypatch.setattr(worker.os, "getppid", lambda: next(parents))
    stopping = threading.Event()
    worker._follow(7, stopping)
    assert stopping.is_set()
    assert list(parents) == []


def test_a_light_installation_says_what_is_missing(
    atrous, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "torch" else find_spec(name, *rest),
    )
    code, out, err = atrous("worker")
    assert (code, out) == (1, "")
    assert err.startswith("error: training needs torch")
    taken = []
    monkeypatch.setattr(jobs_worker, "work", lambda *given: taken.append(given[-1]))
    monkeypatch.setattr(worker.signal, "signal", lambda *given: None)
    assert atrous("worker", "--only", "data")[0] == 0
    assert taken == [DATASET_KINDS]
    with open_store(home) as store:
        assert store.jobs.list() == []
