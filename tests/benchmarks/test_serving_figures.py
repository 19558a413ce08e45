import doctest
import importlib

import numpy as np
import pytest
from serving.figures import (
    median_stages,
    paired_ratio,
    percentile_ms,
    runs_per_block,
    share_of_equal,
    times_of,
)


@pytest.mark.parametrize("name", ["cases", "figures", "load", "server_process"])
def test_examples_in_the_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"serving.{name}"))
    assert results.attempted
    assert not results.failed


def test_times_are_over_the_runs_of_all_alternations() -> None:
    times = times_of([[0.001, 0.002], [0.003], [0.1]])
    assert times.count == 4
    assert times.median_ms == pytest.approx(2.5)
    assert times.p95_ms == pytest.approx(np.percentile([1, 2, 3, 100], 95))


def test_ratio_is_paired_so_that_a_slow_machine_does_not_count() -> None:
    # In the second alternation the machine was ten times slower: for both sides.
    assert paired_ratio([[2.0], [20.0], [2.0]], [[1.0], [10.0], [1.0]]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([[1.0]], [[1.0], [1.0]])


def test_stages_that_one_alternation_lacks_count_as_nothing_there() -> None:
    assert median_stages([{"a": 0.002}, {}, {"a": 0.004}]) == {"a": pytest.approx(2.0)}
    assert median_stages([]) == {}


@pytest.mark.parametrize(("one", "runs"), [(10.0, 1), (0.25, 4), (0.0001, 20), (0.0, 20)])
def test_a_block_has_at_least_one_run_and_not_too_many(one: float, runs: int) -> None:
    assert runs_per_block(one, 1.0) == runs


def test_percentile_of_nothing_is_nothing() -> None:
    assert percentile_ms([], 99) is None
    assert percentile_ms([0.1, 0.3], 50) == pytest.approx(200)


def test_share_of_equal_pixels() -> None:
    first = np.zeros((10, 10), np.uint8)
    second = first.copy()
    second[0, :5] = 1
    assert share_of_equal(first, second) == pytest.approx(0.95)
    with pytest.raises(ValueError, match="can't be compared"):
        share_of_equal(first, first[:5])
