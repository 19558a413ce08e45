"""The whole way from photo to masks, against the official code with the same weights."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.runtime.core_budget import CoreBudget
from atrous.sam2 import segmenter as segmenter_module
from atrous.sam2.engine_choice import EngineReport
from atrous.sam2.models import Sam2Package
from atrous.sam2.photo_masks import restore_mask
from atrous.sam2.segmenter import (
    InteractiveSegmenter,
    Sam2Masks,
    stable_mask,
    three_masks,
)

MOST_LOGIT_DIFFERENCE = 1e-4
MOST_IOU_DIFFERENCE = 1e-5
LEAST_AGREEMENT = 0.9999  # of pixels at the photo's size
SHAPES = ["landscape", "portrait", "odd"]


def prompts_for(height: int, width: int) -> dict[str, Prompt]:
    """One prompt of each kind, in a photo of this size."""

    def point(across: float, down: float, positive: bool = True) -> Point:
        return Point(across * width, down * height, positive)

    box = PromptBox(0.2 * width, 0.3 * height, 0.61 * width, 0.77 * height)
    return {
        "point": Prompt(points=(point(0.4, 0.55),)),
        "corner": Prompt(points=(Point(0.0, 0.0, positive=True),)),
        "negative": Prompt(points=(point(0.4, 0.55), point(0.7, 0.2, False), point(0.1, 0.9))),
        "box": Prompt(box=box),
        "box and points": Prompt(points=(point(0.3, 0.4), point(0.5, 0.7, False)), box=box),
    }


def ask_official(
    predictor: Any, prompt: Prompt, *, multimask: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks at the photo's size, predicted IoU, and low-resolution logits."""
    points = np.array([[point.x, point.y] for point in prompt.points], np.float32)
    box = prompt.box
    return predictor.predict(
        point_coords=points if len(points) else None,
        point_labels=np.array([point.positive for point in prompt.points]) if len(points) else None,
        box=None if box is None else np.array([box.left, box.top, box.right, box.bottom]),
        mask_input=None if prompt.mask_input is None else prompt.mask_input[None],
        multimask_output=multimask,
    )


def insist_on_same(predictor: Any, embedding: Any, prompt: Prompt, given: Sam2Masks) -> None:
    multimask = len(given.predicted_iou) == 3
    masks, scores, logits = ask_official(predictor, prompt, multimask=multimask)
    assert np.abs(given.clamped_logits - logits).max() <= MOST_LOGIT_DIFFERENCE
    assert np.abs(given.predicted_iou - scores).max() <= MOST_IOU_DIFFERENCE
    for low_res, mask in zip(given.low_res_logits, masks, strict=True):
        restored = restore_mask(low_res, embedding.photo_size)
        assert np.mean(restored == mask.astype(bool)) >= LEAST_AGREEMENT


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_of_prompt_is_answered_as_officially(
    exact: InteractiveSegmenter, embeddings: Any, predictors: Any, shape: str, multimask: bool
) -> None:
    embedding = embeddings[shape]
    prompts = prompts_for(embedding.photo_size.height, embedding.photo_size.width)
    for prompt in prompts.values():
        (given,) = exact.segment(embedding, [prompt], multimask=multimask)
        insist_on_same(predictors[shape], embedding, prompt, given)


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
def test_mask_input_is_refined_as_officially(
    exact: InteractiveSegmenter, embeddings: Any, predictors: Any, multimask: bool
) -> None:
    embedding, predictor = embeddings["landscape"], predictors["landscape"]
    prompts = prompts_for(embedding.photo_size.height, embedding.photo_size.width)
    (first,) = exact.segment(embedding, [prompts["point"]], multimask=True)
    earlier = first.clamped_logits[first.best]
    for more in (
        Prompt(prompts["negative"].points, mask_input=earlier),
        Prompt(box=prompts["box"].box, mask_input=earlier),
        Prompt(mask_input=earlier),
    ):
        (given,) = exact.segment(embedding, [more], multimask=multimask)
        insist_on_same(predictor, embedding, more, given)
        without = Prompt(more.points, more.box)
        (other,) = exact.segment(embedding, [without], multimask=multimask)
        assert np.abs(other.low_res_logits - given.low_res_logits).max() > 0.1


def test_many_prompts_at_once_are_answered_as_each_alone(
    exact: InteractiveSegmenter, embeddings: Any, predictors: Any
) -> None:
    """Of different kinds, and more than go through the network at once."""
    embedding = embeddings["portrait"]
    height, width = embedding.photo_size.height, embedding.photo_size.width
    random = np.random.default_rng(0)
    clicks = [
        Prompt(points=(Point(x * width, y * height, positive=True),))
        for x, y in random.random((9, 2))
    ]
    prompts = [*prompts_for(height, width).values(), *clicks]
    answers = exact.segment(embedding, prompts, multimask=True)
    assert len(answers) == len(prompts)
    assert exact._many is not None
    assert 2 in exact._many._stages  # the clicks went through those for many
    for prompt, given in zip(prompts, answers, strict=True):
        insist_on_same(predictors["portrait"], embedding, prompt, given)


def test_many_prompts_are_answered_without_machine_code_too(
    exact: InteractiveSegmenter, embeddings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicks = [Prompt(points=(Point(20.0 * i, 30.0, positive=True),)) for i in range(8)]
    assert exact._many is not None
    monkeypatch.setattr(exact._many, "_works", False)
    monkeypatch.setattr(exact._many, "answer", None)  # must not be asked
    assert len(exact.segment(embeddings["odd"], clicks, multimask=True)) == 8


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
def test_many_boxes_that_refine_a_mask(
    exact: InteractiveSegmenter, embeddings: Any, multimask: bool
) -> None:
    embedding = embeddings["odd"]
    earlier = np.random.default_rng(1).normal(0, 5, (256, 256)).astype(np.float32)
    boxes = [PromptBox(10.0 * i, 20.0, 10.0 * i + 90.0, 200.0) for i in range(8)]
    prompts = [Prompt(box=box, mask_input=earlier) for box in boxes]
    answers = exact.segment(embedding, prompts, multimask=multimask)
    for prompt, given in zip(prompts[::7], answers[::7], strict=True):
        (alone,) = exact.segment(embedding, [prompt], multimask=multimask)
        difference = np.abs(alone.clamped_logits - given.clamped_logits).max()
        assert difference <= MOST_LOGIT_DIFFERENCE
        assert np.abs(alone.predicted_iou - given.predicted_iou).max() <= MOST_IOU_DIFFERENCE


def test_official_batches_are_answered_the_same(
    exact: InteractiveSegmenter, embeddings: Any, predictors: Any
) -> None:
    """Several prompts in one call of the official predictor, too."""
    embedding = embeddings["landscape"]
    places = np.array([[[100.0, 100.0]], [[700.0, 400.0]], [[1200.0, 800.0]]], np.float32)
    _, scores, logits = predictors["landscape"].predict(
        point_coords=places, point_labels=np.ones((3, 1), np.int32), multimask_output=True
    )
    prompts = [Prompt(points=(Point(float(x), float(y), positive=True),)) for ((x, y),) in places]
    for index, given in enumerate(exact.segment(embedding, prompts, multimask=True)):
        assert np.abs(given.clamped_logits - logits[index]).max() <= MOST_LOGIT_DIFFERENCE
        assert np.abs(given.predicted_iou - scores[index]).max() <= MOST_IOU_DIFFERENCE


def test_nothing_said_gives_a_mask(exact: InteractiveSegmenter, embeddings: Any) -> None:
    (answer,) = exact.segment(embeddings["odd"], [Prompt()], multimask=True)
    assert answer.low_res_logits.shape == (3, 256, 256)
    assert np.isfinite(answer.low_res_logits).all()
    assert exact.segment(embeddings["odd"], [], multimask=True) == []


def test_weights_are_worth_comparing(exact: InteractiveSegmenter, embeddings: Any) -> None:
    """Masks are neither empty nor full, and follow the prompt."""
    embedding = embeddings["landscape"]
    prompts = prompts_for(821, 1232)
    answers = exact.segment(embedding, list(prompts.values()), multimask=True)
    shares = np.array([(answer.low_res_logits > 0).mean(axis=(1, 2)) for answer in answers])
    assert ((shares > 0.02) & (shares < 0.98)).all()
    masks = [answer.low_res_logits[0] > 0 for answer in answers]
    assert min(np.mean(masks[0] != other) for other in masks[1:]) > 0.005


def test_a_crowd_gets_the_same_masks(
    sam2_package: Any, exact: InteractiveSegmenter, embeddings: Any
) -> None:
    segmenter = InteractiveSegmenter(
        sam2_package,
        engine="openvino",
        precision="fp32",
        threads=2,
        embeddings="float32",
        crowded=lambda: True,
    )
    prompts = list(prompts_for(333, 217).values())
    ask = partial(segmenter.segment, embeddings["odd"], prompts, multimask=True)
    ask()  # the second network is loaded meanwhile
    assert segmenter._decoder._loader is not None
    segmenter._decoder._loader.join(120)
    assert segmenter._decoder._halved is not None
    expected = exact.segment(embeddings["odd"], prompts, multimask=True)
    with ThreadPoolExecutor(2) as threads:
        for task in [threads.submit(ask) for _ in range(4)]:
            for one, other in zip(expected, task.result(), strict=True):
                difference = np.abs(one.low_res_logits - other.low_res_logits).max()
                assert difference <= MOST_LOGIT_DIFFERENCE
                scores_differ = np.abs(one.predicted_iou - other.predicted_iou).max()
                assert scores_differ <= MOST_IOU_DIFFERENCE
    segmenter.close()


@pytest.mark.parametrize("settings", [{"engine": "onnxruntime"}, {"threads": 1}, {"threads": 3}])
def test_a_crowd_waits_in_turn_where_halves_would_leave_cores_idle(
    sam2_package: Any, embeddings: Any, settings: dict[str, Any]
) -> None:
    segmenter = InteractiveSegmenter(
        sam2_package, precision="fp32", embeddings="float32", crowded=lambda: True, **settings
    )
    segmenter.segment(embeddings["odd"], [Prompt(points=(Point(3.0, 4.0, True),))], multimask=True)
    assert segmenter._decoder._loader is None
    segmenter.close()


def test_what_is_loaded_later_is_of_the_package_that_was_loaded(
    sam2_package: Any, exact: InteractiveSegmenter, embeddings: Any, tmp_path: Path
) -> None:
    """A package that is removed meanwhile goes on answering, crowds and many prompts too."""
    folder = tmp_path / sam2_package.folder.name
    shutil.copytree(sam2_package.folder, folder)
    segmenter = InteractiveSegmenter(
        replace(sam2_package, folder=folder),
        engine="openvino",
        precision="fp32",
        threads=2,
        embeddings="float32",
        crowded=lambda: True,
    )
    shutil.rmtree(folder)
    clicks = [Prompt(points=(Point(20.0 * x, 30.0, True),)) for x in range(9)]
    for prompts in (clicks[:1], clicks):
        answers = segmenter.segment(embeddings["odd"], prompts, multimask=True)
        assert segmenter._decoder._loader is not None
        segmenter._decoder._loader.join(120)
        expected = exact.segment(embeddings["odd"], prompts, multimask=True)
        for one, other in zip(expected, answers, strict=True):
            difference = np.abs(one.low_res_logits - other.low_res_logits).max()
            assert difference <= MOST_LOGIT_DIFFERENCE
    assert segmenter._decoder._halved is not None
    segmenter.close()


def test_onnx_runtime_says_the_same(
    sam2_package: Any, exact: InteractiveSegmenter, embeddings: Any, photos: Any
) -> None:
    segmenter = InteractiveSegmenter(
        sam2_package, engine="onnxruntime", precision="auto", embeddings="float32"
    )
    embedding = segmenter.embed(photos["odd"])
    assert (segmenter.engine, segmenter.precision) == ("onnxruntime", "fp32")
    prompts = list(prompts_for(333, 217).values())
    expected = exact.segment(embeddings["odd"], prompts, multimask=True)
    for one, other in zip(
        expected, segmenter.segment(embedding, prompts, multimask=True), strict=True
    ):
        assert np.abs(one.low_res_logits - other.low_res_logits).max() <= MOST_LOGIT_DIFFERENCE
    segmenter.close()


def test_half_precision_embeddings_cost_less_than_a_pixel_in_a_thousand(
    sam2_package: Any, exact: InteractiveSegmenter, embeddings: Any, photos: Any
) -> None:
    segmenter = InteractiveSegmenter(sam2_package, engine="openvino", precision="fp32")
    for shape in SHAPES:
        whole, size = embeddings[shape], embeddings[shape].photo_size
        half = segmenter.embed(photos[shape])
        assert half.size_bytes * 2 == whole.size_bytes
        prompts = list(prompts_for(size.height, size.width).values())
        changed = [
            np.mean(restore_mask(one, size) != restore_mask(other, size))
            for before, after in zip(
                exact.segment(whole, prompts, multimask=True),
                segmenter.segment(half, prompts, multimask=True),
                strict=True,
            )
            for one, other in zip(before.low_res_logits, after.low_res_logits, strict=True)
        ]
        assert np.max(changed) <= 1e-3  # of each mask
    segmenter.close()


def logits_of(*rows: float) -> np.ndarray:
    return np.stack([np.full((256, 256), value, np.float32) for value in rows])


def test_an_unstable_mask_gives_way_to_the_best_of_three() -> None:
    logits, scores = logits_of(0.01, 1.0, 2.0, 3.0), np.array([0.9, 0.1, 0.8, 0.2], np.float32)
    assert stable_mask(logits, scores).low_res_logits[0, 0, 0] == 2.0
    logits[0] = 5.0
    assert stable_mask(logits, scores).predicted_iou.tolist() == scores[:1].tolist()
    logits[0] = -5.0  # empty at either threshold is stable
    assert stable_mask(logits, scores).low_res_logits[0, 0, 0] == -5.0
    assert three_masks(logits, scores).best == 1


def test_logits_for_refining_are_clamped() -> None:
    masks = Sam2Masks(logits_of(40.0, -50.0), np.array([0.5, 0.6], np.float32))
    assert masks.clamped_logits[:, 0, 0].tolist() == [32.0, -32.0]
    assert masks.best == 1


class WatchingNetwork:
    """Answers nothing, and looks how many cores of the budget are free meanwhile."""

    engine, precision = "openvino", "fp32"

    def __init__(self, cores: CoreBudget) -> None:
        self.cores, self.free = cores, []

    def run(self, inputs: Any) -> tuple[np.ndarray, ...]:
        self.free.append(self.cores._free)
        if len(inputs) == 1:  # a photo
            return tuple(np.zeros((1, 2, 2), np.float32) for _ in range(3))
        return np.zeros((1, 4, 256, 256), np.float32), np.zeros((1, 4), np.float32)

    def close(self) -> None:
        """There is nothing to free."""


def test_prompts_take_turns_with_other_networks_and_encodings_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = CoreBudget(4)
    encoder, decoder = WatchingNetwork(cores), WatchingNetwork(cores)
    networks = (encoder, decoder, EngineReport("openvino", "fp32"))
    monkeypatch.setattr(segmenter_module, "open_networks", lambda *_, **__: networks)
    package = Sam2Package(Path("anywhere"), "hiera_tiny", "2.1", {})
    segmenter = InteractiveSegmenter(package, threads=3, cores=cores)
    embedding = segmenter.embed(np.zeros((20, 30, 3), np.uint8))
    segmenter.segment(embedding, [Prompt(points=(Point(3.0, 4.0, True),))], multimask=True)
    assert (encoder.free, decoder.free, cores._free) == ([4], [1], 4)
