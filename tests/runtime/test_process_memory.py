import sys

import numpy as np
import pytest

from atrous.runtime.process_memory import GrowthMeter, give_back_freed, resident_bytes

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
MIB = 1 << 20


@linux
def test_growth_is_that_of_what_was_made_meanwhile() -> None:
    meter = GrowthMeter()
    mark = meter.begin()
    held = np.ones(64 * MIB, np.uint8)
    grown = meter.end(mark)
    assert grown is not None
    assert 60 * MIB < grown < 80 * MIB
    assert held[-1] == 1


@linux
def test_what_was_freed_is_given_back() -> None:
    give_back_freed()
    before = resident_bytes()
    blocks = [bytearray(b"1" * 100_000) for _ in range(600)]  # small ones: kept by malloc
    kept = blocks[::200]
    del blocks
    give_back_freed()
    after = resident_bytes()
    assert before is not None
    assert after is not None
    assert after - before < 10 * MIB
    assert len(kept) == 3


def test_two_at_once_can_not_be_told_apart() -> None:
    meter = GrowthMeter()
    first, second = meter.begin(), meter.begin()
    assert meter.end(first) is None
    assert meter.end(second) is None
    third = meter.begin()
    assert (meter.end(third) is None) == (resident_bytes() is None)
