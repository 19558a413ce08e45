"""Does memory grow with the number of requests? A line through many looks at a process."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 0.35  # of the requests: pools, caches and the allocator fill first
MB = 1_000_000
MIB = 1024 * 1024
FEWEST_LOOKS = 10


@dataclass(frozen=True)
class Look:
    """How much memory of its own a process had when it had answered so many requests."""

    requests: int
    own_mib: float


@dataclass(frozen=True)
class Growth:
    """The line through the looks after the warm-up."""

    mb_per_10000: float
    requests: int  # that the line covers
    looks: int
    first_mib: float
    last_mib: float


def growth_of(looks: Sequence[Look]) -> Growth:
    """Fit a line to the looks after the warm-up.

    The slope is the median of those between all pairs of looks (Theil 1950, Sen 1968): a garbage
    collection or a page that came back bends the line of least squares, and hardly this one.
    """
    last = max((look.requests for look in looks), default=0)
    kept = [look for look in looks if look.requests >= WARM_UP * last]
    if len(kept) < FEWEST_LOOKS:
        raise ValueError(
            f"{len(kept)} looks at memory after the warm-up are too few for a line; "
            f"take {FEWEST_LOOKS} or more"
        )
    slopes = [
        (later.own_mib - earlier.own_mib) / (later.requests - earlier.requests)
        for earlier, later in itertools.combinations(kept, 2)
        if later.requests > earlier.requests
    ]
    return Growth(
        mb_per_10000=float(np.median(slopes)) * 10_000 * MIB / MB,
        requests=kept[-1].requests - kept[0].requests,
        looks=len(kept),
        first_mib=kept[0].own_mib,
        last_mib=kept[-1].own_mib,
    )
