"""This end of the pipe: a child process that answers commands, in whatever Python it needs."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class WorkerFailed(Exception):
    """A worker answered with an error, or ended."""


class Worker:
    """One running worker; close it, or use it in a `with` block."""

    def __init__(
        self, python: str, script: Path, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `script`; what it prints besides answers goes to the file `log`."""
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [python, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, command: str, **values: Any) -> dict[str, Any]:
        """Run a command there and wait for its answer; WorkerFailed says what went wrong."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            pipe_in.write(json.dumps({"command": command, **values}) + "\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            raise WorkerFailed(f"the worker ended with status {status}; see {self._log}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        result: dict[str, Any] = answer["ok"]
        return result

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "Worker":
        """Give the worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()
