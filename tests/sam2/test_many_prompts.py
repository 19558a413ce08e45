from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.runtime.core_budget import CoreBudget
from atrous.sam2 import many_prompts
from atrous.sam2.embedding import Embedding
from atrous.sam2.many_prompts import LEAST_PROMPTS, MOST_POINTS, PROMPTS_PER_RUN, ManyPrompts
from atrous.sam2.prompt_arrays import PromptBatch, batch_prompts

SIZE = Size(1024, 1024)
HALF = np.zeros((1, 2, 2), np.float16)
EMBEDDING = Embedding(SIZE, HALF, (HALF, HALF))
PATHS = (Path("photo_terms.onnx"), Path("many_prompts.onnx"))
BUDGET = CoreBudget(3)


def clicks(count: int, points: int = 1, mask: np.ndarray | None = None) -> PromptBatch:
    """A batch whose prompts are told apart by the x of their first point."""
    prompts = [
        Prompt(points=(Point(float(x), 1.0, positive=True),) * points, mask_input=mask)
        for x in range(count)
    ]
    (batch,) = batch_prompts(prompts, SIZE)
    return batch


class Counting:
    """A network that says what it was given, and how many cores of the budget were free."""

    engine, precision = "openvino", "fp32"

    def __init__(self, path: Path, budget: CoreBudget, **settings: Any) -> None:
        self.path, self.budget, self.settings = path, budget, settings
        self.free: list[int] = []
        self.given: list[Any] = []
        self.closed = False

    def run(self, inputs: Any) -> tuple[np.ndarray, ...]:
        self.free.append(self.budget._free)
        self.given.append(inputs)
        if self.path == PATHS[0]:
            return (np.full(1, 7.0, np.float32),)
        shared, coords, labels = inputs
        assert shared.tolist() == [7.0]
        prompts = len(labels)
        first = coords[:, 0, 0].astype(np.float32)
        return np.zeros((prompts, 4, 256, 256), np.float32), np.stack([first] * 4, axis=1)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    networks: list[Counting] = []

    def open_one(path: Path, **settings: Any) -> Counting:
        networks.append(Counting(path, BUDGET, **settings))
        return networks[-1]

    monkeypatch.setattr(many_prompts, "open_network", open_one)
    return networks


def test_what_prompts_share_is_computed_once_and_answers_come_in_order(
    opened: list[Counting],
) -> None:
    many = ManyPrompts(*PATHS, 2, BUDGET, precision="bf16", half=True)
    assert not opened  # nothing is loaded before it is needed
    mask = np.ones((256, 256), np.float32)
    answers = list(many.answer(EMBEDDING, clicks(2 * PROMPTS_PER_RUN + 1, mask=mask)))
    photo_side, decoder = opened
    assert photo_side.settings == {"threads": 2, "half_inputs": 3}
    shapes = {"point_coords": (PROMPTS_PER_RUN, 2, 2), "point_labels": (PROMPTS_PER_RUN, 2)}
    assert decoder.settings == {
        "precision": "bf16",
        "threads": 1,
        "side_by_side": 2,
        "fixed_shapes": shapes,
    }
    assert all(len(labels) == PROMPTS_PER_RUN for _, _, labels in decoder.given)
    assert photo_side.free == [1]  # all cores of the model, one is another's
    assert photo_side.given[0][3].shape == (1, 1, 256, 256)
    assert photo_side.given[0][4].tolist() == [1.0]
    assert len(decoder.free) == 3
    assert set(decoder.free) <= {1, 2}  # a core for each of at most two
    assert [index for part, _, _ in answers for index in part.indices] == [0, 1, 2, 3, 4]
    scores = np.concatenate([scores for _, _, scores in answers])
    assert scores[:, 0].tolist() == [0, 1, 2, 3, 4]  # what fills up the last part is dropped
    list(many.answer(EMBEDDING, clicks(1, points=2, mask=mask)))
    assert len(opened) == 3  # a decoder for each number of points
    assert BUDGET._free == 3
    many.close()
    assert all(network.closed for network in opened)


def test_parts_of_a_request_share_what_is_computed(opened: list[Counting]) -> None:
    many = ManyPrompts(*PATHS, 2, BUDGET, precision="bf16", half=True)
    mask, other_photo = np.ones((256, 256), np.float32), replace(EMBEDDING)
    for embedding, of_mask in (
        *((EMBEDDING, None), (EMBEDDING, None)),
        *((EMBEDDING, mask), (EMBEDDING, mask)),
        *((other_photo, mask), (EMBEDDING, mask)),
    ):
        list(many.answer(embedding, clicks(3, mask=of_mask)))
    assert [len(network.given) for network in opened] == [4, 6 * 2]
    many.close()


def test_few_prompts_and_long_ones_are_left_to_the_decoder() -> None:
    many = ManyPrompts(*PATHS, 2, BUDGET, precision="fp32", half=False)
    assert many.pays_for(clicks(LEAST_PROMPTS))
    assert not many.pays_for(clicks(LEAST_PROMPTS - 1))
    assert many.pays_for(clicks(LEAST_PROMPTS, points=MOST_POINTS - 1))  # and one that is none
    assert not many.pays_for(clicks(LEAST_PROMPTS, points=MOST_POINTS))
    mask = np.ones((256, 256), np.float32)
    (alone,) = batch_prompts([Prompt(mask_input=mask)] * LEAST_PROMPTS, SIZE)
    assert not many.pays_for(alone)  # a mask without a point
    (boxes,) = batch_prompts([Prompt(box=PromptBox(1.0, 2.0, 3.0, 4.0))] * LEAST_PROMPTS, SIZE)
    assert many.pays_for(boxes)
    many.close()


def test_a_failure_reaches_who_asked(
    opened: list[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Counting, inputs: Any) -> None:
        raise RuntimeError("out of memory")

    many = ManyPrompts(*PATHS, 2, BUDGET, precision="bf16", half=True)
    monkeypatch.setattr(Counting, "run", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(many.answer(EMBEDDING, clicks(9)))
    assert BUDGET._free == 3
    many.close()
