"""The short form of `benchmarks/crash.py`: real processes, killed at moments drawn by a seed."""

import math
import random
import sys
from pathlib import Path

import crash
import pytest
from crashing.verification import unfinished_files

KILLS = 3
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds processes by /proc"
)


def test_moments_are_spread_over_all_that_goes_on() -> None:
    plan = crash._plan(list(crash.AIMS), 50, random.Random(1))
    counts = [plan.count(aim) for aim in crash.AIMS]
    assert sum(counts) == len(plan) == 50
    assert max(counts) - min(counts) <= 1


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    result = crash.run(home, KILLS, seed, photos=2, limit_s=math.inf, trains=False)
    assert result["problems"] == []
    assert len(result["kills"]) == KILLS
    assert result["acknowledged"]["labels"] >= 3
    if not result["given_up"]:
        assert result["acknowledged"]["zips"] >= 1
        assert result["acknowledged"]["search exports"] >= 1
    assert unfinished_files(home) == []
