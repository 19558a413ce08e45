import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from atrous.datasets.detect import open_dataset
from atrous.domain.errors import OutOfMemory, TrainingFailed
from atrous.jobs import companions as module
from atrous.jobs.companions import Companion, companions, numbers_of
from atrous.jobs.train import finish_run, start_run
from atrous.jobs.training_request import TrainingRequest
from atrous.store.opening import Store
from atrous.training import loop
from atrous.training.loop import Progress, train
from atrous.training.processes import ALONE
from atrous.training.run_folder import RunFolder


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ended_process(tmp_path: Path, code: str) -> Companion:
    process = subprocess.Popen([sys.executable, "-c", code])
    process.wait()
    log = tmp_path / "1.log"
    log.write_text("loading\nout of memory\n")
    return Companion("process 2 of 2", process, log)


@pytest.mark.slow
def test_a_killed_companion_ends_the_training_and_resume_goes_on(
    store: Store, tiny: ModuleType, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes on the CPU; the second is killed in the second epoch, then both finish."""
    started: list[Companion] = []
    start = module._start

    def watched(*arguments: object) -> Companion:
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(module, "_start", watched)
    choices = {**tiny.CHOICES, "devices": 2}
    run = start_run(TrainingRequest(directory, "cats", choices=choices), store)
    recipe, dataset = run.read_recipe(), open_dataset(directory)

    def trained(report: Callable[[Progress], None]) -> bool:
        with companions(run, recipe) as processes:
            assert processes.count == 2
            return train(dataset, recipe, run, report, processes).finished

    def kill_in_the_second_epoch(progress: Progress) -> None:
        if progress.epoch == 2 and started[0].process.poll() is None:
            started[0].process.send_signal(signal.SIGKILL)
            started[0].process.wait()

    with pytest.raises(TrainingFailed, match="process 2 of 2 was ended by signal 9.*--resume"):
        trained(kill_in_the_second_epoch)
    assert not torch.distributed.is_initialized()
    assert "RANK" not in os.environ
    epochs: list[int] = []
    assert trained(lambda progress: epochs.append(progress.epoch))
    assert set(epochs) == {2}
    killed, finished = (other.process.poll() for other in started)
    assert killed == -signal.SIGKILL
    assert finished in (0, -signal.SIGTERM)  # the latter where it was slow to leave


@pytest.mark.slow
def test_out_of_memory_begins_again_in_more_parts(
    store: Store,
    tiny: ModuleType,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first of two processes holds one photo at once from the second epoch on."""
    seen: list[tuple[int, int]] = []
    epoch = 1
    computed = loop.loss_of

    def short_of_memory(output: Any, targets: torch.Tensor, recipe: Any) -> torch.Tensor:
        seen.append((epoch, len(targets)))
        if epoch == 2 and len(targets) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return computed(output, targets, recipe)

    def note(progress: Progress) -> None:
        nonlocal epoch
        epoch = progress.epoch + (progress.results is not None)

    monkeypatch.setattr(loop, "loss_of", short_of_memory)
    choices = {**tiny.CHOICES, "devices": 2}
    run = start_run(TrainingRequest(directory, "cats", choices=choices), store)
    assert finish_run(run, store, note)
    # Two steps of two photos; another that failed; two steps of a photo and another one.
    assert seen == [(1, 2), (1, 2), (2, 2), *[(2, 1)] * 4]
    assert "each with its photos of a batch in 2 parts" in caplog.text
    assert run.read_recipe().accumulation == 1


def test_a_companion_without_memory_is_told_from_others(tmp_path: Path) -> None:
    others = [ended_process(tmp_path, "raise SystemExit(4)")]
    with (
        pytest.raises(OutOfMemory, match="exit code 4"),
        module._explained(RunFolder(tmp_path), others),
    ):
        raise RuntimeError("Connection closed by peer")


def test_one_device_is_this_process(tiny: ModuleType, tmp_path: Path) -> None:
    with companions(RunFolder(tmp_path), tiny.tiny_recipe(devices=1)) as processes:
        assert processes is ALONE


def test_an_interrupt_ends_the_companions(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[Companion] = []

    def wait_forever(run: RunFolder, rank: int, *_: object) -> Companion:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        waiting.append(Companion(f"process {rank}", process, tmp_path / "log"))
        return waiting[-1]

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "END_S", 300.0)
    monkeypatch.setattr(module, "_start", wait_forever)
    monkeypatch.setattr(module, "joined", interrupted)
    three = tiny.tiny_recipe(devices=3)
    with pytest.raises(KeyboardInterrupt), companions(RunFolder(tmp_path), three):
        pass
    assert [other.process.poll() for other in waiting] == [-signal.SIGTERM] * 2


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("", None),
        ("raise SystemExit(3)", "process 2 of 2 ended with exit code 3: out of memory"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "process 2 of 2 was ended by signal 9: out of memory",
        ),
    ],
)
def test_how_a_companion_ended(tmp_path: Path, code: str, failure: str | None) -> None:
    assert ended_process(tmp_path, code).failure == failure


def test_an_error_of_this_process_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTICE_S", 0.0)
    well = ended_process(tmp_path, "")
    run = RunFolder(tmp_path)
    with pytest.raises(RuntimeError, match="shapes do not fit"), module._explained(run, [well]):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (["os.kill(os.getpid(), 9)"], "was ended by signal 9: out of memory; {resume}"),
        (["sys.exit(1)"], "ended with exit code 1: out of memory; {resume}"),
        (["sys.exit(3)"], "ended with exit code 3: out of memory"),
        (["os.kill(os.getpid(), 9)", "sys.exit(3)"], "ended with exit code 3: out of memory"),
    ],
)
def test_a_resume_is_advised_where_the_companion_advises_nothing(
    tmp_path: Path, codes: list[str], message: str
) -> None:
    """And a checkpoint is spoken of where there is one."""
    others = [ended_process(tmp_path, f"import os, sys; {code}") for code in codes]
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    for resume in (
        "begin again with --resume",
        "the last checkpoint is kept, go on with --resume",
    ):
        with pytest.raises(TrainingFailed) as caught, module._explained(run, others):
            raise RuntimeError("Connection closed by peer")
        assert str(caught.value) == f"process 2 of 2 {message.format(resume=resume)}"
        (run.checkpoints / "last.json").touch()


def test_stuck_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that never returns can't be interrupted: the process ends itself, and says why."""

    class Ended(Exception):
        pass

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(module, "STUCK_S", 0.0)
    monkeypatch.setattr(module.os, "_exit", end)
    with pytest.raises(Ended):
        module._end_if_stuck([ended_process(tmp_path, "raise SystemExit(3)")], threading.Event())


def test_numbers_are_those_of_torchrun() -> None:
    numbers = numbers_of(1, 4, 4321)
    assert numbers["RANK"] == numbers["LOCAL_RANK"] == "1"
    assert (numbers["WORLD_SIZE"], numbers["MASTER_PORT"]) == ("4", "4321")
    assert numbers["MASTER_ADDR"] == "127.0.0.1"
