"""What SAM 2's prompts and the positions of a photo tell each other, as Numba compiles it.

Only `machine_code.py` runs this, in a process of its own. These are the passes between the stages
of `export/sam2_prompt_tokens.py`; `prompt_passes.py` says what their arrays are, and
`word_products.py` what `bf16` as an argument of this program does. A pass goes over the photo in
64 rows of 64 positions, and at each row over all prompts, so that what is the photo's is read once
for all of them and what is a prompt's stays near the core.
"""

import sys
from pathlib import Path
from typing import no_type_check

from numba import cfunc

from atrous.runtime.mask_kernel import make_masks
from atrous.runtime.prompt_passes import ANSWERING_TOKENS, CHANNELS, GRID, HEADS, WIDTH
from atrous.runtime.prompt_steps import (
    SIGNATURE,
    TWO,
    add_squares,
    by_head,
    by_name,
    divide,
    mix,
    norm,
    padded,
    plus,
    see,
    share,
    start_looking,
    times,
    weigh,
)
from atrous.runtime.vector_code import LOG2_E, SETTINGS, ZERO, compiled, machine_code
from atrous.runtime.word_products import (
    PER_WORD,
    as_words,
    product,
    quadratic,
    rows_as_words,
    upper_as_words,
    words_as_rows,
)


@cfunc(SIGNATURE, **SETTINGS)
@no_type_check
def look_first(sizes, arrays):
    """Pass 1: tokens look at the photo."""
    prompts, tokens, of = sizes[0], sizes[1], by_name(arrays)
    rows = HEADS * tokens
    start_looking(of, prompts * rows, 0)
    as_words(of.asked_words, of.asked_1, prompts * rows * WIDTH, LOG2_E)
    for y in range(GRID):
        for prompt in range(prompts):
            by_head(tokens, of.scores, 0, of.asked_words, prompt, of.key_1, y, 0)
            weigh(of, rows, prompt * rows, 0)
            see(of, tokens, prompt, of.value_1, y, of.total, 0, False)
    divide(of, prompts * rows, WIDTH, WIDTH, of.seen, of.seen_1)


@compiled
@no_type_check
def add_told(of, rows, scores, start, probes, prompt, mixes, steps):
    """Add to scores what comes of mixes, `steps` words of them at each position."""
    product(rows, GRID, scores, start, GRID, probes, prompt * rows * steps, steps,
            of.mixes, mixes, GRID, steps, 1)  # fmt: skip


@compiled
@no_type_check
def tell_first(of, tokens, prompt, y):
    """Positions look at tokens: their mixes, and the norm's scale, by which these are multiplied.

    The norm's deviation comes of squares: of the photo, and of what positions are told.
    """
    rows, at = HEADS * tokens, (prompt * GRID + y) * GRID
    steps = rows // PER_WORD
    mixes = at * 2 * steps
    by_head(tokens, of.own, 0, of.key_words, prompt, of.query_1, y, 0)
    mix(of, tokens, 0)
    rows_as_words(of.mixes, mixes, of.own, 0, rows)
    by_head(tokens, of.inner, 0, of.value_words, prompt, of.told_1, y, 0)
    quadratic(rows, of.inner, of.gram_words, prompt * rows * steps, of.mixes, mixes)
    for x in range(GRID):
        of.total[x] = of.square_1[y * GRID + x]
    add_squares(of, rows)
    norm(of.scale_1, at, of.total, CHANNELS, of.numbers[0])
    times(rows, of.own, 0, of.scale_1, at)
    rows_as_words(of.mixes, mixes, of.own, 0, rows)


@cfunc(SIGNATURE, **SETTINGS)
@no_type_check
def look_second(sizes, arrays):
    """Pass 2: positions look at tokens, and tokens at the photo again."""
    prompts, tokens, of = sizes[0], sizes[1], by_name(arrays)
    rows = HEADS * tokens
    steps, n = rows // PER_WORD, padded(rows)
    start_looking(of, prompts * rows, n)
    as_words(of.key_words, of.told_key_1, prompts * rows * WIDTH, LOG2_E)
    as_words(of.value_words, of.told_value_1, prompts * rows * WIDTH, TWO)
    as_words(of.asked_words, of.asked_2, prompts * rows * WIDTH, LOG2_E)
    as_words(of.probe_words, of.probes_2, prompts * rows * rows, LOG2_E)
    upper_as_words(of.gram_words, of.gram_1, prompts, rows)
    for y in range(GRID):
        for prompt in range(prompts):
            at = (prompt * GRID + y) * GRID
            tell_first(of, tokens, prompt, y)
            by_head(tokens, of.scores, 0, of.asked_words, prompt, of.key_2, y, 0)
            times(rows, of.scores, 0, of.scale_1, at)
            by_head(tokens, of.scores, 0, of.asked_words, prompt, of.placed_key_2, y, 1)
            add_told(of, rows, of.scores, 0, of.probe_words, prompt, at * 2 * steps, steps)
            weigh(of, rows, prompt * rows, n)
            share(of, rows, prompt, rows, n)
            see(of, tokens, prompt, of.value_2, y, of.scale_1, at, True)
    divide(of, prompts * rows, WIDTH, WIDTH, of.seen, of.seen_2)
    divide(of, prompts * rows, rows, n, of.shares, of.shares_2)


@compiled
@no_type_check
def tell_last(of, tokens, prompt, y):
    """Positions look at tokens in the second layer: their mixes beside the first's, and scale."""
    rows, at = HEADS * tokens, (prompt * GRID + y) * GRID
    both, second, steps = 2 * rows, rows * GRID, rows // PER_WORD
    mixes = at * 2 * steps
    words_as_rows(of.own, 0, of.mixes, mixes, rows)
    by_head(tokens, of.own, second, of.key_words, prompt, of.query_2, y, 0)
    times(rows, of.own, second, of.scale_1, at)
    by_head(tokens, of.own, second, of.key_words, prompt, of.placed_query_2, y, 1)
    add_told(of, rows, of.own, second, of.key_probe_words, prompt, mixes, steps)
    mix(of, tokens, second)
    rows_as_words(of.mixes, mixes + steps * GRID, of.own, second, rows)
    by_head(tokens, of.inner, 0, of.earlier_value_words, prompt, of.told_2_first, y, 0)
    by_head(tokens, of.inner, second, of.value_words, prompt, of.told_2, y, 0)
    times(both, of.inner, 0, of.scale_1, at)
    for row in range(both):
        plus(of.inner, row * GRID, TWO * of.offsets[prompt * both + row])
    quadratic(both, of.inner, of.gram_words, prompt * both * 2 * steps, of.mixes, mixes)
    for x in range(GRID):
        scale, place = of.scale_1[at + x], y * GRID + x
        square = scale * of.square_2[place] + TWO * of.offset_2[place]
        of.total[x] = scale * square + of.numbers[3]
    add_squares(of, both)
    norm(of.scale_2, at, of.total, CHANNELS, of.numbers[1])


@cfunc(SIGNATURE, **SETTINGS)
@no_type_check
def look_last(sizes, arrays):
    """Pass 3: positions look at tokens again, and five tokens at the photo a last time."""
    prompts, tokens, of = sizes[0], sizes[1], by_name(arrays)
    rows, last = HEADS * tokens, HEADS * ANSWERING_TOKENS
    both = 2 * rows
    steps, n = both // PER_WORD, padded(both)
    start_looking(of, prompts * last, n)
    as_words(of.key_words, of.told_key_2, prompts * rows * WIDTH, LOG2_E)
    as_words(of.earlier_value_words, of.told_value_1, prompts * rows * WIDTH, TWO)
    as_words(of.value_words, of.told_value_2, prompts * rows * WIDTH, TWO)
    as_words(of.asked_words, of.asked_3, prompts * last * WIDTH, LOG2_E)
    as_words(of.key_probe_words, of.key_probes, prompts * rows * rows, LOG2_E)
    as_words(of.probe_words, of.probes_3, prompts * last * both, LOG2_E)
    upper_as_words(of.gram_words, of.gram_2, prompts, both)
    for y in range(GRID):
        for prompt in range(prompts):
            at = (prompt * GRID + y) * GRID
            tell_last(of, tokens, prompt, y)
            by_head(ANSWERING_TOKENS, of.scores, 0, of.asked_words, prompt, of.key_3, y, 0)
            times(last, of.scores, 0, of.scale_1, at)
            for row in range(last):
                plus(of.scores, row * GRID, LOG2_E * of.constant_3[prompt * last + row])
            add_told(of, last, of.scores, 0, of.probe_words, prompt, at * steps, steps)
            times(last, of.scores, 0, of.scale_2, at)
            by_head(ANSWERING_TOKENS, of.scores, 0, of.asked_words, prompt, of.placed_key_3, y, 1)
            weigh(of, last, prompt * last, n)
            times(last, of.scores, 0, of.scale_2, at)
            for row in range(last):
                total = ((prompt * last + row) * 2 + 1) * GRID
                for x in range(GRID):
                    of.totals[total + x] += of.scores[row * GRID + x]
            share(of, last, prompt, both, n)
            see(of, ANSWERING_TOKENS, prompt, of.value_3, y, of.scale_1, at, True)
    divide(of, prompts * last, WIDTH, WIDTH, of.seen, of.seen_3)
    divide(of, prompts * last, both, n, of.shares, of.shares_3)
    for row in range(prompts * last):
        of.scale_3[row] = ZERO
        for x in range(GRID):
            of.scale_3[row] += of.totals[(row * 2 + 1) * GRID + x]
    divide(of, prompts * last, 1, 1, of.scale_3, of.scale_3)


if __name__ == "__main__":
    Path(sys.argv[-1]).write_bytes(machine_code(look_first, look_second, look_last, make_masks))
