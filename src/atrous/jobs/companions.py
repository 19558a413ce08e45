"""The other processes of a training on several GPUs: started, watched, and ended with this one.

This process is the first: it reports and writes all files, and exports and publishes after the
others have ended. They are `atrous.jobs.companion`, told their numbers as torchrun tells them.
"""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from atrous.domain.errors import OutOfMemory, TrainingFailed
from atrous.domain.recipes import TrainingRecipe
from atrous.training.checkpoint import has_last
from atrous.training.machine import devices_here
from atrous.training.processes import ALONE, Processes, joined
from atrous.training.run_folder import RunFolder

logger = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"  # the processes of one machine meet where no other machine can knock
END_S = 10.0  # a companion that was asked to end gets so long before it is killed
NOTICE_S = 5.0  # from an error here until the death that may have caused it is known
STUCK_S = 60.0  # from a companion's death until this process, stuck in a wait, is ended too
POLL_S = 0.2
# Exit codes of a companion whose last words say why it ended and what to do; the second where
# memory was short.
EXPLAINED, LACKS_MEMORY = 3, 4


@dataclass(frozen=True)
class Companion:
    """Another process of the training."""

    name: str  # as `process 2 of 4`
    process: "subprocess.Popen[bytes]"
    log: Path  # what it wrote on standard error

    @property
    def failure(self) -> str | None:
        """How it ended and its last words; None while it runs or where all went well."""
        code = self.process.poll()
        if not code:
            return None
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{self.name} {how}" + (f": {lines[-1]}" if lines else "")


@contextmanager
def companions(run: RunFolder, recipe: TrainingRecipe) -> Iterator[Processes]:
    """Start as many processes as the machine has of its devices, and end them on leaving.

    recipe: the run's, whose `accumulation` may have grown since it was written.
    Where one dies, what this process waits for fails, and TrainingFailed says which one died, or
    OutOfMemory where it lacked memory.
    """
    count = devices_here(recipe.devices)
    if count == 1:
        yield ALONE
        return
    logger.info("%d processes share each batch", count)
    store = _meeting_place(count)  # serves for as long as it is referred to
    with tempfile.TemporaryDirectory(prefix="atrous-") as logs, _numbers(0, count, store.port):
        others = [
            _start(run, rank, count, store.port, Path(logs), recipe.accumulation)
            for rank in range(1, count)
        ]
        over = threading.Event()
        threading.Thread(target=_end_if_stuck, args=(others, over), daemon=True).start()
        try:
            with joined() as processes, _explained(run, others):
                yield processes
            for other in others:  # they have nothing left to do
                with suppress(subprocess.TimeoutExpired):
                    other.process.wait(END_S)
        finally:
            over.set()
            _end(others)


def _meeting_place(count: int) -> TCPStore:
    """A store that the processes of this machine alone can reach."""
    listening = socket.create_server((LOOPBACK, 0))
    port = listening.getsockname()[1]
    return TCPStore(
        LOOPBACK,
        port,
        count,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )


def numbers_of(rank: int, count: int, port: int) -> dict[str, str]:
    """The environment variables by which torchrun tells a process its number and the others'.

    Its "agent" is the first process, which keeps the meeting place.
    """
    inner = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        **({"GLOO_SOCKET_IFNAME": inner[0]} if inner else {}),
    }


@contextmanager
def _numbers(rank: int, count: int, port: int) -> Iterator[None]:
    """Set them in this process, for as long as it trains."""
    numbers = numbers_of(rank, count, port)
    before = {name: os.environ[name] for name in numbers if name in os.environ}
    os.environ.update(numbers)
    try:
        yield
    finally:
        for name in numbers:
            del os.environ[name]
        os.environ.update(before)


def _start(
    run: RunFolder, rank: int, count: int, port: int, logs: Path, accumulation: int
) -> Companion:
    numbers = (str(os.getpid()), str(accumulation))
    log = logs / f"{rank}.log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "atrous.jobs.companion", str(run.path), *numbers],
            env={**os.environ, **numbers_of(rank, count, port)},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
    return Companion(f"process {rank + 1} of {count}", process, log)


@contextmanager
def _explained(run: RunFolder, others: Sequence[Companion]) -> Iterator[None]:
    """Say which companion died, where this process fails because one did."""
    try:
        yield
    except RuntimeError as error:
        limit_s = time.monotonic() + NOTICE_S
        while not (failures := _failures(others)) and time.monotonic() < limit_s:
            time.sleep(POLL_S)
        if not failures:
            raise
        short = LACKS_MEMORY in [other.process.poll() for other in others]
        failure = OutOfMemory if short else TrainingFailed
        raise failure(_with_remedy(run, others, failures)) from error


def _with_remedy(run: RunFolder, others: Sequence[Companion], failures: Sequence[str]) -> str:
    """What a companion says itself; else, as where one was killed, that a resume goes on."""
    explained = [other for other in others if other.process.poll() in (EXPLAINED, LACKS_MEMORY)]
    if explained:  # others may have failed because it did
        return _failures(explained)[0]
    kept = "the last checkpoint is kept, go on" if has_last(run) else "begin again"
    return f"{failures[0]}; {kept} with --resume"


def _failures(others: Sequence[Companion]) -> list[str]:
    return [other.failure for other in others if other.failure]


def _end_if_stuck(others: Sequence[Companion], over: threading.Event) -> None:
    """End this process where a companion's death leaves it waiting in a call that never returns.

    Between CPUs such a call fails at once; what GPUs do depends on where it hit them.
    """
    while not over.wait(POLL_S):
        failures = _failures(others)
        if failures and not over.wait(STUCK_S):
            logger.error("%s; this process waits for it in vain and ends as well", failures[0])
            os._exit(1)


def _end(others: Sequence[Companion]) -> None:
    for other in others:
        if other.process.poll() is None:
            other.process.terminate()
    for other in others:
        try:
            other.process.wait(END_S)
        except subprocess.TimeoutExpired:
            other.process.kill()
            other.process.wait()
