"""Many prompts about one photo: SAM 2's decoder as four passes over the photo, in machine code.

Between the passes a network works on the prompts' tokens, in four stages (`STAGES`), and what the
photo gives to all prompts comes from another (`TERMS`); both are made by
`export/sam2_prompt_tokens.py` and `export/sam2_photo_terms.py`, which say what the arrays mean.
The passes are in `prompt_kernel.py` and `mask_kernel.py`.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float32, Int64

from atrous.domain.errors import BadPackage
from atrous.runtime.engine_names import PrecisionName
from atrous.runtime.machine_code import Kernels, MachineCode, host_features

HEADS, WIDTH, GRID, POSITIONS = 8, 16, 64, 4096
ANSWERING_TOKENS, MASKS, MASK_SIDE = 5, 4, 256
CHANNELS, FINE, FINEST, CELLS = 256, 64, 128, 4
OUTPUT_TOKENS = 6  # of a prompt, besides one for each point
PADDED_TO = 16  # mixes, in sums over them
PROMPTS_PER_RUN = 8  # more are no faster, and take more memory
# Of bfloat16 in floats: what rounds the bits that it has not, and the bits of two in a word
HALF_ULP, HIGH_BITS = np.uint32(0x8000), np.uint32(0xFFFF0000)
PASSES = ("look_first", "look_second", "look_last", "make_masks")


class Stage(NamedTuple):
    """What a stage of the tokens' network takes and gives, by name."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


STAGES = (
    Stage(("point_coords", "point_labels"), ("tokens", "said_1", "asked_1")),
    Stage(
        ("tokens", "said_1", "seen_1"),
        ("said_2", "told_key_1", "told_value_1", "gram_1", "asked_2", "probes_2"),
    ),
    Stage(
        ("tokens", "said_2", "told_value_1", "seen_2", "shares_2"),
        (
            *("said_3", "told_key_2", "told_value_2", "key_probes", "offsets", "gram_2"),
            *("asked_3", "constant_3", "probes_3", "enlarging"),
        ),
    ),
    Stage(
        ("said_3", "told_value_1", "told_value_2", "seen_3", "shares_3", "scale_3"),
        ("mask_weights", "predicted_iou"),
    ),
)
# Of the photo: projections by head, channel and position, or head, position and channel; others.
BY_CHANNEL = (
    *("key_1", "query_1", "told_1", "key_2", "placed_key_2", "query_2", "placed_query_2"),
    *("told_2_first", "told_2", "key_3", "placed_key_3"),
)
BY_POSITION = ("value_1", "value_2", "value_3")
OTHERS = (
    *("square_1", "square_2", "offset_2", "enlarged", "enlarged_offset"),
    *("of_cells_4", "of_cells_16", "norm_weight", "norm_bias", "upscale", "numbers"),
)
TERMS = (*BY_CHANNEL, *BY_POSITION, *OTHERS)

Arrays: TypeAlias = Mapping[str, np.ndarray]
RunStage: TypeAlias = Callable[[int, Sequence[np.ndarray]], Sequence[np.ndarray]]


def term_shapes() -> dict[str, tuple[int, ...]]:
    """Of what comes from the photo, all in fp32; `TERMS` in order."""
    others = (
        *((POSITIONS,), (POSITIONS,), (POSITIONS,), (GRID, CHANNELS, GRID), (CHANNELS,)),
        *((GRID, CHANNELS, GRID), (GRID, CELLS, FINEST, GRID)),
        *((FINE,), (FINE,), (FINEST, FINE), (4,)),
    )
    return {
        **dict.fromkeys(BY_CHANNEL, (HEADS, WIDTH, POSITIONS)),
        **dict.fromkeys(BY_POSITION, (HEADS, GRID, GRID, WIDTH)),
        **dict(zip(OTHERS, others, strict=True)),
    }


def stage_shapes(prompts: int, points: int) -> dict[str, tuple[int, ...]]:
    """Of what goes between stages and passes, for as many prompts of as many points."""
    tokens = points + OUTPUT_TOKENS
    mixes, last = HEADS * tokens, HEADS * ANSWERING_TOKENS
    of_tokens, of_heads = (tokens, CHANNELS), (HEADS, tokens, WIDTH)
    shapes: dict[str, tuple[int, ...]] = {
        "point_coords": (points, 2),
        "point_labels": (points,),
        "tokens": of_tokens,
        "said_1": of_tokens,
        "asked_1": of_heads,
        "seen_1": of_heads,
        "said_2": of_tokens,
        "told_key_1": of_heads,
        "told_value_1": of_heads,
        "gram_1": (mixes, mixes),
        "asked_2": of_heads,
        "probes_2": (mixes, mixes),
        "seen_2": of_heads,
        "shares_2": (HEADS, tokens, HEADS, tokens),
        "said_3": of_tokens,
        "told_key_2": of_heads,
        "told_value_2": of_heads,
        "key_probes": (mixes, mixes),
        "offsets": (2 * mixes,),
        "gram_2": (2 * mixes, 2 * mixes),
        "asked_3": (HEADS, ANSWERING_TOKENS, WIDTH),
        "constant_3": (HEADS, ANSWERING_TOKENS),
        "probes_3": (last, 2 * mixes),
        "enlarging": (CHANNELS, 2 * mixes),
        "seen_3": (HEADS, ANSWERING_TOKENS, WIDTH),
        "shares_3": (HEADS, ANSWERING_TOKENS, 2, HEADS, tokens),
        "scale_3": (HEADS, ANSWERING_TOKENS),
        "mask_weights": (MASKS, FINEST // 4),
        "predicted_iou": (MASKS,),
        "logits": (MASKS, MASK_SIDE, MASK_SIDE),
    }
    return {name: (prompts, *shape) for name, shape in shapes.items()}


def work_sizes(prompts: int, tokens: int) -> dict[str, int]:
    """Words of what the passes write for themselves; mixes and scales are kept between passes."""
    mixes, last = HEADS * tokens, HEADS * ANSWERING_TOKENS
    both = 2 * mixes
    padded = -(-both // PADDED_TO) * PADDED_TO
    vectors = prompts * mixes * WIDTH
    return {
        "mixes": prompts * POSITIONS * both,
        "scale_1": prompts * POSITIONS,
        "scale_2": prompts * POSITIONS,
        # What prompts give, as words
        "key_words": vectors,
        "value_words": vectors,
        "earlier_value_words": vectors,
        "asked_words": vectors,
        "gram_words": prompts * both * both,
        "probe_words": prompts * max(mixes * mixes, last * both),
        "key_probe_words": prompts * mixes * mixes,
        "enlarging_words": prompts * CHANNELS * both,
        "upscale_words": FINEST * FINE,
        # Of a row of the photo
        "own": both * GRID,
        "inner": both * GRID,
        "scores": mixes * GRID,
        "words": padded * GRID,
        "turned": padded * GRID,
        "best": GRID,
        "total": GRID,
        "fine": FINE * GRID,
        "fine_words": FINE * GRID,
        "finest": FINEST // 4 * GRID,
        "masks": 4 * CELLS * MASKS * GRID,
        # What tokens have seen so far
        "limits": prompts * mixes,
        "totals": prompts * mixes * 2 * GRID,
        "seen": vectors,
        "shares": prompts * mixes * padded,
    }


# What the machine code is given, in this order.
ARRAYS = (*TERMS, *list(stage_shapes(1, 1))[2:], *work_sizes(1, 1))
PLACES = {name: place for place, name in enumerate(ARRAYS)}
BY_PASSES = ("seen_1", "seen_2", "shares_2", "seen_3", "shares_3", "scale_3", "logits")


def _program(*arguments: str) -> MachineCode:
    return MachineCode(
        "prompt_kernel",
        ("vector_code", "word_products", "prompt_steps", "mask_kernel", "prompt_passes"),
        dict.fromkeys(PASSES, 2),
        arguments,
    )


PROGRAMS = {"fp32": _program(), "bf16": _program("bf16")}


class PromptPasses:
    """The passes in a precision; safe to be called from many threads."""

    def __init__(self, precision: PrecisionName, folder: Path | None = None) -> None:
        """Begin to load the machine code, or to compile it.

        precision: of the products; bf16 where the processor multiplies such, else fp32.
        folder: see `MachineCode.load`.
        """
        pairs = precision == "bf16" and "+avx512bf16" in host_features().split(",")
        self.precision: PrecisionName = "bf16" if pairs else "fp32"
        # The machine code; MissingDependency where it can't be compiled.
        self.loading: Future[Kernels] = PROGRAMS[self.precision].load(folder)
        self._idle: deque[_Work] = deque()

    def photo(self, terms: Sequence[np.ndarray]) -> Arrays:
        """Bring `TERMS` into the order in which they are read."""
        given = dict(zip(TERMS, terms, strict=True))
        arrays = {}
        for name, shape in term_shapes().items():
            arrays[name] = _checked(name, given[name], shape)
        if self.precision == "bf16":
            for name in BY_CHANNEL:
                arrays[name] = _in_pairs(arrays[name][:, ::2], arrays[name][:, 1::2])
            half = GRID // 2
            for name in BY_POSITION:
                arrays[name] = _in_pairs(arrays[name][:, :, :half], arrays[name][:, :, half:])
        return arrays

    def answer(
        self,
        photo: Arrays,
        coords: Float32[np.ndarray, "prompts points 2"],
        labels: Int64[np.ndarray, "prompts points"],
        run_stage: RunStage,
    ) -> tuple[Float32[np.ndarray, "prompts 4 256 256"], Float32[np.ndarray, "prompts 4"]]:
        """Logits and predicted IoU of at most PROMPTS_PER_RUN prompts.

        photo: of `photo`.
        run_stage: runs a stage of the tokens' network, by its number from 0 on.
        """
        prompts, points = labels.shape
        if prompts > PROMPTS_PER_RUN:
            raise ValueError(f"{prompts} prompts at once; expected at most {PROMPTS_PER_RUN}")
        shapes, tokens = stage_shapes(prompts, points), points + OUTPUT_TOKENS
        kernels = self.loading.result()
        work = self._take_work(tokens)
        known: dict[str, np.ndarray] = {"point_coords": coords, "point_labels": labels}
        table = (ctypes.c_void_p * len(ARRAYS))()

        def note(arrays: Arrays) -> None:
            known.update(arrays)
            for name, array in arrays.items():
                table[PLACES[name]] = array.ctypes.data

        note({**photo, **work.arrays})
        note({name: np.empty(shapes[name], np.float32) for name in BY_PASSES})
        size = np.array([prompts, tokens], np.int64)
        for number, (stage, name) in enumerate(zip(STAGES, PASSES, strict=True)):
            given = run_stage(number, [known[one] for one in stage.inputs])
            named = dict(zip(stage.outputs, given, strict=True))
            note({one: _checked(one, array, shapes[one]) for one, array in named.items()})
            kernels[name](size.ctypes.data, ctypes.addressof(table))
        self._idle.append(work)
        return known["logits"], known["predicted_iou"]

    def _take_work(self, tokens: int) -> "_Work":
        """Space for as many tokens: one that was used before, where it is large enough."""
        try:
            work = self._idle.popleft()
        except IndexError:
            work = _Work.for_tokens(tokens)
        return work if work.tokens >= tokens else _Work.for_tokens(tokens)


@dataclass(frozen=True, eq=False)
class _Work:
    """Space for PROMPTS_PER_RUN prompts of at most as many tokens."""

    tokens: int
    arrays: Arrays

    @classmethod
    def for_tokens(cls, tokens: int) -> "_Work":
        sizes = work_sizes(PROMPTS_PER_RUN, tokens)
        return cls(tokens, {name: np.empty(size, np.float32) for name, size in sizes.items()})


def _checked(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """As machine code takes it, which looks at nothing but addresses."""
    if array.size != np.prod(shape):
        raise BadPackage(
            f"a network for many prompts gives {name} as {array.shape}, expected {shape}; "
            "convert the model again: atrous sam2 add"
        )
    return np.ascontiguousarray(array, np.float32).reshape(shape)


def _in_pairs(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Two arrays as bfloat16 in the halves of words."""
    one, two = (np.ascontiguousarray(half).view(np.uint32) + HALF_ULP for half in (low, high))
    return ((one >> np.uint32(16)) | (two & HIGH_BITS)).view(np.float32)
