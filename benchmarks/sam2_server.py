"""A real `atrous serve` that answers for SAM 2, and clients that click."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from serving.process_memory import resident_mib
from serving.server_process import HOST, end_process, free_port, wait_until_ready

ANSWER_LIMIT_S = 300.0


class SamServer:
    """One running server without keys, on a data folder; used in a `with` block."""

    def __init__(self, home: Path, log: Path, **settings: str) -> None:
        """Start it and wait until it is ready; settings by their names in the environment."""
        self.port = free_port()
        environment = {**os.environ, "ATROUS_HOME": str(home), **settings}
        command = [sys.executable, "-m", "atrous", "serve", "--host", HOST, "--no-auth"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=environment, stdout=output, stderr=output
            )
        try:
            wait_until_ready(self._process, self.port, "/readiness", log)
        except BaseException:
            end_process(self._process)
            raise

    def connect(self) -> "Client":
        """A client with a connection of its own."""
        return Client(self.port)

    def resident_mib(self) -> float | None:
        """Memory of the process; None where the system does not say."""
        return resident_mib(self._process.pid)

    def __enter__(self) -> "SamServer":
        """Give the server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        end_process(self._process)


class Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        """The first post opens the connection."""
        self._connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_LIMIT_S)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send JSON and give the answer's; RuntimeError unless it says 200."""
        self._connection.request(
            "POST", path, json.dumps(body), {"Content-Type": "application/json"}
        )
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {answer[:300]!r}")
        parsed: dict[str, Any] = json.loads(answer)
        return parsed

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Clicks:
    """What clients got who clicked again as soon as the last click was answered."""

    clients: int
    answered: int
    per_second: float
    median_ms: float
    p95_ms: float
    medians_ms: list[float]  # of each client, the quickest first

    @property
    def slowest_over_fastest(self) -> float:
        """How unevenly clients were served."""
        return self.medians_ms[-1] / self.medians_ms[0]


def click_body(named: dict[str, Any], index: int) -> dict[str, Any]:
    """A click somewhere in the photo."""
    place = {"x": 37.0 * index % 1232, "y": 61.0 * index % 821, "positive": True}
    return {**named, "format": "json", "prompts": [{"points": [place]}]}


def clicks_at_once(
    server: SamServer, photos: Sequence[dict[str, Any]], *, seconds: float
) -> Clicks:
    """Let a client for each name of a photo click on it, all at the same time."""
    took: list[list[float]] = [[] for _ in photos]
    begin = time.perf_counter()

    def keep_clicking(number: int) -> None:
        client = server.connect()
        while time.perf_counter() < begin + seconds:
            start = time.perf_counter()
            body = click_body(photos[number], number + len(took[number]) * len(photos))
            client.post("/sam2/segment_image", body)
            took[number].append(time.perf_counter() - start)
        client.close()

    threads = [
        threading.Thread(target=keep_clicking, args=(number,)) for number in range(len(photos))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - begin
    together = np.concatenate(took) * 1000
    return Clicks(
        clients=len(photos),
        answered=len(together),
        per_second=len(together) / whole,
        median_ms=float(np.median(together)),
        p95_ms=float(np.percentile(together, 95)),
        medians_ms=sorted(float(np.median(one)) * 1000 for one in took),
    )
