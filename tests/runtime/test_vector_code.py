"""Powers of two are ones, and functions are written to an object file by their names."""

from collections.abc import Callable

import numpy as np
import pytest

PROGRAM = """
from atrous.runtime.vector_code import machine_code, power_of_two

found["powers"] = np.array([power_of_two(value) for value in given["values"]])

@cfunc(types.void(FLOATS), **SETTINGS)
def write_power(values):
    values[0] = power_of_two(values[1])

@cfunc(types.void(FLOATS), **SETTINGS)
def write_half(values):
    values[0] = values[1] / 2

@cfunc(types.void(FLOATS), **SETTINGS)
def left_out(values):
    values[0] = values[1]

found["code"] = np.frombuffer(machine_code(write_power, write_half), np.uint8)
"""
VALUES = np.append(np.linspace(-140, 125, 4001), [0, -np.inf, np.nan]).astype(np.float32)


@pytest.fixture(scope="module")
def found(run_program: Callable[..., dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return run_program(PROGRAM, values=VALUES)


def test_power_of_two(found: dict[str, np.ndarray]) -> None:
    *powers, of_zero, of_lowest, of_none = found["powers"]
    expected = np.exp2(np.maximum(VALUES[:-3], np.float32(-125)).astype(np.float64))
    assert np.abs(powers / expected - 1).max() < 2e-7
    assert of_zero == 1
    assert of_lowest == np.float32(2.0**-125)
    assert np.isnan(of_none)


def test_an_object_file_holds_all_of_the_functions_and_no_others(
    found: dict[str, np.ndarray],
) -> None:
    code = found["code"].tobytes()
    assert [name in code for name in (b"write_power", b"write_half", b"left_out")] == [
        True,
        True,
        False,
    ]
