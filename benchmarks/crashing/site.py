"""A real server and a real worker on one data folder, to be killed and begun again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from atrous.store import open_store

HOST = "127.0.0.1"
START_LIMIT_S = 180.0
END_LIMIT_S = 60.0
POLL_S = 0.05
TARGETS = ("server", "worker", "both", "child")


class Site:
    """`atrous serve` and `atrous worker`; close it, or use it in a `with` block."""

    def __init__(self, home: Path) -> None:
        """Start both on a data folder, which gets a key."""
        self.home = home
        self._port = _free_port()
        self.url = f"http://{HOST}:{self._port}"
        with open_store(home) as store:
            self.key = store.api_keys.create("crash", store.workspaces.default()).plain_text
        self._log = (home / "processes.log").open("ab")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.revive()

    def __enter__(self) -> "Site":
        """Give the site itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End both in order."""
        self.close()

    def revive(self) -> None:
        """Start what does not run, and wait until the server is ready."""
        for name, command in {
            "server": ["serve", "--host", HOST, "--port", str(self._port)],
            "worker": ["worker"],
        }.items():
            running = self._processes.get(name)
            if running is None or running.poll() is not None:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "atrous", *command],
                    env={**os.environ, "ATROUS_HOME": str(self.home)},
                    stdout=self._log,
                    stderr=self._log,
                )
        give_up = time.monotonic() + START_LIMIT_S
        while not self._is_ready():
            if time.monotonic() > give_up:
                raise TimeoutError(f"no server within {START_LIMIT_S} s; see {self._log.name}")
            time.sleep(POLL_S)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readiness", trust_env=False).status_code == 200
        return False

    def kill(self, target: str) -> None:
        """Send SIGKILL to the server, the worker, both, or the process that does the job."""
        if target == "child":
            for child in _children(self._processes["worker"].pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            return
        names = ("server", "worker") if target == "both" else (target,)
        for name in names:
            self._processes[name].kill()
        for name in names:
            self._processes[name].wait()

    def close(self) -> None:
        """End both as an operator would."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(END_LIMIT_S)
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _children(parent: int) -> list[int]:
    """The processes that a process began, by Linux' /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found
