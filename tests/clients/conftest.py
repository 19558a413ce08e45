"""A live server, and a Python that has the official clients."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

collect_ignore_glob = ["programs/*"]  # they need the other Python

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
WRITE_PACKAGE = ROOT / "tests" / "server" / "colour_package.py"
MODEL = "colours/1"
MAX_BODY_BYTES = 2_000_000
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Server:
    """A server in a process of its own, with one model and one key."""

    url: str
    key: str
    process: "subprocess.Popen[bytes]"
    log: Path


@pytest.fixture(scope="session")
def clients_python() -> str:
    chosen = os.environ.get("ATROUS_CLIENTS_PYTHON", str(ROOT / ".venv-clients/bin/python"))
    if not Path(chosen).exists():
        pytest.skip(
            f"no Python with the official clients at {chosen}: make a virtual environment with "
            "tests/clients/requirements.txt there, or name one in ATROUS_CLIENTS_PYTHON"
        )
    return chosen


@pytest.fixture(scope="session")
def home_of_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the model is published."""
    folder = tmp_path_factory.mktemp("server")
    environment = atrous_environment(folder / "home")
    package = folder / "package"
    run([sys.executable, str(WRITE_PACKAGE), str(package)], environment)
    run([sys.executable, "-m", "atrous", "models", "add", str(package), "--as", MODEL], environment)
    return folder / "home"


def atrous_environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of an atrous process: nothing of the caller's settings leaks in."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "ATROUS_HOME": str(home),
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
        **settings,
    }


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(home: Path, log: Path, **settings: str) -> Server:
    environment = atrous_environment(home, **settings)
    name = f"test{time.time_ns()}"
    key = run([sys.executable, "-m", "atrous", "keys", "create", name], environment).strip()
    port = free_port()
    command = [sys.executable, "-m", "atrous", "serve", "--port", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    server = Server(f"http://127.0.0.1:{port}", key, process, log)
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{server.url}/readiness", timeout=5) as answer:
                if answer.status == 200:
                    return server
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text()}")


def stop_server(server: Server) -> int:
    server.process.terminate()
    return server.process.wait(timeout=60)


@pytest.fixture(scope="session")
def server(home_of_model: Path) -> Iterator[Server]:
    started = start_server(
        home_of_model,
        home_of_model.parent / "server.log",
        MAX_BODY_BYTES=str(MAX_BODY_BYTES),
        ALLOW_NON_HTTPS_URL_INPUT="true",
        ALLOW_URL_INPUT_WITHOUT_FQDN="true",
        ALLOW_URL_TO_NON_GLOBAL_ADDRESSES="true",
    )
    yield started
    assert stop_server(started) == 0
    text = started.log.read_text()
    assert "Traceback" not in text
    assert not re.search(r"atr_[A-Za-z0-9_-]{20}", text), "a key was logged"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder of pictures, and the URL at which it is served."""
    folder = tmp_path_factory.mktemp("pictures")
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{web.server_address[1]}"
        web.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def run_program(clients_python: str, server: Server) -> Callable[..., str]:
    """Run a client's program with the server's address and key; give what it printed."""

    def run_one(program: str | Path, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [clients_python, "-W", "ignore", str(PROGRAMS / program), *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(server.log.parent),
                "SERVER": server.url,
                "API_KEY": server.key,
                "MODEL": MODEL,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_one
