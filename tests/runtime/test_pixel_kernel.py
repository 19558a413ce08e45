"""The machine code stands alone, and its power of two is one.

What it writes is compared with PyTorch in test_pixel_classes.py.
"""

import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module")
def answers() -> list[str]:
    """What a process with Numba says, so that the tests' own needs none."""
    code = """
import numpy as np
from atrous.runtime import pixel_kernel
values = np.linspace(-140, 125, 4001).astype(np.float32)
found = np.array([pixel_kernel.power_of_two(value) for value in values])
expected = np.exp2(np.maximum(values, np.float32(-125)).astype(np.float64))
print(np.abs(found / expected - 1).max())
print(pixel_kernel.power_of_two(np.float32(0)))
print(pixel_kernel.power_of_two(np.float32(np.nan)))
code = pixel_kernel.machine_code()
print(b"write_pixels" in code)
print([name for name in (b"Py", b"NRT_", b"numba") if name in code])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_power_of_two(answers: list[str]) -> None:
    assert float(answers[0]) < 2e-7
    assert float(answers[1]) == 1
    assert np.isnan(float(answers[2]))


def test_nothing_of_python_is_called(answers: list[str]) -> None:
    assert answers[3:] == ["True", "[]"]
