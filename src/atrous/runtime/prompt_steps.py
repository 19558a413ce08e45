"""Steps of the passes in `prompt_kernel.py`, at a row of 64 positions of the photo.

Only processes that compile import this, see `machine_code.py`. Arrays of a row have 64 positions
side by side; scores are in powers of two.
"""

from collections import namedtuple
from typing import no_type_check

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from atrous.runtime.prompt_passes import ARRAYS, GRID, HEADS, PADDED_TO, WIDTH
from atrous.runtime.vector_code import LANES, ONE, ZERO, compiled, power_of_two
from atrous.runtime.word_products import (
    PER_WORD,
    ROW_WORDS,
    positions_as_words,
    product,
    turn,
)

HEAD_WORDS = WIDTH // PER_WORD
HEAD_STEP = HEAD_WORDS * GRID * GRID  # from one head's words of the photo to the next one's
TWO = np.float32(2)
assert LANES == PADDED_TO  # what arrays have space for
FLOATS, NUMBERS = map(types.CPointer, (types.float32, types.int64))
[TABLE] = map(types.CPointer, [FLOATS])
SIGNATURE = types.void(NUMBERS, TABLE)
Places = namedtuple("Places", ARRAYS)  # type: ignore[misc]
any_order = njit(error_model="numpy", fastmath={"reassoc", "nnan", "nsz"})  # for a maximum


@intrinsic
@no_type_check
def by_name(typing_context, table):
    """The addresses in a table, by their names in `ARRAYS`."""
    kind = types.NamedUniTuple(FLOATS, len(ARRAYS), Places)

    def write_down(context, builder, signature, arguments):
        [table] = arguments
        size = context.get_value_type(types.int64)
        places = [builder.load(builder.gep(table, [size(i)])) for i in range(len(ARRAYS))]
        return context.make_tuple(builder, signature.return_type, places)

    return kind(table), write_down


@compiled
@no_type_check
def padded(rows):
    """Rows, and as many more as make whole vectors."""
    return (rows + LANES - 1) // LANES * LANES


@compiled
@no_type_check
def by_head(tokens, c, c0, a, prompt, b, y, adds):
    """The vectors of a prompt's tokens times those of positions, for each head; HEAD_WORDS each."""
    for head in range(HEADS):
        product(tokens, GRID, c, c0 + head * tokens * GRID, GRID,
                a, (prompt * HEADS + head) * tokens * HEAD_WORDS, HEAD_WORDS,
                b, y * GRID + head * HEAD_STEP, GRID * GRID, HEAD_WORDS, adds)  # fmt: skip


@any_order
@no_type_check
def highest(values, start):
    """Of a row."""
    found = values[start]
    for x in range(1, GRID):
        found = max(found, values[start + x])
    return found


@compiled
@no_type_check
def scaled(values, start, count, factor):
    """Values times a factor, in place."""
    for i in range(start, start + count):
        values[i] *= factor


@compiled
@no_type_check
def weigh(of, rows, first, n):
    """Make weights of scores: powers of two of how far they are below the highest so far.

    What was summed by lower ones follows when that rises. first: the prompt's row in the sums.
    """
    for row in range(rows):
        start, place = row * GRID, first + row
        top = highest(of.scores, start)
        if top > of.limits[place]:
            factor = power_of_two(of.limits[place] - top)
            scaled(of.totals, place * 2 * GRID, 2 * GRID, factor)
            scaled(of.seen, place * WIDTH, WIDTH, factor)
            scaled(of.shares, place * n, n, factor)
            of.limits[place] = top
        limit, total = of.limits[place], place * 2 * GRID
        for x in range(GRID):
            weight = power_of_two(of.scores[start + x] - limit)
            of.scores[start + x] = weight
            of.totals[total + x] += weight


@compiled
@no_type_check
def times(rows, values, start, factors, f0):
    """Rows times a factor of each position, in place."""
    for row in range(rows):
        for x in range(GRID):
            values[start + row * GRID + x] *= factors[f0 + x]


@compiled
@no_type_check
def mix(of, tokens, start):
    """Softmax over the tokens of each head, from `start` on in `own`."""
    own, best, total = of.own, of.best, of.total
    for head in range(HEADS):
        first = start + head * tokens * GRID
        for x in range(GRID):
            best[x], total[x] = own[first + x], ZERO
        for row in range(1, tokens):
            for x in range(GRID):
                value = own[first + row * GRID + x]
                best[x] = value if value > best[x] else best[x]
        for row in range(tokens):
            for x in range(GRID):
                weight = power_of_two(own[first + row * GRID + x] - best[x])
                own[first + row * GRID + x] = weight
                total[x] += weight
        for x in range(GRID):
            total[x] = ONE / total[x]
        times(tokens, own, first, total, 0)


@compiled
@no_type_check
def plus(values, start, number):
    """Add a number to a row."""
    for x in range(GRID):
        values[start + x] += number


@compiled
@no_type_check
def add_squares(of, rows):
    """Add what mixes and their products make of squares, at each position."""
    for row in range(rows):
        for x in range(GRID):
            of.total[x] += of.own[row * GRID + x] * of.inner[row * GRID + x]


@compiled
@no_type_check
def fill(values, count, value):
    """The same value everywhere."""
    for i in range(count):
        values[i] = value


@compiled
@no_type_check
def divide(of, rows, width, n, sums, target):
    """Means from sums: rows of `width` out of `n`, over their totals."""
    for row in range(rows):
        total = ZERO
        for x in range(GRID):
            total += of.totals[row * 2 * GRID + x]
        for i in range(width):
            target[row * width + i] = sums[row * n + i] / total


@compiled
@no_type_check
def see(of, tokens, prompt, value, y, scale, at, is_scaled):
    """Add what the weights give of the photo's values, times a scale of each position or not."""
    positions_as_words(of.words, 0, of.scores, 0, HEADS * tokens, scale, at, is_scaled)
    for head in range(HEADS):
        product(tokens, WIDTH, of.seen, (prompt * HEADS + head) * tokens * WIDTH, WIDTH,
                of.words, head * tokens * ROW_WORDS, ROW_WORDS,
                value, (head * GRID + y) * ROW_WORDS * WIDTH, WIDTH, ROW_WORDS, 1)  # fmt: skip


@compiled
@no_type_check
def share(of, rows, prompt, mixes, n):
    """Add the weights' sums of mixes."""
    positions_as_words(of.words, 0, of.own, 0, mixes, of.total, 0, False)
    turn(of.turned, 0, n, of.words, 0)
    positions_as_words(of.words, 0, of.scores, 0, rows, of.total, 0, False)
    product(rows, n, of.shares, prompt * rows * n, n,
            of.words, 0, ROW_WORDS, of.turned, 0, n, ROW_WORDS, 1)  # fmt: skip


@compiled
@no_type_check
def start_looking(of, rows, n):
    """Nothing seen so far."""
    fill(of.limits, rows, -np.float32(np.inf))
    fill(of.totals, rows * 2 * GRID, ZERO)
    fill(of.seen, rows * WIDTH, ZERO)
    fill(of.shares, rows * n, ZERO)


@compiled
@no_type_check
def norm(target, t0, squares, channels, eps):
    """One over the deviation, from sums of squares, which rounding may have left below 0."""
    for x in range(GRID):
        square = squares[x] if squares[x] > ZERO else ZERO
        target[t0 + x] = ONE / np.sqrt(square / np.float32(channels) + eps)
