"""Prompts as the decoder reads them: points with labels, in its 1024x1024 input."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int64

from atrous.domain.errors import BadRequest
from atrous.domain.geometry import Size
from atrous.domain.prompts import Prompt
from atrous.sam2.photo_input import SIDE

NO_MASK = np.zeros((256, 256), np.float32)
NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT, NO_POINT = 0, 1, 2, 3, -1


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts that one run of the decoder answers: equally many points, the same mask or none."""

    indices: tuple[int, ...]  # of the prompts in the request
    coords: Float32[np.ndarray, "prompts points 2"]  # x and y
    labels: Int64[np.ndarray, "prompts points"]
    mask_input: Float32[np.ndarray, "256 256"] | None

    @property
    def earlier_mask(self) -> tuple[np.ndarray, np.ndarray]:
        """The mask, or one that says nothing, and 1 or 0, as the networks take them."""
        mask = NO_MASK if self.mask_input is None else self.mask_input
        return mask[None, None], np.array([self.mask_input is not None], np.float32)

    def parts(self, most: int) -> "list[PromptBatch]":
        """The same in as few batches of at most `most` as there must be, all about as long."""
        return [
            PromptBatch(self.indices[one], self.coords[one], self.labels[one], self.mask_input)
            for one in even_parts(len(self.indices), most)
        ]


def even_parts(count: int, most: int) -> list[slice]:
    """Cut into as few parts of at most `most` as there must be, all about as long.

    >>> even_parts(5, 2)
    [slice(0, 1, None), slice(1, 3, None), slice(3, 5, None)]
    """
    parts = -(-count // most)
    cuts = [count * part // parts for part in range(parts + 1)]
    return [slice(*ends) for ends in pairwise(cuts)]


def batch_prompts(prompts: Sequence[Prompt], photo_size: Size) -> list[PromptBatch]:
    """Sort prompts into batches.

    Only prompts of as many points go together: points that fill a shorter prompt up would change
    its answer, and what else is asked must not matter.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    rows = [prompt_points(prompt, photo_size) for prompt in prompts]
    for index, (prompt, (coords, _)) in enumerate(zip(prompts, rows, strict=True)):
        mask = 0 if prompt.mask_input is None else id(prompt.mask_input)
        groups.setdefault((len(coords), mask), []).append(index)
    return [
        PromptBatch(
            indices=tuple(indices),
            coords=np.stack([rows[index][0] for index in indices]),
            labels=np.stack([rows[index][1] for index in indices]),
            mask_input=prompts[indices[0]].mask_input,
        )
        for indices in groups.values()
    ]


def prompt_points(
    prompt: Prompt, photo_size: Size
) -> tuple[Float32[np.ndarray, "points 2"], Int64[np.ndarray, " points"]]:
    """A prompt's points and labels, the corners of the box first, one that is none at the end.

    A mask alone has no points at all, as in the official predictor; a prompt that says nothing
    has two that are none, as in Roboflow's server.
    """
    corners: list[tuple[float, float]] = []
    labels: list[int] = []
    if prompt.box is not None:
        corners += [(prompt.box.left, prompt.box.top), (prompt.box.right, prompt.box.bottom)]
        labels += [TOP_LEFT, BOTTOM_RIGHT]
    corners += [(point.x, point.y) for point in prompt.points]
    labels += [POSITIVE if point.positive else NEGATIVE for point in prompt.points]
    if not np.isfinite(corners).all():
        raise BadRequest(f"a prompt at {corners} has a coordinate that is no number")
    if not corners and prompt.mask_input is None:
        corners, labels = [(0.0, 0.0)], [NO_POINT]
    if corners:
        corners, labels = [*corners, (0.0, 0.0)], [*labels, NO_POINT]
    # First the division, then the product, each rounded, as the official code does.
    photo = np.array([photo_size.width, photo_size.height], np.float32)
    coords = np.array(corners, np.float32).reshape(-1, 2) / photo * np.float32(SIDE)
    return coords, np.array(labels, np.int64)
