"""Public tests of the peer, roboflow/inference, unmodified against this server on port 9001.

ATROUS_PEER_TESTS names a checkout of that repository, of which nothing is kept here; without it
these tests are skipped.
"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PORT = 9001  # the suite knows no other for a local server
# The ids that the suite asks for; it never reads their answers, only refusals.
MODELS = ("coin-counting/137", "asl-poly-instance-seg/53", "catdog-w9i9e/18")
HOSTED = "tests/inference/hosted_platform_tests/test_roboflow_models.py"
SAM2_PICTURES = "source.roboflow.com"
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


def test_sam2(checkout, clients_python, free_port, conftest, tells, tmp_path) -> None:
    home = os.environ.get("ATROUS_PEER_SAM2_HOME")
    if not home:
        pytest.skip("ATROUS_PEER_SAM2_HOME names no data folder with the models of SAM 2")
    try:
        socket.getaddrinfo(SAM2_PICTURES, 443)
    except OSError:
        pytest.skip(f"the suite's picture is at {SAM2_PICTURES}, which can't be reached from here")
    tells("roboflow/inference", REVISION, "integration_tests/test_sam2.py: 16 tests")
    # The suite clears all models without a key.
    with conftest.running_server(Path(home), tmp_path / "log", "--no-auth", port=free_port):
        counts = run_suite(clients_python, checkout, SAM2, SKIP_SAM2_TESTS="false", API_KEY="none")
    assert counts == {"passed": 16}
