"""What the four passes of machine code have to answer, in NumPy and double precision.

Names are those of `atrous.runtime.prompt_passes`. What a network would give is random: of a size
that makes some positions and tokens count more than others, and all that is squared add up to more
than 0, as it does in a network.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np

from atrous.runtime.prompt_passes import (
    BY_POSITION,
    CELLS,
    GRID,
    HEADS,
    POSITIONS,
    STAGES,
    TERMS,
    PromptPasses,
    stage_shapes,
    term_shapes,
)

Arrays: TypeAlias = dict[str, np.ndarray]
SIZES = {
    **dict.fromkeys(("asked_1", "told_key_1"), 0.75),
    **dict.fromkeys(("told_value_1", "told_value_2", "asked_2", "told_key_2", "asked_3"), 0.5),
    **dict.fromkeys(("placed_key_2", "placed_query_2", "placed_key_3"), 0.5),
    **dict.fromkeys(("key_probes", "probes_3", "enlarged_offset", "of_cells_16"), 0.5),
    **dict.fromkeys(("enlarging", "norm_bias", "mask_weights"), 0.3),
    "offset_2": 5.0,
    "upscale": 0.125,
}
POSITIVE = {"square_1": (128, 384), "square_2": (200, 400), "norm_weight": (0.5, 1.5)}
NUMBERS = (0.5, 0.25, 0.125, 20)  # far more than 0, so that it shows where they are left out
GRAM_RANK = 32
ERF_AT = np.linspace(-6, 6, 12_001)
ERF = np.array([math.erf(x) for x in ERF_AT])


def random_array(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Of a term, or of what a stage gives."""
    if name == "numbers":
        return np.array(NUMBERS, np.float32)
    if name in POSITIVE:
        return random.uniform(*POSITIVE[name], shape).astype(np.float32)
    if name.startswith("gram"):
        told = 0.3 * random.standard_normal((*shape[:2], GRAM_RANK))
        return (told @ told.transpose(0, 2, 1)).astype(np.float32)
    return np.float32(SIZES.get(name, 1)) * random.standard_normal(shape, np.float32)


@cache
def terms() -> Arrays:
    random = np.random.default_rng(1)
    return {name: random_array(name, shape, random) for name, shape in term_shapes().items()}


@cache
def outputs(prompts: int, points: int) -> Arrays:
    """Of all stages."""
    random, shapes = np.random.default_rng(2), stage_shapes(prompts, points)
    names = [name for stage in STAGES for name in stage.outputs]
    return {name: random_array(name, shapes[name], random) for name in names}


class GivenStages:
    """A network that gives what it is told to, and keeps which stages were asked and by what."""

    def __init__(self, given: Arrays) -> None:
        self.given = given
        self.kept: Arrays = {}
        self.asked: list[int] = []

    def __call__(self, number: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.asked.append(number)
        names, outputs = STAGES[number]
        self.kept |= dict(zip(names, inputs, strict=True))
        return [self.given[name] for name in outputs]


def answer(passes: PromptPasses, photo_terms: Arrays, given: Arrays) -> Arrays:
    """What passes give when stages give this."""
    stages = GivenStages(given)
    prompts, tokens = given["tokens"].shape[:2]
    points = tokens - stage_shapes(1, 0)["tokens"][1]
    coords, labels = np.zeros((prompts, points, 2), np.float32), np.ones((prompts, points), int)
    photo = passes.photo([photo_terms[name] for name in TERMS])
    logits, predicted_iou = passes.answer(photo, coords, labels, stages)
    return {**stages.kept, "logits": logits, "predicted_iou": predicted_iou}


@cache
def found(precision: str, prompts: int, points: int) -> Arrays:
    return answer(PromptPasses(precision), terms(), outputs(prompts, points))


@cache
def expected(prompts: int, points: int) -> Arrays:
    """Of random terms and random outputs of the stages."""
    return by_numpy(terms(), outputs(prompts, points))


def by_numpy(photo_terms: Arrays, given: Arrays) -> Arrays:
    """All that the passes give."""
    of = {name: array.astype(np.float64) for name, array in {**photo_terms, **given}.items()}
    for name in BY_POSITION:
        of[name] = of[name].reshape(HEADS, POSITIONS, -1)
    weights = softmax(of["asked_1"] @ of["key_1"], axis=3)
    seen_1 = weights @ of["value_1"]
    second, mixes, scale_1 = second_look(of)
    last, mixes, scale_2 = last_look(of, mixes, scale_1)
    logits = masks(of, mixes, scale_1[:, 0], scale_2[:, 0])
    return {"seen_1": seen_1, **second, **last, "logits": logits}


def second_look(of: Arrays) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """What pass 2 gives, mixes, and the scale at each position."""
    prompts, rows, _ = of["gram_1"].shape
    mixes = softmax(of["told_key_1"] @ of["query_1"], axis=2).reshape(prompts, rows, POSITIONS)
    inner = 2 * (of["told_value_1"] @ of["told_1"]).reshape(mixes.shape) + of["gram_1"] @ mixes
    square = of["square_1"] + (mixes * inner).sum(1, keepdims=True)
    scale = 1 / np.sqrt(square / 256 + of["numbers"][0])
    mixes = mixes * scale
    scores = scale[:, None] * (of["asked_2"] @ of["key_2"]) + of["asked_2"] @ of["placed_key_2"]
    weights = softmax(scores + (of["probes_2"] @ mixes).reshape(scores.shape), axis=3)
    shares = weights @ mixes.transpose(0, 2, 1)[:, None]
    seen = (weights * scale[:, None]) @ of["value_2"]
    by_token = (prompts, HEADS, rows // HEADS, HEADS, rows // HEADS)
    return {"seen_2": seen, "shares_2": shares.reshape(by_token)}, mixes, scale


def last_look(
    of: Arrays, mixes: np.ndarray, scale_1: np.ndarray
) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """What pass 3 gives, the mixes of both layers, and the second scale at each position."""
    prompts, rows, _ = mixes.shape
    key = of["told_key_2"]
    scores = scale_1[:, None] * (key @ of["query_2"]) + key @ of["placed_query_2"]
    scores += (of["key_probes"] @ mixes).reshape(scores.shape)
    both = np.concatenate([mixes, softmax(scores, axis=2).reshape(mixes.shape)], axis=1)
    pairs = (("told_value_1", "told_2_first"), ("told_value_2", "told_2"))
    products = [(of[value] @ of[told]).reshape(mixes.shape) for value, told in pairs]
    photo = scale_1 * np.concatenate(products, axis=1) + of["offsets"][..., None]
    square = scale_1 * (scale_1 * of["square_2"] + 2 * of["offset_2"]) + of["numbers"][3]
    square += (both * (2 * photo + of["gram_2"] @ both)).sum(1, keepdims=True)
    scale_2 = 1 / np.sqrt(square / 256 + of["numbers"][1])
    asked = of["asked_3"]
    scores = scale_1[:, None] * (asked @ of["key_3"]) + of["constant_3"][..., None]
    scores += (of["probes_3"] @ both).reshape(scores.shape)
    weights = softmax(scale_2[:, None] * scores + asked @ of["placed_key_3"], axis=3)
    weights *= scale_2[:, None]
    shares = weights @ both.transpose(0, 2, 1)[:, None]
    given = {
        "seen_3": (weights * scale_1[:, None]) @ of["value_3"],
        "shares_3": shares.reshape(prompts, HEADS, -1, 2, HEADS, rows // HEADS),
        "scale_3": weights.sum(-1),
    }
    return given, both, scale_2


def masks(of: Arrays, mixes: np.ndarray, scale_1: np.ndarray, scale_2: np.ndarray) -> np.ndarray:
    """Logits, cell by cell, and in the end row by row."""
    prompts = len(mixes)

    def by_row(channels: np.ndarray) -> np.ndarray:
        return channels.reshape(-1, 256, GRID, GRID).transpose(0, 2, 1, 3)

    scales = [scale.reshape(prompts, GRID, 1, GRID) for scale in (scale_1, scale_2)]
    told = scales[0] * of["enlarged"] + by_row(of["enlarging"] @ mixes)
    fine = scales[1] * (told + of["enlarged_offset"][:, None]) + of["of_cells_4"]
    fine = fine.reshape(prompts, GRID, CELLS, -1, GRID)
    fine /= np.sqrt((fine**2).mean(axis=3, keepdims=True) + of["numbers"][2])
    fine = gelu(fine * of["norm_weight"][:, None] + of["norm_bias"][:, None])
    finest = gelu(of["upscale"] @ fine + of["of_cells_16"])
    quarters = finest.reshape(prompts, GRID, 2, 2, 2, 2, -1, GRID)
    # y and x of a position; then row and column of a cell (a, b), and of its quarters (c, d).
    weighed = np.einsum("pmw,pyabcdwx->pmyacxbd", of["mask_weights"], quarters, optimize=True)
    return weighed.reshape(prompts, -1, 4 * GRID, 4 * GRID)


def softmax(scores: np.ndarray, axis: int) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def gelu(x: np.ndarray) -> np.ndarray:
    """By a table of the error function, to 1e-7."""
    return x * (0.5 + 0.5 * np.interp(x / math.sqrt(2), ERF_AT, ERF))
