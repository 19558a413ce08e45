"""Products of words are those of NumPy, with numbers that are rounded to bfloat16 before or not."""

from collections.abc import Callable

import numpy as np
import pytest

from atrous.runtime.prompt_passes import GRID

Arrays = dict[str, np.ndarray]
# Starts and steps are other than 0 and the width, so that it shows where one is left out.
PROGRAM = """
from atrous.runtime import word_products as words

@cfunc(types.void(FLOATS, FLOATS, FLOATS, *[NUMBER] * 4), **SETTINGS)
def multiply(c, a, b, rows, columns, steps, adds):
    words.product(rows, columns, c, 1, columns + 2, a, 2, steps + 1, b, 3, columns + 4, steps, adds)

@cfunc(types.void(FLOATS, FLOATS, FLOATS, NUMBER), **SETTINGS)
def multiply_floats(c, a, b, steps):
    words.float_product(c, 1, 70, a, 2, steps, b)

@cfunc(types.void(*[FLOATS] * 5, NUMBER), **SETTINGS)
def square(c, grams, gram_words, mixes, mixes_words, size):
    words.upper_as_words(gram_words, grams, 2, size)
    words.rows_as_words(mixes_words, 5, mixes, 3, size)
    words.quadratic(size, c, gram_words, size * size // words.PER_WORD, mixes_words, 5)

@cfunc(types.void(FLOATS, FLOATS, FLOATS, NUMBER), **SETTINGS)
def there_and_back(back, between, rows, count):
    words.rows_as_words(between, 5, rows, 3, count)
    words.words_as_rows(back, 7, between, 5, count)

@cfunc(types.void(FLOATS, FLOATS, FLOATS, NUMBER), **SETTINGS)
def neighbours(target, source, factor, count):
    words.as_words(target, source, count, factor[0])

@cfunc(types.void(*[FLOATS] * 6, NUMBER, NUMBER, NUMBER), **SETTINGS)
def share(c, weights, mixes, factors, work, turned, rows, count, has_factors):
    words.positions_as_words(work, 3, mixes, 2, count, factors, 4, False)
    words.turn(turned, 1, count, work, 3)
    words.positions_as_words(work, 3, weights, 1, rows, factors, 4, has_factors)
    words.product(rows, count, c, 0, count, work, 3, words.ROW_WORDS, turned, 1, count,
                  words.ROW_WORDS, 0)

def space(size):
    return np.full(size, 9, np.float32)

for number, (rows, columns, sums, adds) in enumerate(given["sizes"].tolist()):
    found[f"c_{number}"] = given[f"c_{number}"]
    call(multiply, found[f"c_{number}"], given[f"a_{number}"], given[f"b_{number}"],
         rows, columns, sums // words.PER_WORD, adds)
found["floats"] = space(1 + 4 * 70)
call(multiply_floats, found["floats"], given["float_a"], given["float_b"], 9)
for size in (56, 112):
    found[f"inner_{size}"] = given[f"inner_{size}"]
    call(square, found[f"inner_{size}"], given[f"grams_{size}"], space(2 * size * size),
         given["mixes"], space(size * 64 + 5), size)
found["back"] = space(7 + 10 * 64)
call(there_and_back, found["back"], space(5 + 10 * 64), given["mixes"], 10)
found["neighbours"] = space(201)
call(neighbours, found["neighbours"], given["mixes"], np.array([1.5], np.float32), 200)
for has_factors in (0, 1):
    found[f"shares_{has_factors}"] = space(7 * 48)
    call(share, found[f"shares_{has_factors}"], given["weights"], given["mixes"],
         given["factors"], space(3 + 48 * 64), space(1 + 48 * 64), 7, 48, has_factors)
"""
# Rows, columns, numbers along the sum, and whether it is added.
PRODUCTS = [
    *((4, 64, 16, 0), (8, 128, 6, 1), (7, 64, 16, 1), (3, 64, 2, 0)),
    *((4, 80, 16, 0), (5, 112, 56, 1), (1, 16, 4, 0), (6, 48, 0, 0)),
]
CLOSE = {"rtol": 1e-5, "atol": 2e-5}


def rounded(values: np.ndarray, precision: str) -> np.ndarray:
    if precision == "fp32":
        return values
    bits = values.view(np.uint32) + np.uint32(0x8000)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def as_words(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Of numbers that are bfloat16."""
    lower = np.ascontiguousarray(low).view(np.uint32) >> np.uint32(16)
    return (lower | np.ascontiguousarray(high).view(np.uint32)).view(np.float32)


def spaced(start: int, rows: np.ndarray, gap: int) -> np.ndarray:
    """Rows one after the other, with a gap after each."""
    return np.pad(np.pad(rows, [(0, 0), (0, gap)]).ravel(), (start, 0))


@pytest.fixture(scope="module")
def given(precision: str) -> Arrays:
    random = np.random.default_rng(5)

    def numbers(*shape: int) -> np.ndarray:
        return rounded(random.standard_normal(shape, np.float32), precision)

    arrays = {"mixes": numbers(3 + 112 * GRID), "weights": numbers(1 + 7 * GRID)}
    # Powers of two: products with them are as exact as what is multiplied.
    arrays["factors"] = np.exp2(random.integers(-2, 3, 4 + GRID)).astype(np.float32)
    arrays |= {"float_a": numbers(2 + 4 * 9) / 3, "float_b": numbers(9, GRID) / 3}
    for size in (56, 112):
        grams = numbers(2, size, size)
        upper = np.triu(grams)
        arrays[f"grams_{size}"] = upper + np.triu(grams, 1).transpose(0, 2, 1)
        arrays[f"inner_{size}"] = numbers(size * GRID)
    for number, (rows, columns, sums, _) in enumerate(PRODUCTS):
        arrays[f"left_{number}"] = numbers(rows, sums)
        arrays[f"right_{number}"] = numbers(sums, columns)
        arrays[f"before_{number}"] = numbers(1 + rows * (columns + 2))
    return arrays


@pytest.fixture(scope="module")
def found(given: Arrays, precision: str, run_program: Callable[..., Arrays]) -> Arrays:
    arrays = {**given, "sizes": np.array(PRODUCTS)}
    for number in range(len(PRODUCTS)):
        a, b = given[f"left_{number}"], given[f"right_{number}"]
        if precision == "bf16":
            a, b = as_words(a[:, ::2], a[:, 1::2]), as_words(b[::2], b[1::2])
        arrays[f"a_{number}"], arrays[f"b_{number}"] = spaced(2, a, 1), spaced(3, b, 4)
        arrays[f"c_{number}"] = given[f"before_{number}"]
    return run_program(PROGRAM, precision, **arrays)


@pytest.mark.parametrize("number", range(len(PRODUCTS)), ids=map(str, PRODUCTS))
def test_product(number: int, given: Arrays, found: Arrays) -> None:
    rows, columns, _, adds = PRODUCTS[number]
    expected = given[f"before_{number}"].astype(np.float64)
    target = expected[1:].reshape(rows, columns + 2)[:, :columns]
    product = given[f"left_{number}"].astype(np.float64) @ given[f"right_{number}"]
    target[:] = adds * target + product
    np.testing.assert_allclose(found[f"c_{number}"], expected, **CLOSE)


def test_float_product(given: Arrays, found: Arrays) -> None:
    expected = np.full(1 + 4 * 70, 9.0)
    target = expected[1:].reshape(4, 70)[:, :GRID]
    target[:] = given["float_a"][2:].reshape(4, 9).astype(np.float64) @ given["float_b"]
    np.testing.assert_allclose(found["floats"], expected, **CLOSE)


@pytest.mark.parametrize("size", [56, 112])
def test_the_upper_half_of_a_symmetric_matrix_makes_its_squares(
    size: int, given: Arrays, found: Arrays
) -> None:
    mixes = given["mixes"][3 : 3 + size * GRID].reshape(size, GRID).astype(np.float64)
    added = found[f"inner_{size}"] - given[f"inner_{size}"].astype(np.float64)
    squares = (mixes * added.reshape(size, GRID)).sum(0)
    expected = (mixes * (given[f"grams_{size}"][1] @ mixes)).sum(0)
    np.testing.assert_allclose(squares, expected, rtol=1e-5, atol=2e-3)


def test_rows_as_words_and_back(given: Arrays, found: Arrays) -> None:
    np.testing.assert_array_equal(found["back"][:7], 9)
    np.testing.assert_array_equal(found["back"][7:], given["mixes"][3 : 3 + 10 * GRID])


def test_neighbours_as_words_are_the_nearest(given: Arrays, found: Arrays, precision: str) -> None:
    values = rounded(np.float32(1.5) * given["mixes"][:200], precision)
    words = as_words(values[::2], values[1::2]) if precision == "bf16" else values
    written, beside = found["neighbours"][: words.size], found["neighbours"][words.size :]
    np.testing.assert_array_equal(written.view(np.uint32), words.view(np.uint32))
    np.testing.assert_array_equal(beside, 9)


@pytest.mark.parametrize("has_factors", [0, 1])
def test_sums_over_positions(has_factors: int, given: Arrays, found: Arrays) -> None:
    weights = given["weights"][1:].reshape(7, GRID).astype(np.float64)
    factors = given["factors"][4:] if has_factors else 1
    mixes = given["mixes"][2 : 2 + 48 * GRID].reshape(48, GRID)
    shares = found[f"shares_{has_factors}"].reshape(7, 48)
    np.testing.assert_allclose(shares, (weights * factors) @ mixes.T, rtol=1e-5, atol=5e-5)
