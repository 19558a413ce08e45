"""The pixels of a part of an answer, as Numba compiles them to machine code.

Only `machine_code.py` runs this, in a process of its own: Numba takes time and memory.
Loops go over neighbours in memory and call nothing, so that they become vector instructions.
Nothing here allocates, raises or knows Python, so that the code stands alone.
"""
# ruff: noqa: PLR0913 - arrays are addresses here, each with a place to start from

import sys
from typing import Any, no_type_check

import numpy as np
from llvmlite import binding
from numba import cfunc, config, njit, types

from atrous.runtime.machine_code import host_features, host_target

# Before anything is compiled.
config.CPU_FEATURES = host_features()  # type: ignore[attr-defined]

TAPS = 3  # neighbours that a position is made of
LARGEST = np.float32(3e37)  # of a logit: infinite ones times a weight of 0 would be no number
LOWEST = np.float32(-87.0)  # e to the power of less is a denormal number, which takes long
VANISHING = np.float32(-60.0)  # below, what 256 channels at LOWEST add to a sum would count
LOG2_E = np.float32(1.4426950408889634)
ROUNDING = np.float32(3 << 22)  # a float plus this holds its whole part in the lowest bits
ZERO, ONE = np.float32(0), np.float32(1)
# 2^r = 1 + r (P1 + r (P2 + ..)) within 1e-7 for -0.5 <= r <= 0.5
P1, P2, P3, P4, P5 = (
    np.float32(power)
    for power in (0.69314698, 0.240222473, 0.0555073338, 0.0096711994, 0.0013263772)
)

FLOATS, BYTES, NUMBERS, SHORT = map(
    types.CPointer, (types.float32, types.uint8, types.int64, types.int32)
)
SIGNATURE = types.void(
    *(NUMBERS, FLOATS),  # sizes, logits
    *(NUMBERS, FLOATS, NUMBERS, FLOATS),  # rows and columns: first neighbours, weights
    *(BYTES, FLOATS, BYTES, FLOATS),  # ids, limits, label map, confidence
    *(FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, SHORT),  # space to work in
)
SETTINGS: dict[str, Any] = {
    "error_model": "numpy",  # no errors
    "fastmath": {"contract"},  # a product and a sum in one rounding; nan and inf stay what they are
}
compiled = njit(**SETTINGS)


@compiled
@no_type_check
def pick(condition, value, otherwise):
    """A choice without a branch: a function's result is one value, whichever it is."""
    return value if condition else otherwise


@compiled
@no_type_check
def exponential(x):
    """e to the power of `x`, or of -87 where it is less; `x` is at most 87."""
    x = LOWEST if x < LOWEST else x
    shifted = x * LOG2_E + ROUNDING
    rest = x * LOG2_E - (shifted - ROUNDING)
    power = ONE + rest * (P1 + rest * (P2 + rest * (P3 + rest * (P4 + rest * P5))))
    exponent = np.float32(shifted).view(np.int32) << 23
    return np.int32(np.float32(power).view(np.int32) + exponent).view(np.float32)


@compiled
@no_type_check
def find_highest(logits, line, channels, channel_size, out_width, highest):
    """The highest logit of each place of a line; of a single channel 0, as its own value counts."""
    for x in range(out_width):
        highest[x] = pick(channels == 1, ZERO, -LARGEST)
    if channels == 1:
        return
    for channel in range(channels):
        start = line + channel * channel_size
        for x in range(out_width):
            value = logits[start + x]
            value = pick(value > LARGEST, LARGEST, value)
            highest[x] = pick(value > highest[x], value, highest[x])


@compiled
@no_type_check
def widen(
    logits, line, out_width, highest, first, weights, columns, left, width, padded, wide, start
):
    """Resize a line of logits to `width` columns, from `left` on.

    It starts at `line`. What is resized is how much the logits are below the highest.
    """
    lowest, needed = first[left], first[left + width - 1] - first[left] + TAPS
    there = min(needed, out_width - lowest)
    for x in range(there):
        value = logits[line + lowest + x]
        value = pick(value < -LARGEST, -LARGEST, value)
        padded[x] = pick(value > LARGEST, LARGEST, value) - highest[lowest + x]
    for x in range(there, needed):  # beyond the end, with weight 0
        padded[x] = ZERO
    for x in range(width):
        column = left + x
        source = first[column] - lowest
        value = weights[column] * padded[source]
        value += weights[columns + column] * padded[source + 1]
        wide[start + x] = value + weights[2 * columns + column] * padded[source + 2]


@compiled
@no_type_check
def add(lines, one, two, three, weights, row, class_id, width, best, winner, total):
    """Mix three lines of a channel; note where it is the highest so far, and sum exponentials."""
    of_one, of_two, of_three = weights[3 * row], weights[3 * row + 1], weights[3 * row + 2]
    for x in range(width):
        score = of_one * lines[one + x] + of_two * lines[two + x] + of_three * lines[three + x]
        so_far, number = best[x], winner[x]
        best[x] = pick(score > so_far, score, so_far)  # the first of equals stays
        winner[x] = pick(score > so_far, class_id, number)
        total[x] += exponential(score)


@compiled
@no_type_check
def add_two(lines, one, two, three, weights, row, class_id, next_id, width, best, winner, total):
    """`add` for a channel and the next: half of what is read and written for each alone."""
    of_one, of_two, of_three = weights[3 * row], weights[3 * row + 1], weights[3 * row + 2]
    next_one, next_two, next_three = one + width, two + width, three + width
    for x in range(width):
        score = of_one * lines[one + x] + of_two * lines[two + x] + of_three * lines[three + x]
        other = of_one * lines[next_one + x] + of_two * lines[next_two + x]
        other += of_three * lines[next_three + x]
        so_far, number = best[x], winner[x]
        higher = pick(other > score, other, score)
        of_higher = pick(other > score, next_id, class_id)
        best[x] = pick(higher > so_far, higher, so_far)
        winner[x] = pick(higher > so_far, of_higher, number)
        total[x] += exponential(score) + exponential(other)


@compiled
@no_type_check
def find_shares(lines, one, two, three, weights, row, channels, width, best, total, share):
    """The winner's part of the sum of exponentials; of a single channel the sigmoid."""
    if channels == 1:
        for x in range(width):
            opposite = -best[x]
            opposite = -LOWEST if opposite > -LOWEST else opposite
            share[x] = ONE / (ONE + exponential(opposite))
        return
    vanishing = 0
    for x in range(width):
        part = exponential(best[x]) / total[x]
        share[x] = pick(part > ONE, ONE, part)
        vanishing += np.int32(best[x] < VANISHING)
    if not vanishing:
        return
    of_one, of_two, of_three = weights[3 * row], weights[3 * row + 1], weights[3 * row + 2]
    for x in range(width):
        total[x] = ZERO
    for channel in range(channels):
        start = channel * width
        for x in range(width):
            score = of_one * lines[one + start + x] + of_two * lines[two + start + x]
            score += of_three * lines[three + start + x]
            total[x] += exponential(score - best[x])
    for x in range(width):
        share[x] = pick(best[x] < VANISHING, ONE / total[x], share[x])


@compiled
@no_type_check
def limit_row(
    width, share, winner, limits, has_one_limit, background_id,
    label_map, label_start, confidence, confidence_start,
):  # fmt: skip
    """Write a row of the answer; what is below its class's limit becomes background."""
    if has_one_limit:
        limit = limits[0]
        for x in range(width):
            is_below = share[x] < limit
            label_map[label_start + x] = pick(is_below, background_id, np.uint8(winner[x]))
            confidence[confidence_start + x] = pick(is_below, ZERO, share[x])
        return
    for x in range(width):
        is_below = share[x] < limits[winner[x]]
        label_map[label_start + x] = pick(is_below, background_id, np.uint8(winner[x]))
        confidence[confidence_start + x] = pick(is_below, ZERO, share[x])


@compiled
@no_type_check
def write_row(
    lines, first, line_size, row_weights, row, channels, width,
    ids, limits, has_one_limit, background_id,
    label_map, label_start, confidence, confidence_start,
    best, share, total, winner,
):  # fmt: skip
    """A row of the answer from the lines around it."""
    for x in range(width):
        best[x] = -np.inf
        total[x] = ZERO
        winner[x] = ids[0]
    one, two = first % TAPS * line_size, (first + 1) % TAPS * line_size
    three = (first + 2) % TAPS * line_size
    pairs = channels // 2
    for pair in range(pairs):
        start = 2 * pair * width
        add_two(lines, one + start, two + start, three + start, row_weights, row,
                np.int32(ids[2 * pair]), np.int32(ids[2 * pair + 1]),
                width, best, winner, total)  # fmt: skip
    if channels > 2 * pairs:
        start = 2 * pairs * width
        add(lines, one + start, two + start, three + start, row_weights, row,
            np.int32(ids[2 * pairs]), width, best, winner, total)  # fmt: skip
    find_shares(lines, one, two, three, row_weights, row, channels, width, best, total, share)
    limit_row(width, share, winner, limits, has_one_limit, background_id,
              label_map, label_start, confidence, confidence_start)  # fmt: skip


@cfunc(SIGNATURE, **SETTINGS)
@no_type_check
def write_pixels(
    sizes, logits,
    rows, row_weights, columns, column_weights,
    ids, limits, label_map, confidence,
    lines, best, share, total, padded, highest, winner,
):  # fmt: skip
    """Class and probability of every pixel of some rows; `pixel_classes.py` says of what.

    A few columns at a time, whose logits stay in the fastest cache from row to row.
    """
    channels, out_height, out_width = sizes[0], sizes[1], sizes[2]
    top, bottom, all_columns, tile = sizes[3], sizes[4], sizes[5], sizes[6]
    label_stride, confidence_stride, background_id = sizes[7], sizes[8], np.uint8(sizes[9])
    channel_size, has_one_limit = out_height * out_width, sizes[10] != 0
    for left in range(0, all_columns, tile):
        width = min(tile, all_columns - left)
        line_size = channels * width  # line n of the logits lies in place n % TAPS of `lines`
        newest = rows[top] - 1
        for row in range(top, bottom):
            first = rows[row]
            newest = max(newest, first - 1)
            while newest < first + TAPS - 1:
                newest += 1
                line = min(newest, out_height - 1) * out_width
                find_highest(logits, line, channels, channel_size, out_width, highest)
                for channel in range(channels):
                    start = newest % TAPS * line_size + channel * width
                    widen(
                        logits, line + channel * channel_size, out_width, highest,
                        columns, column_weights, all_columns, left, width, padded, lines, start,
                    )  # fmt: skip
            label_start = row * label_stride + left
            confidence_start = row * confidence_stride + left
            write_row(
                lines, first, line_size, row_weights, row, channels, width,
                ids, limits, has_one_limit, background_id,
                label_map, label_start, confidence, confidence_start,
                best, share, total, winner,
            )  # fmt: skip


def machine_code() -> bytes:
    """An object file for this processor that holds `write_pixels` alone.

    It is Numba's native form: a place for a result and one for an error come first, and are not
    used. The wrapper around it, which needs Python and Numba, is dropped.
    """
    module = binding.parse_assembly(write_pixels.inspect_llvm())
    native = write_pixels.native_name.removeprefix("cfunc.")
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name != native:
            value.linkage = "internal"
    module.get_function(native).name = "write_pixels"
    target = host_target()
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(
        module, binding.create_pass_builder(target, binding.create_pipeline_tuning_options())
    )
    return bytes(target.emit_object(module))


if __name__ == "__main__":
    sys.stdout.buffer.write(machine_code())
