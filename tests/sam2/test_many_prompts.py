from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.domain.errors import MissingDependency
from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.prompt_passes import (
    PROMPTS_PER_RUN,
    STAGES,
    stage_shapes,
    term_shapes,
)
from atrous.sam2 import many_prompts
from atrous.sam2.embedding import Embedding
from atrous.sam2.many_prompts import LEAST_PROMPTS, MOST_POINTS, ManyPrompts
from atrous.sam2.prompt_arrays import PromptBatch, batch_prompts

SIZE = Size(1024, 1024)
HALF = np.zeros((1, 2, 2), np.float16)
EMBEDDING = Embedding(SIZE, HALF, (HALF, HALF))
PATHS = [Path("photo_terms.onnx"), *(Path(f"prompt_tokens_{stage}.onnx") for stage in "1234")]
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
            return tuple(np.full(shape, 7, np.float32) for shape in term_shapes().values())
        (_, outputs), stage = STAGES[PATHS.index(self.path) - 1], PATHS.index(self.path)
        points = 2 if stage > 1 else inputs[1].shape[1]
        shapes = stage_shapes(len(inputs[0]), points)
        given = {name: np.ones(shapes[name], np.float32) for name in outputs}
        # What tells prompts apart goes through three of the stages.
        if stage == 1:
            given["tokens"] *= inputs[0][:, :1, :1]
        elif stage == 3:
            given["said_3"] = inputs[0]
        elif stage == 4:
            given["predicted_iou"] = inputs[0][:, 0, :4]
        return tuple(given.values())

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
    many = ManyPrompts(PATHS, 2, BUDGET, precision="bf16", half=True)
    assert not opened  # nothing is loaded before it is needed
    mask = np.ones((256, 256), np.float32)
    count = 2 * PROMPTS_PER_RUN + 1
    answers = list(many.answer(EMBEDDING, clicks(count, mask=mask)))
    photo_side, *stages = opened
    assert photo_side.settings == {"threads": 2, "half_inputs": 3}
    shapes = stage_shapes(PROMPTS_PER_RUN, 2)
    assert [stage.settings for stage in stages] == [
        {
            "precision": "bf16" if number else "fp32",
            "threads": 1,
            "fixed_shapes": {name: shapes[name] for name in stage.inputs},
        }
        for number, stage in enumerate(STAGES)
    ]
    assert photo_side.free == [1]  # all cores of the model, one is another's
    assert photo_side.given[0][3].shape == (1, 1, 256, 256)
    assert photo_side.given[0][4].tolist() == [1.0]
    for stage in stages:
        assert all(len(inputs[0]) == PROMPTS_PER_RUN for inputs in stage.given)
        assert set(stage.free) <= {1, 2}  # a core for each of at most two
    assert [len(part.indices) for part, _, _ in answers] == [4, 4, 4, 5]  # as many for each core
    assert [index for part, _, _ in answers for index in part.indices] == [*range(count)]
    scores = np.concatenate([scores for _, _, scores in answers])
    assert scores[:, 0].tolist() == [*range(count)]  # what fills up a part is dropped
    assert np.concatenate([logits for _, logits, _ in answers]).shape == (count, 4, 256, 256)
    assert BUDGET._free == 3
    many.close()
    assert all(network.closed for network in opened)


def test_networks_are_loaded_for_each_number_of_points(opened: list[Counting]) -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="fp32", half=False)
    many._load(2)
    many._load(3)
    many._load(2)
    assert [network.path for network in opened] == [*PATHS, *PATHS[1:]]
    assert opened[0].settings["half_inputs"] == 0
    assert opened[-1].settings["fixed_shapes"]["said_3"] == (PROMPTS_PER_RUN, 9, 256)
    many.close()


def test_parts_of_a_request_share_what_is_computed(opened: list[Counting]) -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="bf16", half=True)
    mask, other_photo = np.ones((256, 256), np.float32), replace(EMBEDDING)
    for embedding, of_mask in (
        *((EMBEDDING, None), (EMBEDDING, None)),
        *((EMBEDDING, mask), (EMBEDDING, mask)),
        *((other_photo, mask), (EMBEDDING, mask)),
    ):
        list(many.answer(embedding, clicks(3, mask=of_mask)))
    assert [len(network.given) for network in opened] == [4, *[6] * 4]
    many.close()


def test_requests_about_several_photos_keep_what_is_theirs(opened: list[Counting]) -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="bf16", half=True)
    other_photo = replace(EMBEDDING)
    first = many.answer(EMBEDDING, clicks(3))
    next(first)
    second = many.answer(other_photo, clicks(3))
    next(second)
    list(many.answer(EMBEDDING, clicks(3)))  # the next part of a request that is in work
    list(many.answer(other_photo, clicks(3)))
    assert len(opened[0].given) == 2
    list(first)
    list(second)
    list(many.answer(other_photo, clicks(3)))
    assert len(opened[0].given) == 2  # the latest is kept
    list(many.answer(EMBEDDING, clicks(3)))
    assert len(opened[0].given) == 3  # it alone
    many.close()


def test_parts_that_come_at_once_compute_what_they_share_once(opened: list[Counting]) -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="bf16", half=True)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: list(many.answer(EMBEDDING, clicks(5))), range(4)))
    assert [len(parts) for parts in answers] == [2] * 4
    assert len(opened[0].given) == 1
    many.close()


def test_machine_code_is_not_waited_for_unless_asked() -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="fp32", half=False)
    many._passes.loading = loading = Future()
    assert not many.is_ready()
    with ThreadPoolExecutor(1) as waiting:
        ready = waiting.submit(many.is_ready, wait=True)
        assert BUDGET._free == 3  # no core is taken meanwhile
        loading.set_result({})
        assert ready.result()
    assert many.is_ready()
    many.close()


def test_without_machine_code_prompts_go_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="fp32", half=False)
    many._passes.loading = loading = Future()
    loading.set_exception(MissingDependency("Numba could not compile"))
    assert not many.is_ready()
    assert not many.is_ready(wait=True)
    assert caplog.text.count("answered one by one: Numba could not compile") == 1  # told once
    many.close()


@pytest.mark.parametrize(("count", "parts"), [(8, [4, 4]), (7, [3, 4]), (30, [3] * 2 + [4] * 6)])
def test_many_cores_do_not_share_what_is_too_little(
    opened: list[Counting], count: int, parts: list[int]
) -> None:
    """The stages compute as many prompts as the largest run has, however few there are."""
    many = ManyPrompts(PATHS, 16, CoreBudget(16), precision="fp32", half=False)
    answers = list(many.answer(EMBEDDING, clicks(count)))
    assert sorted(len(part.indices) for part, _, _ in answers) == parts
    many.close()


def test_few_prompts_and_long_ones_are_left_to_the_decoder() -> None:
    many = ManyPrompts(PATHS, 2, BUDGET, precision="fp32", half=False)
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

    many = ManyPrompts(PATHS, 2, BUDGET, precision="bf16", half=True)
    monkeypatch.setattr(Counting, "run", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(many.answer(EMBEDDING, clicks(9)))
    assert BUDGET._free == 3
    many.close()
