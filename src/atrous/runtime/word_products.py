"""Products of small matrices for programs of machine code.

Their factors are words of 32 bits: a float, or, with `bf16` as an argument of the program, two
neighbours along the sum as bfloat16, the first one in the lower half, which one instruction
multiplies and adds in single precision. What is summed over 64 positions of a row has as
neighbours in a word the positions x and x + 32.

Only processes that compile import this, see `machine_code.py`.
"""
# ruff: noqa: PLR0913 - arrays are addresses here, each with a place to start from

import sys
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from atrous.runtime.machine_code import host_features
from atrous.runtime.prompt_passes import GRID, HALF_ULP, HIGH_BITS
from atrous.runtime.vector_code import LANES, Lanes, compiled

PAIRS = "bf16" in sys.argv[1:]  # two numbers in a word
PER_WORD = 2 if PAIRS else 1
ROW_WORDS = GRID // PER_WORD
ROWS = 4  # of a product that are made together, for GRID columns or LANES


class Halves(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat16, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Halves)

    def __hash__(self) -> int:
        return hash(Halves)


class Tile(Lanes):
    """Some rows of a product and `vectors` times 16 of its columns, in registers."""

    def __init__(self, builder: ir.IRBuilder, rows: int, vectors: int, pairs: bool) -> None:
        """Write with this builder."""
        super().__init__(builder)
        self.rows, self.vectors, self.pairs = rows, vectors, pairs

    def multiplied(self, total: Any, one: Any, two: Any) -> Any:
        """Add products of words."""
        build = self.builder
        if not self.pairs:
            return self.add_product(total, one, two)
        pairs = ir.VectorType(Halves(), 2 * LANES)
        kind = ir.FunctionType(self.floats, [self.floats, pairs, pairs])
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        dot = cgutils.get_or_insert_function(build.module, kind, name)  # type: ignore[no-untyped-call]
        return build.call(dot, [total, build.bitcast(one, pairs), build.bitcast(two, pairs)])

    def write(
        self, c: Any, c0: Any, c_step: Any, a: Any, a0: Any, a_step: Any,
        b: Any, b0: Any, b_step: Any, steps: Any, adds: Any,
    ) -> None:  # fmt: skip
        """Rows of `a` times columns of `b`, added to `c` or in its place."""
        build = self.builder
        size = steps.type
        adds_to = build.icmp_signed("!=", adds, size(0))
        places, totals = [], []  # of C
        for row in range(self.rows):
            start = build.add(c0, build.mul(c_step, size(row)))
            for vector in range(self.vectors):
                place = self.at(c, build.add(start, size(vector * LANES)), self.floats)
                before = build.load(place, align=4)
                first = build.select(adds_to, before, self.constant(0))
                places.append(place)
                totals.append(self.variable(first))
        with cgutils.for_range(build, steps) as loop:
            row_of_b = build.add(b0, build.mul(loop.index, b_step))
            columns = [
                build.load(
                    self.at(b, build.add(row_of_b, size(vector * LANES)), self.floats), align=4
                )
                for vector in range(self.vectors)
            ]
            for row in range(self.rows):
                place = build.add(build.add(a0, build.mul(a_step, size(row))), loop.index)
                factor = self.spread(build.load(build.gep(a, [place])), self.floats)
                for vector, column in enumerate(columns):
                    total = totals[row * self.vectors + vector]
                    build.store(self.multiplied(build.load(total), factor, column), total)
        for place, total in zip(places, totals, strict=True):
            build.store(build.load(total), place, align=4)


def tile(rows: int, vectors: int, pairs: bool) -> Any:
    """A function that compiled ones may call: `Tile.write`."""

    @intrinsic
    @no_type_check
    def write_tile(
        typing_context, c, c0, c_step, a, a0, a_step, b, b0, b_step, steps, adds
    ):  # fmt: skip
        signature = types.void(c, c0, c_step, a, a0, a_step, b, b0, b_step, steps, adds)

        def write_down(context, builder, signature, arguments):
            Tile(builder, rows, vectors, pairs).write(*arguments)

        return signature, write_down

    return write_tile


# Columns that fill the registers beside ROWS rows: 32 of 512 bits, 16 of 256, or others.
FEATURES = host_features()
VECTORS = 4 if "+avx512f" in FEATURES else 2 if "+avx2" in FEATURES else 1
SPAN = VECTORS * LANES
rows_by_span, row_by_span = tile(ROWS, VECTORS, PAIRS), tile(1, VECTORS, PAIRS)
rows_by_lanes, row_by_lanes = tile(ROWS, 1, PAIRS), tile(1, 1, PAIRS)
floats_by_span = tile(ROWS, VECTORS, False)


@intrinsic
@no_type_check
def turn_block(
    typing_context, target, target_start, target_step, source, source_start, source_step
):
    """Write 16 rows of 16 words as columns."""
    signature = types.void(target, target_start, target_step, source, source_start, source_step)

    def write_down(context, builder, signature, arguments):
        target, target_start, target_step, source, source_start, source_step = arguments
        lanes, size = Lanes(builder), target_start.type
        rows = [
            builder.load(
                lanes.at(
                    source,
                    builder.add(source_start, builder.mul(source_step, size(row))),
                    lanes.floats,
                ),
                align=4,
            )
            for row in range(LANES)
        ]
        # Rows that differ in one bit of their number exchange the lanes that differ in it.
        for bit in (1, 2, 4, 8):
            low = [lane + (LANES - bit if lane & bit else 0) for lane in range(LANES)]
            high = [lane + (LANES if lane & bit else bit) for lane in range(LANES)]
            turned = list(rows)
            for row in range(LANES):
                if not row & bit:
                    pair = rows[row], rows[row | bit]
                    turned[row] = builder.shuffle_vector(*pair, ir.Constant(lanes.whole, low))
                    turned[row | bit] = builder.shuffle_vector(
                        *pair, ir.Constant(lanes.whole, high)
                    )
            rows = turned
        for column, value in enumerate(rows):
            place = builder.add(target_start, builder.mul(target_step, size(column)))
            builder.store(value, lanes.at(target, place, lanes.floats), align=4)

    return signature, write_down


@compiled
@no_type_check
def word(low, high):
    """Two numbers as bfloat16, the nearest ones."""
    lower = (np.float32(low).view(np.uint32) + HALF_ULP) >> np.uint32(16)
    upper = (np.float32(high).view(np.uint32) + HALF_ULP) & HIGH_BITS
    return np.uint32(lower | upper).view(np.float32)


@compiled
@no_type_check
def product(rows, columns, c, c0, c_step, a, a0, a_step, b, b0, b_step, steps, adds):
    """C = A B, or C + A B; `columns` is a multiple of LANES."""
    wide = columns // SPAN * SPAN
    for column in range(0, wide, SPAN):
        for row in range(0, rows // ROWS * ROWS, ROWS):
            rows_by_span(c, c0 + row * c_step + column, c_step, a, a0 + row * a_step, a_step,
                         b, b0 + column, b_step, steps, adds)  # fmt: skip
        for row in range(rows // ROWS * ROWS, rows):
            row_by_span(c, c0 + row * c_step + column, c_step, a, a0 + row * a_step, a_step,
                        b, b0 + column, b_step, steps, adds)  # fmt: skip
    for column in range(wide, columns, LANES):
        for row in range(0, rows // ROWS * ROWS, ROWS):
            rows_by_lanes(c, c0 + row * c_step + column, c_step, a, a0 + row * a_step, a_step,
                          b, b0 + column, b_step, steps, adds)  # fmt: skip
        for row in range(rows // ROWS * ROWS, rows):
            row_by_lanes(c, c0 + row * c_step + column, c_step, a, a0 + row * a_step, a_step,
                         b, b0 + column, b_step, steps, adds)  # fmt: skip


@compiled
@no_type_check
def float_product(c, c0, c_step, a, a0, steps, b):
    """ROWS rows of GRID columns of a product of floats."""
    for column in range(0, GRID, SPAN):
        floats_by_span(c, c0 + column, c_step, a, a0, steps, b, column, GRID, steps, 0)


@compiled
@no_type_check
def as_words(target, source, count, factor):
    """Neighbours as words, times a factor."""
    if PAIRS:
        for i in range(count // 2):
            target[i] = word(factor * source[2 * i], factor * source[2 * i + 1])
    else:
        for i in range(count):
            target[i] = factor * source[i]


@compiled
@no_type_check
def weight_of(row, column):
    """2 above the diagonal, 1 on it, 0 below."""
    return np.float32((column > row) + (column >= row))


@compiled
@no_type_check
def upper_as_words(target, source, count, size):
    """Symmetric matrices by what is on and above their diagonals, there doubled."""
    for row in range(count * size):
        diagonal = row % size
        for column in range(0, size, PER_WORD):
            at = row * size + column
            value = source[at] * weight_of(diagonal, column)
            if PAIRS:
                value = word(value, source[at + 1] * weight_of(diagonal, column + 1))
            target[at // PER_WORD] = value


@compiled
@no_type_check
def quadratic(size, c, a, a0, b, b0):
    """Add a symmetric matrix, by its upper half, times mixes."""
    words = size // PER_WORD
    for row in range(0, size, ROWS):
        skipped = row // PER_WORD
        for column in range(0, GRID, SPAN):
            rows_by_span(c, row * GRID + column, GRID, a, a0 + row * words + skipped, words,
                         b, b0 + skipped * GRID + column, GRID, words - skipped, 1)  # fmt: skip


@compiled
@no_type_check
def rows_as_words(target, t0, source, s0, rows):
    """Rows of 64 positions as words for sums over rows."""
    if PAIRS:
        for row in range(rows // 2):
            to, at = t0 + row * GRID, s0 + 2 * row * GRID
            for x in range(GRID):
                target[to + x] = word(source[at + x], source[at + GRID + x])
    else:
        for i in range(rows * GRID):
            target[t0 + i] = source[s0 + i]


@compiled
@no_type_check
def words_as_rows(target, t0, source, s0, rows):
    """`rows_as_words` back."""
    if PAIRS:
        for row in range(rows // 2):
            to, at = t0 + 2 * row * GRID, s0 + row * GRID
            for x in range(GRID):
                bits = np.float32(source[at + x]).view(np.uint32)
                target[to + x] = np.uint32(bits << np.uint32(16)).view(np.float32)
                target[to + GRID + x] = np.uint32(bits & HIGH_BITS).view(np.float32)
    else:
        for i in range(rows * GRID):
            target[t0 + i] = source[s0 + i]


@compiled
@no_type_check
def positions_as_words(target, t0, source, s0, rows, factors, f0, has_factors):
    """Rows of 64 positions as words for sums over positions, each times its factor."""
    for row in range(rows):
        to, at = t0 + row * ROW_WORDS, s0 + row * GRID
        if PAIRS:
            if has_factors:
                for x in range(ROW_WORDS):
                    target[to + x] = word(
                        factors[f0 + x] * source[at + x],
                        factors[f0 + ROW_WORDS + x] * source[at + ROW_WORDS + x],
                    )
            else:
                for x in range(ROW_WORDS):
                    target[to + x] = word(source[at + x], source[at + ROW_WORDS + x])
        elif has_factors:
            for x in range(GRID):
                target[to + x] = factors[f0 + x] * source[at + x]
        else:
            for x in range(GRID):
                target[to + x] = source[at + x]


@compiled
@no_type_check
def turn(target, t0, columns, source, s0):
    """Words of `columns` rows, a multiple of LANES, as ROW_WORDS rows of words."""
    for row in range(0, columns, LANES):
        for x in range(0, ROW_WORDS, LANES):
            turn_block(target, t0 + x * columns + row, columns,
                       source, s0 + row * ROW_WORDS + x, ROW_WORDS)  # fmt: skip
