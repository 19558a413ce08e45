"""Softmax that goes over a photo row by row, whatever the scores."""

from collections.abc import Callable

import numpy as np
import pytest

from atrous.runtime.prompt_passes import GRID, HEADS, WIDTH

Arrays = dict[str, np.ndarray]
TOKENS, LINES = 7, 24  # rows of the photo that tokens look at
ROWS = HEADS * TOKENS
COLUMNS = 64  # of shares: as many mixes, padded
PROGRAM = """
from atrous.runtime import prompt_steps as steps
from atrous.runtime.prompt_passes import ARRAYS, GRID, HEADS, work_sizes
from atrous.runtime.vector_code import ONE

TOKENS, LINES, ROWS, COLUMNS = given["sizes"].tolist()

@cfunc(steps.SIGNATURE, **SETTINGS)
def look(sizes, arrays):
    of = steps.by_name(arrays)
    steps.start_looking(of, ROWS, COLUMNS)
    for line in range(LINES):
        for i in range(ROWS * GRID):
            of.scores[i] = of.key_1[line * ROWS * GRID + i]
            of.own[i] = of.key_2[line * ROWS * GRID + i]
        steps.weigh(of, ROWS, 0, COLUMNS)
        steps.share(of, ROWS, 0, ROWS, COLUMNS)
        steps.see(of, TOKENS, 0, of.value_1, line, of.scale_1, line * GRID, True)
    steps.divide(of, ROWS, 16, 16, of.seen, of.seen_1)
    steps.divide(of, ROWS, ROWS, COLUMNS, of.shares, of.shares_2)

@cfunc(steps.SIGNATURE, **SETTINGS)
def tell(sizes, arrays):
    of = steps.by_name(arrays)
    steps.mix(of, TOKENS, ROWS * GRID)
    steps.norm(of.scale_2, 5, of.square_1, 256, of.numbers[0])

sizes = {**work_sizes(1, TOKENS), "seen_1": ROWS * 16, "shares_2": ROWS * ROWS}
places = {name: np.full(size, np.nan, np.float32) for name, size in sizes.items()}
places |= {name: given[name] for name in ("value_1", "square_1", "numbers", "key_2")}
places["scale_1"] = given["scale_1"]

def run(function):
    table = np.array([places[name].ctypes.data if name in places else 0 for name in ARRAYS])
    call(function, np.zeros(2, np.int64), table)

for name in [name for name in given if name.startswith("scores_")]:
    places["key_1"] = given[name]
    run(look)
    found[f"seen_{name}"], found[f"shares_{name}"] = (
        places[one].copy() for one in ("seen_1", "shares_2")
    )
places["own"] = given["own"]
run(tell)
found["own"], found["scale_2"] = places["own"], places["scale_2"]
"""


def scores(kind: str, random: np.random.Generator) -> np.ndarray:
    """Of rows and positions at each line, in powers of two."""
    noise = 3 * random.standard_normal((LINES, ROWS, GRID))
    lines = np.arange(LINES)[:, None, None]
    if kind == "rising":
        noise += 1e4 * lines
    elif kind == "falling":
        noise -= 1e4 * lines
    elif kind == "rising a little":
        noise += 5 * lines
    elif kind == "far apart":
        noise = 1e4 * random.standard_normal(noise.shape)
    elif kind == "one far the highest":
        noise[LINES // 2, :, 5] += 1e4
    elif kind == "equal":
        noise[:] = -7e4
    return noise.astype(np.float32)


KINDS = [
    *("random", "rising", "falling", "rising a little", "far apart"),
    *("one far the highest", "equal"),
]


@pytest.fixture(scope="module")
def given() -> Arrays:
    random = np.random.default_rng(6)
    arrays = {
        "value_1": random.standard_normal((HEADS, GRID, GRID, WIDTH), np.float32),
        "key_2": random.standard_normal((LINES, ROWS, GRID), np.float32),
        "scale_1": random.uniform(0.5, 2, (LINES, GRID)).astype(np.float32),
        "square_1": random.uniform(-50, 500, GRID).astype(np.float32),
        "numbers": np.array([0.5, 0, 0, 0], np.float32),
        # Scores of tokens in the second half, of which those of a few positions are far apart.
        "own": random.standard_normal((2, HEADS, TOKENS, GRID), np.float32),
        "sizes": np.array([TOKENS, LINES, ROWS, COLUMNS]),
    }
    arrays["own"][1, :, :, ::3] *= 1e4
    return {**arrays, **{f"scores_{kind}": scores(kind, random) for kind in KINDS}}


@pytest.fixture(scope="module")
def found(given: Arrays, run_program: Callable[..., Arrays]) -> Arrays:
    return run_program(PROGRAM, **given)


def weights_of(scores: np.ndarray) -> np.ndarray:
    """Rows, lines and positions."""
    by_row = scores.astype(np.float64).transpose(1, 0, 2)
    weights = np.exp2(by_row - by_row.max((1, 2), keepdims=True))
    return weights / weights.sum((1, 2), keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_seen_is_a_mean_by_powers_of_two_of_all_scores(
    kind: str, given: Arrays, found: Arrays
) -> None:
    weights = weights_of(given[f"scores_{kind}"]).reshape(HEADS, TOKENS, LINES * GRID)
    values = given["value_1"][:, :LINES] * given["scale_1"][..., None]
    expected = weights @ values.reshape(HEADS, LINES * GRID, WIDTH)
    seen = found[f"seen_scores_{kind}"].reshape(expected.shape)
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mixes_are_shared_by_the_same_weights(kind: str, given: Arrays, found: Arrays) -> None:
    weights = weights_of(given[f"scores_{kind}"]).reshape(ROWS, LINES * GRID)
    mixes = given["key_2"].transpose(1, 0, 2).reshape(ROWS, LINES * GRID)
    shares = found[f"shares_scores_{kind}"].reshape(ROWS, ROWS)
    np.testing.assert_allclose(shares, weights @ mixes.T, rtol=1e-5, atol=1e-5)


def test_a_position_that_is_far_the_highest_is_all_that_is_seen(
    given: Arrays, found: Arrays
) -> None:
    line, x = LINES // 2, 5
    seen = found["seen_scores_one far the highest"].reshape(HEADS, TOKENS, WIDTH)
    only = given["value_1"][:, line, x] * given["scale_1"][line, x]
    np.testing.assert_allclose(seen, np.broadcast_to(only[:, None], seen.shape), rtol=1e-6)


def test_tokens_are_mixed_by_powers_of_two_for_each_head(given: Arrays, found: Arrays) -> None:
    own = given["own"].astype(np.float64)
    weights = np.exp2(own[1] - own[1].max(1, keepdims=True))
    first, second = found["own"]
    expected = weights / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(second, expected, rtol=2e-6, atol=1e-30)
    np.testing.assert_array_equal(first, given["own"][0])


def test_norm_is_one_over_the_deviation_and_its_squares_are_never_below_0(
    given: Arrays, found: Arrays
) -> None:
    expected = 1 / np.sqrt(np.maximum(given["square_1"], 0) / 256 + 0.5)
    np.testing.assert_allclose(found["scale_2"][5 : 5 + GRID], expected, rtol=1e-6)
    assert np.isnan(found["scale_2"][:5]).all()
    assert np.isnan(found["scale_2"][5 + GRID :]).all()
