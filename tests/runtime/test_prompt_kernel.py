"""Passes 1 to 3 give what NumPy does in double precision, and the machine code stands alone."""

import re
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from atrous.runtime.machine_code import MachineCode
from atrous.runtime.prompt_passes import PASSES, PROGRAMS

# Most, and on average, as parts of the standard deviation. Measured: half of it.
TOLERANCES = {"fp32": (2e-4, 2e-5), "bf16": (0.2, 0.01)}
NAMES = {1: ("seen_1",), 2: ("seen_2", "shares_2"), 3: ("seen_3", "shares_3", "scale_3")}


def test_nothing_of_python_is_called(
    precision: str, object_file_of: Callable[[MachineCode], bytes]
) -> None:
    code = object_file_of(PROGRAMS[precision])
    assert [name for name in PASSES if name.encode() not in code] == []
    assert re.findall(rb"Py[A-Z_]\w{3,}|NRT_|numba", code) == []


@pytest.mark.parametrize(("prompts", "points"), [(1, 1), (3, 1), (1, 2), (3, 4)])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_look_at_the_photo(
    number: int, prompts: int, points: int, precision: str, prompt_reference: ModuleType
) -> None:
    expected = prompt_reference.expected(prompts, points)
    found = prompt_reference.found(precision, prompts, points)
    most, on_average = TOLERANCES[precision]
    for name in NAMES[number]:
        assert found[name].shape == expected[name].shape
        distance = np.abs(found[name] - expected[name]) / expected[name].std()
        assert distance.max() < most, name
        assert distance.mean() < on_average, name
