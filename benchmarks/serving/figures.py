"""From seconds to the figures that are reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Times:
    """Milliseconds of many runs."""

    median_ms: float
    p95_ms: float
    count: int


def times_of(blocks: Sequence[Sequence[float]]) -> Times:
    """Summarise the seconds of all runs of all alternations together."""
    milliseconds = np.concatenate([np.asarray(block, float) for block in blocks]) * 1000
    return Times(
        median_ms=float(np.median(milliseconds)),
        p95_ms=float(np.percentile(milliseconds, 95)),
        count=len(milliseconds),
    )


def paired_ratio(slower: Sequence[Sequence[float]], faster: Sequence[Sequence[float]]) -> float:
    """How many times faster: per alternation the ratio of its two medians, then their median.

    Both sides of an alternation ran within seconds, so that what slows the machine down for a
    while slows both and leaves the ratio.

    >>> paired_ratio([[4.0, 4.0], [40.0]], [[1.0, 1.0], [10.0]])
    4.0
    """
    ratios = [np.median(a) / np.median(b) for a, b in zip(slower, faster, strict=True)]
    return float(np.median(ratios))


def median_stages(blocks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Milliseconds per stage: the median over alternations of seconds in each.

    >>> median_stages([{"decode": 0.001}, {"decode": 0.003}, {"decode": 0.002}])
    {'decode': 2.0}
    """
    names = list(blocks[0]) if blocks else []
    return {
        name: float(np.median([block.get(name, 0.0) for block in blocks])) * 1000 for name in names
    }


def runs_per_block(seconds_of_one: float, block_s: float, most: int = 20) -> int:
    """How many runs fit a block of one alternation; at least one."""
    return int(np.clip(block_s / max(seconds_of_one, 1e-6), 1, most))


def percentile_ms(seconds: Sequence[float], percent: float) -> float | None:
    """A percentile in milliseconds; None without any value."""
    return float(np.percentile(seconds, percent)) * 1000 if len(seconds) else None


def share_of_equal(first: np.ndarray, second: np.ndarray) -> float:
    """The share of pixels at which two label maps of one size say the same."""
    if first.shape != second.shape:
        raise ValueError(f"label maps of {first.shape} and {second.shape} can't be compared")
    return float((first == second).mean())
