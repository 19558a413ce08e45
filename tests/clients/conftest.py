"""A live server, the Pythons that have the official clients, and what answers are right."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrous.store import open_store

collect_ignore_glob = ["programs/*"]  # they need the other Python

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SEEDS = ROOT.parent / "shared" / "seeds"
WRITE_PACKAGE = ROOT / "tests" / "server" / "colour_package.py"
MODEL = "colours/1"
MAX_BODY_BYTES = 2_000_000
START_TIMEOUT_S = 300  # on a machine with other work
OPEN_URLS = {  # pictures by URL from this machine
    "ALLOW_NON_HTTPS_URL_INPUT": "true",
    "ALLOW_URL_INPUT_WITHOUT_FQDN": "true",
    "ALLOW_URL_TO_NON_GLOBAL_ADDRESSES": "true",
    "URL_TIMEOUT_S": "300",
}
# Where the two sets of clients are, by the variables that name other places.
PYTHONS = {
    "ATROUS_CLIENTS_PYTHON": ROOT / ".venv-clients" / "bin" / "python",
    "ATROUS_OLD_CLIENTS_PYTHON": ROOT / ".venv-clients-old" / "bin" / "python",
}


def load_beside(name: str) -> ModuleType:
    """Import a file of this folder, which is no package; "../name" is in the folder above."""
    spec = importlib.util.spec_from_file_location(
        Path(name).name, Path(__file__).parent / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


right_answers = load_beside("right_answers")
free_port = load_beside("../free_ports").free_port


@dataclass(frozen=True)
class Row:
    """A line of docs/compatibility.md. `but` is what a client can't do, and the test proves."""

    client: str
    version: str
    call: str
    but: str = ""


ROW = pytest.StashKey[Row]()
ROWS = pytest.StashKey[list[dict[str, Any]]]()


@pytest.fixture(scope="session")
def conftest() -> ModuleType:
    """This module, for tests that use its functions with values of their own."""
    return sys.modules[__name__]


@pytest.fixture
def tells(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Say which line of the compatibility table the test decides."""

    def tell(client: str, version: str, call: str, but: str = "") -> None:
        request.node.stash[ROW] = Row(client, version, call, but)

    return tell


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and not report.skipped and ROW in item.stash:
        row = {**asdict(item.stash[ROW]), "works": report.passed}
        row |= {"file": item.path.name, "date": time.strftime("%Y-%m-%d")}
        item.config.stash.setdefault(ROWS, []).append(row)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the lines where `make clients` wants them; those of files that were not run stay."""
    target = os.environ.get("ATROUS_COMPATIBILITY")
    rows = session.config.stash.get(ROWS, [])
    if target and rows:
        file = Path(target)
        before = json.loads(file.read_text("utf-8"))["rows"] if file.exists() else []
        run = {row["file"] for row in rows}
        merged = [row for row in before if row["file"] not in run] + rows
        dates = sorted({row["date"] for row in merged})
        measured = {"date": " to ".join(dict.fromkeys((dates[0], dates[-1]))), "rows": merged}
        file.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


@dataclass(frozen=True)
class Server:
    """A server in a process of its own, with one model and one key."""

    url: str
    key: str
    process: "subprocess.Popen[bytes]"
    log: Path


def python_with_clients(variable: str) -> str:
    chosen = os.environ.get(variable, str(PYTHONS[variable]))
    if not Path(chosen).exists():
        pytest.skip(
            f"no Python with the clients at {chosen}: `make test` installs them, or name it"
        )
    return chosen


@pytest.fixture(scope="session")
def clients_python() -> str:
    return python_with_clients("ATROUS_CLIENTS_PYTHON")


@dataclass(frozen=True)
class Sdk:
    """An installed inference-sdk."""

    python: str
    version: str

    @property
    def is_old(self) -> bool:
        """Tell whether it is of the 0.x line: keys travel in queries and JSON bodies only."""
        return self.version.startswith("0.")


@pytest.fixture(scope="session", params=list(PYTHONS), ids=["sdk", "old sdk"])
def sdk(request: pytest.FixtureRequest) -> Sdk:
    python = python_with_clients(request.param)
    return Sdk(python, installed_version(python, "inference-sdk"))


def installed_version(python: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version('{package}'))"
    return run([python, "-c", code], {}).strip()


@pytest.fixture(scope="session")
def version_of() -> Callable[[str, str], str]:
    """Give the version of a package in a Python."""
    return installed_version


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
        "PRECISION": "fp32",  # the same answers on every machine
        "REQUEST_TIMEOUT_S": "900",  # a first answer waits for its model to load
        **settings,
    }


def run(command: list[str], environment: dict[str, str], folder: Path | None = None) -> str:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_server(
    home: Path, log: Path, *options: str, port: int | None = None, **settings: str
) -> Server:
    environment = atrous_environment(home, **settings)
    with open_store(home) as store:
        created = store.api_keys.create(f"test{time.time_ns()}", store.workspaces.default())
    key = created.plain_text
    port = port or free_port()
    command = [sys.executable, "-m", "atrous", "serve", "--port", str(port), *options]
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
    process.kill()
    process.wait()
    raise AssertionError(f"not ready: {log.read_text()}")


def stop_server(server: Server) -> int:
    server.process.terminate()
    return server.process.wait(timeout=300)


@contextmanager
def running_server(
    home: Path, log: Path, *options: str, port: int | None = None, **settings: str
) -> Iterator[Server]:
    """A server that must end well, and whose log must hold neither a key nor a traceback."""
    started = start_server(home, log, *options, port=port, **settings)
    try:
        yield started
    finally:
        status = stop_server(started)
    assert status == 0
    text = started.log.read_text()
    assert "Traceback" not in text
    assert not re.search(r"atr_[A-Za-z0-9_-]{20}", text), "a key was logged"


@pytest.fixture(scope="session")
def start(home_of_model: Path) -> Callable[..., Any]:
    """`running_server` on the folder with the model."""

    def start_one(log: Path, *options: str, port: int | None = None, **settings: str) -> Any:
        return running_server(home_of_model, log, *options, port=port, **settings)

    return start_one


@pytest.fixture(scope="session")
def open_urls() -> dict[str, str]:
    return OPEN_URLS


@pytest.fixture(scope="session")
def server(start: Callable[..., Any], home_of_model: Path) -> Iterator[Server]:
    log = home_of_model.parent / "server.log"
    with start(log, MAX_BODY_BYTES=str(MAX_BODY_BYTES), **OPEN_URLS) as started:
        yield started


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
def picture(pictures: tuple[Path, str]) -> Path:
    pixels = right_answers.draw_picture()
    Image.fromarray(pixels).save(pictures[0] / "picture.png")
    return pictures[0] / "picture.png"


@pytest.fixture(scope="session")
def turned(picture: Path) -> Path:
    """The picture as a camera on its side stores it: its EXIF says how to turn it back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.open(picture).transpose(Image.Transpose.ROTATE_90)
    stored.save(picture.with_name("turned.jpg"), exif=exif, quality=95, subsampling=0)
    return picture.with_name("turned.jpg")


@pytest.fixture(scope="session")
def check() -> Callable[..., None]:
    """Compare an answer with the file that was sent: `check(answer, png)`."""
    return right_answers.check_answer


@pytest.fixture(scope="session")
def run_program(server: Server) -> Callable[..., str]:
    """Run a client's program with a server's address and key; give what it printed."""

    def run_one(
        python: str, program: str | Path, *arguments: str, at: Server = server, **environment: str
    ) -> str:
        return run(
            [python, "-W", "ignore", str(PROGRAMS / program), *arguments],
            {
                "PATH": os.environ["PATH"],
                "HOME": str(at.log.parent),
                "SERVER": at.url,
                "API_KEY": at.key,
                "MODEL": MODEL,
                **environment,
            },
        )

    return run_one


@pytest.fixture(scope="session")
def read_mask() -> Callable[[str], np.ndarray]:
    """Decode a mask, which must be 8-bit greyscale."""
    return right_answers.decode_mask


@pytest.fixture(scope="session")
def decode() -> Callable[[bytes], np.ndarray]:
    """Decode a picture's file to RGB, turned as its EXIF says."""
    return right_answers.decode_picture


@pytest.fixture(scope="session")
def seed() -> Callable[[str], str]:
    """Read a page of the hosted API's documentation, or skip where it is not at hand."""

    def read(name: str) -> str:
        if not (SEEDS / name).exists():
            pytest.skip("the seed documents are not beside the project")
        return (SEEDS / name).read_text("utf-8")

    return read


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Give the path of a program, or skip the test where it is not installed."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find
