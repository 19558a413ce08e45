"""A real `atrous serve` on a data folder of its own, and the client that measures it."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.packages.directory import read_package
from atrous.store import open_store

HOST = "127.0.0.1"
CONFIDENCE = "0.01"  # as both workers take it
FORM = "application/x-www-form-urlencoded"  # what the official clients say of base64 text
IDLE_LIMIT_S = 3.0  # servers close connections that nobody used for 5 s
POLL_S = 0.01
START_LIMIT_S = 300.0
SERVE = (sys.executable, "-m", "atrous", "serve")
END_LIMIT_S = 60.0
STAGE_LINE = re.compile(r'^atrous_stage_seconds_(sum|count)\{stage="(\w+)"\} (\S+)$', re.MULTILINE)


class ServerFailed(Exception):
    """The server did not start, or did not answer with a mask."""


@dataclass(frozen=True)
class Published:
    """One model in a store, and a key that may ask it."""

    home: Path
    model_id: str
    package: Path  # its folder in the store
    key: str


def publish(home: Path, project: str, package: Path) -> Published:
    """Copy a package into the store under `home`, which is created where it is missing."""
    with open_store(home) as store:
        workspace = store.workspaces.default()
        model_id = store.models.publish(
            project, package, workspace_id=workspace.id, facts=read_package(package).facts
        )
        key = store.api_keys.create("benchmark", workspace).plain_text
        return Published(home, str(model_id), store.models.folder(model_id), key)


class Server:
    """One running server with its model loaded; close it, or use it in a `with` block."""

    def __init__(
        self,
        published: Published,
        log: Path,
        precision: str = "auto",
        *,
        command: Sequence[str] = SERVE,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Start it and wait until it is ready; `seconds_to_ready` says how long that took.

        settings: of the server, by their environment names.
        """
        self._published = published
        self._port = free_port()
        environment = {
            **os.environ,
            "ATROUS_HOME": str(published.home),
            "PRELOAD_MODELS": published.model_id,
            "PRECISION": precision,
            **(settings or {}),
        }
        start = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--host", HOST, "--port", str(self._port)],
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            wait_until_ready(self._process, self._port, "/readiness", log)
        except BaseException:
            self.close()
            raise
        self.seconds_to_ready = time.perf_counter() - start

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def port(self) -> int:
        """That it listens on."""
        return self._port

    def terminate(self) -> int:
        """Ask it to end, and give its exit status; it is killed where it takes too long."""
        end_process(self._process)
        return self._process.returncode

    def connect(self, photo: Path) -> "Connection":
        """A client's connection that posts this photo."""
        return Connection(self._port, self._published.model_id, self._published.key, photo)

    def stage_seconds(self) -> dict[str, tuple[float, float]]:
        """Per stage the seconds spent and the requests counted since the start, by /metrics."""
        return read_stages(get(self._port, "/metrics")[1].decode())

    def registry(self) -> dict[str, object]:
        """What /model/registry says of the model: engine and precision, where it names them."""
        path = f"/model/registry?api_key={self._published.key}"
        models = json.loads(get(self._port, path)[1]).get("models") or [{}]
        first: dict[str, object] = models[0]
        return first

    def close(self) -> None:
        """Ask it to end, and insist after a while."""
        end_process(self._process)

    def __enter__(self) -> "Server":
        """Give the server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    """Wait until `path` answers 200; ServerFailed where the process ends or it takes too long."""
    deadline = time.perf_counter() + START_LIMIT_S
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"the server ended before it was ready; see {log}")
        try:
            if get(port, path)[0] == 200:
                return
        except ConnectionError:
            pass  # it does not listen yet
        time.sleep(POLL_S)
    raise ServerFailed(f"the server was not ready after {START_LIMIT_S:.0f} s; see {log}")


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=START_LIMIT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and insist after a while."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Reply:
    """An answer of the server."""

    status: int
    retry_after: str | None
    body: bytes


class Connection:
    """A connection that is kept, and posts one photo as the official clients do."""

    def __init__(self, port: int, model_id: str, key: str, photo: Path) -> None:
        """Prepare the request; the first post opens the connection."""
        self._path = f"/{model_id}?confidence={CONFIDENCE}"
        self._body = base64.b64encode(photo.read_bytes())
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": FORM}
        self._connection = http.client.HTTPConnection(HOST, port, timeout=START_LIMIT_S)
        self._used = time.perf_counter()

    def post(self) -> int:
        """Send the photo, read the whole answer, and give its status."""
        return self.ask().status

    def ask(self) -> "Reply":
        """Send the photo and read the whole answer."""
        if time.perf_counter() - self._used > IDLE_LIMIT_S:
            self._connection.close()  # and opened anew by the request
        self._connection.request("POST", self._path, self._body, self._headers)
        response = self._connection.getresponse()
        body = response.read()
        self._used = time.perf_counter()
        return Reply(response.status, response.getheader("Retry-After"), body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def read_stages(metrics: str) -> dict[str, tuple[float, float]]:
    """Seconds and count per stage, from the text that /metrics answers.

    >>> read_stages('atrous_stage_seconds_sum{stage="decode"} 0.5\\n'
    ...             'atrous_stage_seconds_count{stage="decode"} 2.0\\n')
    {'decode': (0.5, 2.0)}
    """
    seconds: dict[str, float] = {}
    counts: dict[str, float] = {}
    for kind, stage, value in STAGE_LINE.findall(metrics):
        (seconds if kind == "sum" else counts)[stage] = float(value)
    return {stage: (seconds[stage], counts.get(stage, 0.0)) for stage in seconds}


def mean_stages(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]
) -> dict[str, float]:
    """Seconds of one request per stage, over the requests between two readings.

    >>> mean_stages({"decode": (0.5, 2.0)}, {"decode": (1.5, 4.0)})
    {'decode': 0.5}
    """
    means = {}
    for stage, (seconds, count) in after.items():
        seconds_before, count_before = before.get(stage, (0.0, 0.0))
        if count > count_before:
            means[stage] = (seconds - seconds_before) / (count - count_before)
    return means
