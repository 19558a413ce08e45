"""The pixels of a part of an answer, as Numba compiles them to machine code.

Only `machine_code.py` runs this, in a process of its own: Numba takes time and memory.
Loops go over neighbours in memory and call nothing, so that they become vector instructions.
The one in which nearly all time goes, `compare_channels`, is written as such instructions: 16
pixels side by side, whose results stay in registers from channel to channel.
Nothing here allocates, raises or knows Python, so that the code stands alone.
"""
# ruff: noqa: PLR0913 - arrays are addresses here, each with a place to start from

import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import cfunc, types
from numba.core import cgutils
from numba.extending import intrinsic

from atrous.runtime.vector_code import (
    LANES,
    LOG2_E,
    LOWEST,
    ONE,
    SETTINGS,
    ZERO,
    Lanes,
    compiled,
    machine_code,
    power_of_two,
)

TAPS = 3  # neighbours that a position is made of
USUAL_TAPS = range(2, 9)  # that the positions of `LANES` pixels are made of together
IF_LOW = 1 << 32  # is added to a number of taps to name the loop for very low scores
LARGEST = np.float32(3e37)  # of a logit: infinite ones times a weight of 0 would be no number
VANISHING = np.float32(-86.0)  # below, what 256 channels at LOWEST add to a sum would count
FLOATS, BYTES, NUMBERS, SHORT = map(
    types.CPointer, (types.float32, types.uint8, types.int64, types.int32)
)
SIGNATURE = types.void(
    *(NUMBERS, FLOATS),  # sizes, logits
    *(NUMBERS, FLOATS),  # rows: first neighbours, weights
    *(NUMBERS, NUMBERS, FLOATS),  # blocks of columns: the same, and how many neighbours of each
    *(SHORT, FLOATS, BYTES, FLOATS),  # ids, limits, label map, confidence
    *(FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, SHORT),  # space to work in
)


class Comparison(Lanes):
    """What `compare_channels` does, written down."""

    def __init__(self, builder: ir.IRBuilder, **arguments: Any) -> None:
        """Begin with no channel compared; the arguments are those of `compare_channels`."""
        super().__init__(builder)
        self.of = SimpleNamespace(**arguments)
        first_id = self.spread(builder.load(self.of.ids), self.whole)
        self.best = self.variable(self.constant(-np.inf))
        self.winner = self.variable(first_id)
        self.total = self.variable(self.constant(0))

    def weights(self, tap: Any) -> Any:
        """The pixels' own weights of a neighbour."""
        build, of = self.builder, self.of
        index = build.add(of.weight, build.mul(tap, tap.type(LANES)))
        return build.load(self.at(of.weights, index, self.floats), align=4)

    def add_neighbour(self, score: Any, weights: Any, start: Any, tap: Any) -> Any:
        """Add what a neighbour gives to the scores of a channel, whose neighbours begin there."""
        build = self.builder
        neighbour = build.load(build.gep(self.of.mixed, [build.add(start, tap)]))
        return self.add_product(score, weights, self.spread(neighbour, self.floats))

    def add_neighbours(self, start: Any) -> Any:
        """The scores of a channel, of any number of neighbours."""
        score = self.variable(self.constant(0))
        with cgutils.for_range(self.builder, self.of.taps) as loop:
            so_far, own = self.builder.load(score), self.weights(loop.index)
            self.builder.store(self.add_neighbour(so_far, own, start, loop.index), score)
        return self.builder.load(score)

    def note(self, score: Any, channel: Any, *, may_be_low: bool) -> None:
        """Note where a channel is the highest so far, and sum the exponentials."""
        build, of = self.builder, self.of
        class_id = build.load(build.gep(of.ids, [channel]))
        best, winner, total = map(build.load, (self.best, self.winner, self.total))
        is_higher = build.fcmp_ordered(">", score, best)
        build.store(build.select(is_higher, score, best), self.best)
        build.store(build.select(is_higher, self.spread(class_id, self.whole), winner), self.winner)
        build.store(build.fadd(total, self.power_of_two(score, may_be_low=may_be_low)), self.total)

    def compare(self, taps: int | None, *, may_be_low: bool) -> None:
        """Go over the channels; weights of a known number of neighbours stay in registers."""
        build, of = self.builder, self.of
        places = [of.taps.type(tap) for tap in range(taps or 0)]
        known = [self.weights(place) for place in places]
        with cgutils.for_range(build, of.channels) as loop:
            start = build.add(of.place, build.mul(loop.index, of.stride))
            score = self.constant(0) if known else self.add_neighbours(start)
            for place, own in zip(places, known, strict=True):
                score = self.add_neighbour(score, own, start, place)
            self.note(score, loop.index, may_be_low=may_be_low)

    def write(self) -> None:
        """All of it: a loop for each usual number of neighbours, one for all others.

        Each usual one is there twice: most logits are never so low that it matters.
        """
        build, of = self.builder, self.of
        end, others = (build.append_basic_block(name) for name in ("end", "others"))
        if_low = build.mul(of.may_be_low, of.taps.type(IF_LOW))
        usual = build.switch(build.add(of.taps, if_low), others)
        for taps, may_be_low in [*product(USUAL_TAPS, (False, True)), (None, True)]:
            block = others
            if taps is not None:
                block = build.append_basic_block(f"taps_{taps}")
                usual.add_case(taps + IF_LOW * may_be_low, block)
            build.position_at_end(block)
            self.compare(taps, may_be_low=may_be_low)
            build.branch(end)
        build.position_at_end(end)
        for variable, array, kind in (
            (self.best, of.best, self.floats),
            (self.winner, of.winner, self.whole),
            (self.total, of.total, self.floats),
        ):
            build.store(build.load(variable), self.at(array, of.pixel, kind), align=4)


@intrinsic
@no_type_check
def compare_channels(
    typing_context, weights, weight, taps, mixed, place, stride, channels, ids,
    best, winner, total, pixel, may_be_low,
):  # fmt: skip
    """Of `LANES` pixels the highest score, its class id and the sum of all exponentials.

    A score is the sum of `taps` neighbours from `place` on, times their weights, of which the
    pixels have their own. Of equal scores the first channel's wins.
    may_be_low: 1 where a score may be below LOWEST, else 0.
    """
    names = "weights weight taps mixed place stride channels ids best winner total pixel may_be_low"
    signature = types.void(
        weights, weight, taps, mixed, place, stride, channels, ids, best, winner, total, pixel,
        may_be_low,
    )  # fmt: skip

    def write_down(context, builder, signature, arguments):
        Comparison(builder, **dict(zip(names.split(), arguments, strict=True))).write()

    return signature, write_down


@compiled
@no_type_check
def pick(condition, value, otherwise):
    """A choice without a branch: a function's result is one value, whichever it is."""
    return value if condition else otherwise


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
def lower(logits, line, channels, channel_size, out_width, highest, lowered, start, stride):
    """How much a line's logits are below the highest of their place; `stride` for each channel.

    In powers of two: the many steps that follow need no e. Gives how many are below LOWEST.
    """
    low = 0
    for channel in range(channels):
        source, target = line + channel * channel_size, start + channel * stride
        for x in range(out_width):
            value = logits[source + x]
            value = pick(value < -LARGEST, -LARGEST, value)
            power = LOG2_E * (pick(value > LARGEST, LARGEST, value) - highest[x])
            lowered[target + x] = power
            low += np.int32(power < LOWEST)
        for x in range(out_width, stride):  # read as neighbours with weight 0
            lowered[target + x] = ZERO
    return low


@compiled
@no_type_check
def mix(lowered, first, line_size, weights, row, mixed):
    """Make a row of the answer, still as narrow as the logits, of the three lines around it."""
    of_one, of_two, of_three = weights[3 * row], weights[3 * row + 1], weights[3 * row + 2]
    one, two = first % TAPS * line_size, (first + 1) % TAPS * line_size
    three = (first + 2) % TAPS * line_size
    for x in range(line_size):
        score = of_one * lowered[one + x] + of_two * lowered[two + x]
        mixed[x] = score + of_three * lowered[three + x]


@compiled
@no_type_check
def find_shares(
    blocks, block_weights, taps, mixed, stride, channels, width, best, total, share
):  # fmt: skip
    """The winner's part of the sum of exponentials; of a single channel the sigmoid."""
    if channels == 1:
        for x in range(width):
            opposite = -best[x]
            opposite = -LOWEST if opposite > -LOWEST else opposite
            share[x] = ONE / (ONE + power_of_two(opposite))
        return
    vanishing = 0
    for x in range(width):
        part = power_of_two(best[x]) / total[x]
        share[x] = pick(part > ONE, ONE, part)
        vanishing += np.int32(best[x] < VANISHING)
    if not vanishing:
        return
    for x in range(width):
        if best[x] < VANISHING:
            block = x // LANES
            weight, summed = block * taps * LANES + x % LANES, ZERO
            for channel in range(channels):
                place, score = blocks[block] + channel * stride, ZERO
                for tap in range(taps):
                    score += block_weights[weight + tap * LANES] * mixed[place + tap]
                summed += power_of_two(score - best[x])
            share[x] = pick(summed > ONE, ONE / summed, ONE)


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


@cfunc(SIGNATURE, **SETTINGS)
@no_type_check
def write_pixels(
    sizes, logits,
    rows, row_weights, blocks, block_taps, block_weights,
    ids, limits, label_map, confidence,
    lowered, mixed, highest, best, total, share, winner,
):  # fmt: skip
    """Class and probability of every pixel of some rows; `pixel_classes.py` says of what."""
    channels, out_height, out_width = sizes[0], sizes[1], sizes[2]
    top, bottom, width, taps = sizes[3], sizes[4], sizes[5], sizes[6]
    label_stride, confidence_stride, background_id = sizes[7], sizes[8], np.uint8(sizes[9])
    channel_size, has_one_limit = out_height * out_width, sizes[10] != 0
    stride = out_width + taps
    line_size = channels * stride  # line n of the logits lies in place n % TAPS of `lowered`
    newest, may_be_low = rows[top] - 1, 0
    for row in range(top, bottom):
        first = rows[row]
        newest = max(newest, first - 1)
        while newest < first + TAPS - 1:
            newest += 1
            line = min(newest, out_height - 1) * out_width
            find_highest(logits, line, channels, channel_size, out_width, highest)
            if lower(logits, line, channels, channel_size, out_width, highest,
                     lowered, newest % TAPS * line_size, stride):  # fmt: skip
                may_be_low = 1
        mix(lowered, first, line_size, row_weights, row, mixed)
        for block in range((width + LANES - 1) // LANES):
            compare_channels(
                block_weights, block * taps * LANES, block_taps[block], mixed, blocks[block],
                stride, channels, ids, best, winner, total, block * LANES, may_be_low,
            )  # fmt: skip
        find_shares(blocks, block_weights, taps, mixed, stride, channels, width,
                    best, total, share)  # fmt: skip
        limit_row(width, share, winner, limits, has_one_limit, background_id,
                  label_map, row * label_stride, confidence, row * confidence_stride)  # fmt: skip


if __name__ == "__main__":
    Path(sys.argv[-1]).write_bytes(machine_code(write_pixels))
