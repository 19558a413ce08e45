"""Public tests of the peer, roboflow/inference, unmodified against this server on port 9001.

ATROUS_PEER_TESTS names a checkout of that repository, of which nothing is kept here; without it
these tests are skipped. ATROUS_PEER_SAM2_HOME may name a data folder with the four sizes of SAM 2;
else they are small networks that draw discs.
"""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
OTHER_HOST = Path(__file__).parent / "programs" / "other_host"
WRITE_SAM2 = ROOT / "tests" / "server" / "disc_sam2.py"
PORT = 9001  # the suite knows no other for a local server
# The ids that the suite asks for; it never reads their answers, only refusals.
MODELS = ("coin-counting/137", "asl-poly-instance-seg/53", "catdog-w9i9e/18")
HOSTED = "tests/inference/hosted_platform_tests/test_roboflow_models.py"
SAM2_PICTURES = "source.roboflow.com"
SAM2_PICTURE = "D8zLgnZxdqtqF0plJINA/DqK7I0rUz5HBvu1hdNi6/original.jpg"
REVISION = "3bb973b5c"  # the commit whose counts are asserted here
SAM2 = "tests/inference/integration_tests/test_sam2.py"


@pytest.fixture(scope="session")
def checkout() -> Path:
    named = os.environ.get("ATROUS_PEER_TESTS")
    if not named:
        pytest.skip("ATROUS_PEER_TESTS names no checkout of roboflow/inference")
    return Path(named)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.skip(f"port {PORT} is in use")
    return PORT


@pytest.fixture
def peer_server(home_of_model, start, atrous, free_port, tmp_path):
    package = str(home_of_model.parent / "package")
    for model in MODELS:
        atrous("models", "add", package, "--as", model)
    with start(tmp_path / "log", port=free_port) as server:
        yield server


@pytest.fixture
def atrous(home_of_model, conftest):
    """Run a command of atrous on the folder with the model."""
    environment = conftest.atrous_environment(home_of_model)
    return lambda *words: conftest.run([sys.executable, "-m", "atrous", *words], environment)


def run_suite(python: str, checkout: Path, *arguments: str, **environment: str) -> dict[str, int]:
    """Run files of the suite; give how many tests ended how."""
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout), **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    counts = re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    return {word: int(number) for number, word in counts}


def test_hosted_platform_refusals(checkout, clients_python, peer_server, tells) -> None:
    tells("roboflow/inference", REVISION, "hosted_platform_tests, refusals of images: 18 tests")
    counts = run_suite(
        clients_python,
        checkout,
        HOSTED,
        "-k",
        "non_https or ip_address or numpy_array",
        HOSTED_PLATFORM_TESTS_PROJECT="roboflow-platform-localhost",
        HOSTED_PLATFORM_TESTS_API_KEY=peer_server.key,
        # It would warm up models of other kinds, which have nothing to do with these tests.
        HOSTED_PLATFORM_TESTS_MIN_WARMUP_SUCCESS_RESPONSES="0",
    )
    assert counts == {"passed": 18}


@pytest.fixture
def picture_host(tmp_path, tool) -> Iterator[dict[str, str]]:
    """The host of the suite's picture, on this machine: the settings of a server that asks it.

    The suite is not changed, and neither is the URL that the server is sent.
    """
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", f"/CN={SAM2_PICTURES}", "-addext", f"subjectAltName=DNS:{SAM2_PICTURES}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [tool("openssl"), *make.split(), *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    pixels = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    (tmp_path / "web" / Path(SAM2_PICTURE).parent).mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "web" / SAM2_PICTURE)
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    handler = partial(Handler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        web.socket = context.wrap_socket(web.socket, server_side=True)
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield {
            "PYTHONPATH": os.pathsep.join([str(OTHER_HOST), str(ROOT / "src")]),
            "OTHER_HOST": SAM2_PICTURES,
            "OTHER_HOST_PORT": str(web.server_address[1]),
            "OTHER_HOST_CERTIFICATE": str(certificate),
            "ALLOW_URL_TO_NON_GLOBAL_ADDRESSES": "true",
            "URL_TIMEOUT_S": "60",
        }
        web.shutdown()
        thread.join()
    assert set(asked) == {f"/{SAM2_PICTURE}"}


@pytest.fixture
def home_of_sizes(home_of_model) -> Path:
    """A data folder with the four sizes: the one that is named, or small networks."""
    if named := os.environ.get("ATROUS_PEER_SAM2_HOME"):
        return Path(named)
    for size in ("hiera_tiny", "hiera_small", "hiera_b_plus", "hiera_large"):
        folder = home_of_model / "sam2" / f"{size}-2.1"
        if not folder.exists():
            command = [sys.executable, str(WRITE_SAM2), str(folder)]
            environment = {"PYTHONPATH": str(ROOT / "src")}
            subprocess.run(command, env=environment, check=True, timeout=300)
    return home_of_model


def test_sam2(
    checkout, clients_python, free_port, conftest, tells, tmp_path, home_of_sizes, picture_host
) -> None:
    tells("roboflow/inference", REVISION, "integration_tests/test_sam2.py: 16 tests")
    # The suite clears all models without a key.
    with conftest.running_server(
        home_of_sizes, tmp_path / "log", "--no-auth", port=free_port, **picture_host
    ):
        counts = run_suite(clients_python, checkout, SAM2, SKIP_SAM2_TESTS="false", API_KEY="none")
    assert counts == {"passed": 16}
