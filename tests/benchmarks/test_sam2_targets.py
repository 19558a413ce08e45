import doctest
import importlib
from typing import Any

import pytest
from sam2_targets import judge

CROWD = {"slowest_over_fastest": 1.1, "median_over_alone": 7.0}


def figures(**changes: Any) -> dict[str, Any]:
    """What a machine measures that reaches every goal."""
    networks = {
        "encode": {"torch_over_atrous": 2.5},
        "decode": {"torch_over_atrous": 2.6, "atrous": {"median_ms": 20.0}},
    }
    http = {
        "click": {"median_ms": 44.0},
        "hundred_by_name": {"hundred_over_singles": 0.9},
        "hundred_with_photo": {"hundred_over_singles": 0.8},
        "eight_on_one_photo": CROWD,
        "eight_on_their_own": CROWD,
    }
    memory = {
        "small_networks": {"photos": 2000, "mib_per_1000_photos": 1.5},
        "real_networks": {"photos": 150, "mib_per_1000_photos": -20.0},
    }
    return {"networks": networks, "http": {**http, **changes}, "memory": memory}


@pytest.mark.parametrize("name", ["sam2_memory", "sam2_targets"])
def test_examples_in_the_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted
    assert not results.failed


def test_all_goals_are_judged() -> None:
    assert {target.verdict for target in judge({})} == {"not measured"}
    assert {target.verdict for target in judge(figures())} == {"hit"}


@pytest.mark.parametrize(
    "changes",
    [
        {"click": {"median_ms": 45.1}},
        {"hundred_by_name": {"hundred_over_singles": 1.01}},
        {"eight_on_one_photo": {**CROWD, "slowest_over_fastest": 2.1}},
        {"eight_on_their_own": {**CROWD, "median_over_alone": 8.1}},
    ],
)
def test_what_is_missed_is_said(changes: dict[str, Any]) -> None:
    """The worse of two crowds counts."""
    missed = [target for target in judge(figures(**changes)) if target.verdict != "hit"]
    assert [target.verdict for target in missed] == ["missed"]


def test_few_photos_say_nothing_about_memory() -> None:
    quick = figures()
    for side in quick["memory"].values():
        side.update(photos=24, mib_per_1000_photos=8000.0)
    verdicts = [target.verdict for target in judge(quick) if target.name.startswith("memory")]
    assert verdicts == ["not measured"] * 2


def test_a_slower_decoder_leaves_what_is_added_to_it() -> None:
    slower = figures(click={"median_ms": 60.0})
    slower["networks"]["decode"]["atrous"]["median_ms"] = 40.0
    [click] = [target for target in judge(slower) if target.name.startswith("a click")]
    assert (click.wanted, click.verdict) == ("at most 61 ms", "hit")
