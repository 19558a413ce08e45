"""Masks are those of NumPy in double precision; GELU is that of the error function."""

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from atrous.runtime.prompt_passes import GRID, MASKS, PromptPasses, stage_shapes

# Most, and on average, as parts of the standard deviation. Measured: half of it.
TOLERANCES = {"fp32": (1e-5, 1e-6), "bf16": (0.05, 0.005)}
GELU_ERRORS = {"fp32": 2e-6, "bf16": 3e-5}
PROGRAM = """
from atrous.runtime.mask_kernel import gelu

@cfunc(types.void(FLOATS, NUMBER), **SETTINGS)
def all_gelu(values, count):
    for i in range(count):
        values[i] = gelu(values[i])

found["made"] = given["values"].copy()
call(all_gelu, found["made"], found["made"].size)
"""
VALUES = np.append(np.linspace(-9, 9, 36_001), [0, -8, 8, -1e4, 1e4]).astype(np.float32)


def test_gelu(precision: str, run_program: Callable[..., dict[str, np.ndarray]]) -> None:
    made = run_program(PROGRAM, precision, values=VALUES)["made"]
    expected = [x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in VALUES.astype(np.float64)]
    assert np.abs(made - expected)[:-2].max() < GELU_ERRORS[precision]
    of_zero, of_low, of_high, of_lowest, of_highest = made[-5:]
    assert of_zero == 0
    assert abs(of_low) < GELU_ERRORS[precision]
    assert of_high == pytest.approx(8, abs=GELU_ERRORS[precision])
    assert of_lowest == pytest.approx(0, abs=1e4 * GELU_ERRORS[precision])
    assert of_highest == pytest.approx(1e4, rel=GELU_ERRORS[precision])


@pytest.mark.parametrize(("prompts", "points"), [(1, 1), (3, 1), (1, 2), (3, 4)])
def test_masks(prompts: int, points: int, precision: str, prompt_reference: ModuleType) -> None:
    expected = prompt_reference.expected(prompts, points)["logits"]
    found = prompt_reference.found(precision, prompts, points)["logits"]
    assert found.shape == expected.shape
    most, on_average = TOLERANCES[precision]
    distance = np.abs(found - expected) / expected.std()
    assert distance.max() < most
    assert distance.mean() < on_average


def test_pixels_lie_where_their_quarter_of_a_quarter_is(
    precision: str, prompt_reference: ModuleType
) -> None:
    terms, given = dict(prompt_reference.terms()), dict(prompt_reference.outputs(1, 1))
    numbers = np.arange(10, 10 + GRID * GRID * 16, dtype=np.float32)  # GELU leaves these as is
    y, row, column, lower_row, right_column, x = np.indices((GRID, 2, 2, 2, 2, GRID))
    terms["upscale"] = np.zeros_like(terms["upscale"])
    terms["of_cells_16"] = np.zeros_like(terms["of_cells_16"])
    terms["of_cells_16"].reshape(GRID, 16, 32, GRID)[:, :, 5] = numbers.reshape(GRID, 16, GRID)
    weights = np.zeros(stage_shapes(1, 1)["mask_weights"], np.float32)
    weights[0, :, 5] = [1, 2, 3, 4]
    given["mask_weights"] = weights
    [logits] = prompt_reference.answer(PromptPasses(precision), terms, given)["logits"]
    places = 4 * y + 2 * row + lower_row, 4 * x + 2 * column + right_column
    for mask in range(MASKS):
        expected = (mask + 1) * numbers.reshape(x.shape)
        np.testing.assert_allclose(logits[mask][places], expected, rtol=1e-5)
