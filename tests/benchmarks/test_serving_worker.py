import os
import sys
from pathlib import Path

import pytest
from serving.process_memory import available_bytes, forget_peak, peak_mib, resident_mib
from serving.worker_process import Worker, WorkerFailed

SERVING = Path(__file__).parents[2] / "benchmarks" / "serving"
LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
PROGRAM = f"""
import os, sys
sys.path.insert(0, {str(SERVING)!r})
from worker_loop import Stopwatch, answer_commands

def double(number):
    print("chatter of a library")
    os.write(1, b"and of its C code")
    return {{"number": 2 * number}}

def timed():
    watch = Stopwatch()
    for _ in range(2):
        watch.start()
        watch.lap("first")
        watch.lap("second")
    return watch.stages

answer_commands({{"double": double, "timed": timed, "end": lambda: os._exit(3)}})
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    with Worker(sys.executable, script, tmp_path / "log") as running:
        yield running


def test_a_worker_answers_whatever_its_libraries_print(worker: Worker, tmp_path: Path) -> None:
    assert worker.ask("double", number=4) == {"number": 8}
    assert worker.ask("double", number=5) == {"number": 10}
    assert "and of its C code" in (tmp_path / "log").read_text()


def test_a_failed_command_is_raised_and_the_worker_goes_on(worker: Worker) -> None:
    with pytest.raises(WorkerFailed, match="TypeError"):
        worker.ask("double", number=None)
    with pytest.raises(WorkerFailed, match="KeyError: 'unknown'"):
        worker.ask("unknown")
    assert worker.ask("double", number=1) == {"number": 2}


def test_a_worker_that_ends_is_an_error(worker: Worker) -> None:
    with pytest.raises(WorkerFailed, match="ended with status 3"):
        worker.ask("end")


def test_stopwatch_keeps_each_stage_of_each_run(worker: Worker) -> None:
    stages = worker.ask("timed")
    assert list(stages) == ["first", "second"]
    assert all(len(seconds) == 2 and min(seconds) >= 0 for seconds in stages.values())


@LINUX
def test_peak_memory_can_be_forgotten() -> None:
    block = bytearray(64 << 20)
    block[:: 1 << 12] = b"x" * (len(block) >> 12)
    peak = peak_mib(os.getpid())
    assert peak is not None
    del block
    forget_peak(os.getpid())
    after, now = peak_mib(os.getpid()), resident_mib(os.getpid())
    assert after is not None
    assert now is not None
    assert now <= after < peak - 32


@LINUX
def test_free_memory_is_known() -> None:
    available = available_bytes()
    assert available is not None
    assert available > 1 << 20


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert peak_mib(2**22 + 1) is None
