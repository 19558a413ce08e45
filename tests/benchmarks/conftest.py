import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # as for `python benchmarks/serve.py`


@pytest.fixture(autouse=True)
def ports_of_tests(free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests that run at the same time take none of the ports of a benchmark's servers."""
    monkeypatch.setattr("crashing.site._free_port", free_port)
    monkeypatch.setattr("serving.server_process.free_port", free_port)
