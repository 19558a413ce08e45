"""The last pass of `prompt_kernel.py`: features enlarged twice, and the masks.

Only processes that compile import this, see `machine_code.py`. Each position of the photo has four
cells after the first enlargement, which have four quarters each after the second. They are made
cell by cell at 64 positions, and never written to memory for more.
"""

from typing import no_type_check

import numpy as np
from numba import cfunc

from atrous.runtime.prompt_passes import (
    CELLS,
    CHANNELS,
    FINE,
    FINEST,
    GRID,
    HEADS,
    MASK_SIDE,
    MASKS,
)
from atrous.runtime.prompt_steps import SIGNATURE, by_name, fill, norm
from atrous.runtime.vector_code import ONE, SETTINGS, ZERO, compiled
from atrous.runtime.word_products import (
    PAIRS,
    PER_WORD,
    as_words,
    float_product,
    product,
    rows_as_words,
)

QUARTERS, SIDE = 4, 4  # of a cell; pixels of a mask per position and side
WEIGHTS = FINEST // QUARTERS  # of a mask
STEPS = FINE // PER_WORD
# The normal distribution is 1/2 + u (G0 + v (G1 + ..)) for u within BOUND and
# v = 2 (u / BOUND)^2 - 1, fitted so that the largest error of x times it is least: 2e-6, and 3e-5
# beside bfloat16.
LIMIT, FACTORS = (
    (
        4.4,
        (
            *(0.1604044139, -0.0786123127, 0.0552505217, -0.0400892347, 0.0268021934),
            *(-0.0159769896, 0.0109878313, -0.0078841811, 0.002754173),
        ),
    )
    if PAIRS
    else (
        5.0,
        (
            *(0.1413637847, -0.0702966526, 0.0515214205, -0.0404329486, 0.0314262286),
            *(-0.0233367309, 0.0164976567, -0.0109732319, 0.0061654295, -0.0029156725),
            *(0.0020018611, -0.001514154, 0.0004929692),
        ),
    )
)
SQUARED, HALF, BOUND = np.float32(2 / LIMIT**2), np.float32(0.5), np.float32(LIMIT)
G0, G1, G2, G3, G4, G5, G6, G7, G8, *MORE = map(np.float32, FACTORS)
G9, G10, G11, G12 = MORE or (ZERO,) * 4


@compiled
@no_type_check
def gelu(x):
    """`x` times the normal distribution up to it (Hendrycks and Gimpel, arXiv 1606.08415)."""
    u = BOUND if x > BOUND else x
    u = -BOUND if u < -BOUND else u
    v = u * u * SQUARED - ONE
    power = G8
    if not PAIRS:
        power += v * (G9 + v * (G10 + v * (G11 + v * G12)))
    power = G2 + v * (G3 + v * (G4 + v * (G5 + v * (G6 + v * (G7 + v * power)))))
    return x * (HALF + u * (G0 + v * (G1 + v * power)))


@compiled
@no_type_check
def make_cells(of, prompt, y, cell, steps):
    """The first enlargement, its norm and GELU: 64 channels of a cell, as words."""
    fine, total, at = of.fine, of.total, (prompt * GRID + y) * GRID
    product(FINE, GRID, fine, 0, GRID,
            of.enlarging_words, (prompt * CHANNELS + cell * FINE) * steps, steps,
            of.mixes, at * steps, GRID, steps, 0)  # fmt: skip
    fill(total, GRID, ZERO)
    for row in range(FINE):
        channel = cell * FINE + row
        photo, constant = (y * CHANNELS + channel) * GRID, of.enlarged_offset[channel]
        for x in range(GRID):
            told = of.scale_1[at + x] * of.enlarged[photo + x] + fine[row * GRID + x]
            made = of.scale_2[at + x] * (told + constant) + of.of_cells_4[photo + x]
            fine[row * GRID + x] = made
            total[x] += made * made
    norm(total, 0, total, FINE, of.numbers[2])
    for row in range(FINE):
        weight, bias = of.norm_weight[row], of.norm_bias[row]
        for x in range(GRID):
            fine[row * GRID + x] = gelu(fine[row * GRID + x] * total[x] * weight + bias)
    rows_as_words(of.fine_words, 0, fine, 0, FINE)


@compiled
@no_type_check
def make_quarters(of, prompt, y, cell):
    """The second enlargement and GELU of a cell, and its quarters' part of the masks."""
    for quarter in range(QUARTERS):
        product(WEIGHTS, GRID, of.finest, 0, GRID,
                of.upscale_words, quarter * WEIGHTS * STEPS, STEPS,
                of.fine_words, 0, GRID, STEPS, 0)  # fmt: skip
        photo = ((y * CELLS + cell) * QUARTERS + quarter) * WEIGHTS * GRID
        for i in range(WEIGHTS * GRID):
            of.finest[i] = gelu(of.finest[i] + of.of_cells_16[photo + i])
        row, column = cell // 2 * 2 + quarter // 2, cell % 2 * 2 + quarter % 2
        float_product(of.masks, (row * SIDE + column) * GRID, SIDE * SIDE * GRID,
                      of.mask_weights, prompt * MASKS * WEIGHTS, WEIGHTS, of.finest)  # fmt: skip


@compiled
@no_type_check
def interleave(target, t0, source, s0):
    """Four rows of 64 as columns of 256 neighbours."""
    for x in range(GRID):
        for column in range(SIDE):
            target[t0 + SIDE * x + column] = source[s0 + column * GRID + x]


@cfunc(SIGNATURE, **SETTINGS)
@no_type_check
def make_masks(sizes, arrays):
    """Pass 4."""
    prompts, tokens, of = sizes[0], sizes[1], by_name(arrays)
    both = 2 * HEADS * tokens
    as_words(of.enlarging_words, of.enlarging, prompts * CHANNELS * both, ONE)
    as_words(of.upscale_words, of.upscale, FINEST * FINE, ONE)
    for y in range(GRID):
        for prompt in range(prompts):
            for cell in range(CELLS):
                make_cells(of, prompt, y, cell, both // PER_WORD)
                make_quarters(of, prompt, y, cell)
            for mask in range(MASKS):
                for row in range(SIDE):
                    to = ((prompt * MASKS + mask) * MASK_SIDE + y * SIDE + row) * MASK_SIDE
                    interleave(of.logits, to, of.masks, (mask * SIDE + row) * SIDE * GRID)
