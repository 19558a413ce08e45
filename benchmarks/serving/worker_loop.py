"""The worker's end of a pipe: one JSON object per line asks, one answers. Standard library only."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def answer_commands(commands: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Run a command per line of standard input until it ends; its failure is an answer, too."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": commands[request.pop("command")](**request)}
        except Exception as error:  # noqa: BLE001 - it is raised at the other end of the pipe
            answer = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


class Stopwatch:
    """Seconds of the stages of many runs."""

    def __init__(self) -> None:
        """Start with no run."""
        self.stages: dict[str, list[float]] = {}
        self._last = time.perf_counter()

    def start(self) -> None:
        """Begin a run."""
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.stages.setdefault(stage, []).append(now - self._last)
        self._last = now
