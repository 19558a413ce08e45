"""Many prompts in one request: in parts, with an end where nobody waits any more."""

import importlib.util
import io
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from atrous.server.inference import sam2_answers, sam2_segmentation

POINTS = [{"points": [{"x": float(x), "y": 50.0, "positive": True}]} for x in range(100)]


def test_many_prompts_go_through_the_network_in_parts(sam2, photo) -> None:
    answer = sam2.segment(image=photo(), prompts=POINTS, format="rle").json()
    assert len(answer["predictions"]) == 100
    asked = [len(prompts) for prompts, _ in sam2.segmenter.asked]
    assert sum(asked) == 100
    assert len(asked) == math.ceil(100 / sam2.segmenter.prompts_at_once)
    first, last = answer["predictions"][0]["masks"], answer["predictions"][99]["masks"]
    assert first != last


def test_parts_are_of_one_kind_and_answers_in_order(sam2, photo) -> None:
    """Few of a kind in a part would be answered one by one, though many were asked for."""
    sam2.segmenter.prompts_at_once = 16
    box = {"box": {"x": 8, "y": 8, "width": 4, "height": 4}}
    mixed = [box if i % 4 == 0 else point for i, point in enumerate(POINTS)]
    body = {"image": photo(), "prompts": mixed, "save_logits_to_cache": False}
    answer = sam2.segment(**body, format="rle")
    asked = [prompts for prompts, _ in sam2.segmenter.asked]
    assert all(len({prompt.box is None for prompt in prompts}) == 1 for prompts in asked)
    assert sorted(map(len, asked)) == [12, 13, *[15] * 5]  # 25 boxes, 75 clicks
    alone = {i: sam2.segment(image=photo(), prompts=[mixed[i]], format="rle") for i in (0, 1, 99)}
    predictions = answer.json()["predictions"]
    assert len(predictions) == 100
    for i, one in alone.items():
        assert one.json()["predictions"] == [predictions[i]]
    binary = sam2.segment(**body, format="binary", low_res=True)
    logits = np.load(io.BytesIO(binary.content))["low_res_masks"]
    for i in alone:
        one = sam2.segment(image=photo(), prompts=[mixed[i]], format="binary", low_res=True)
        assert np.array_equal(np.load(io.BytesIO(one.content))["low_res_masks"][0], logits[i])
    assert not np.array_equal(logits[1], logits[99])


def test_few_prompts_go_together_whatever_their_kind(sam2, photo) -> None:
    box = {"box": {"x": 8, "y": 8, "width": 4, "height": 4}}
    assert sam2.segment(image=photo(), prompts=[POINTS[0], box]).status_code == 200
    assert [len(prompts) for prompts, _ in sam2.segmenter.asked] == [2]


@pytest.mark.parametrize("format", ["json", "binary"])
def test_work_ends_where_nobody_waits(sam2, photo, monkeypatch, format) -> None:
    class Left(Exception):
        """The client is gone."""

    calls = []

    def leave_after_two() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise Left

    sam2.embed(image=photo(), image_id="cat")
    monkeypatch.setattr(sam2_segmentation, "stop_if_unwanted", leave_after_two)
    sam2.segmenter.prompts_at_once = 1
    answer = sam2.segment(image_id="cat", prompts=POINTS, format=format)
    assert answer.status_code == 500  # of a failure that the test made up
    assert len(sam2.segmenter.asked) <= 2


def test_what_is_not_begun_when_a_part_fails_is_left(sam2, photo, monkeypatch) -> None:
    """Both threads are busy with the first two parts when the first fails; a third waits."""
    sam2.embed(image=photo(), image_id="cat")
    sam2.segmenter.prompts_at_once = 1
    asked: list[float] = []
    may_go_on, second_began = threading.Event(), threading.Event()

    def segment(embedding: Any, prompts: Any, *, multimask: bool) -> Any:
        asked.append(prompts[0].points[0].x)
        if asked[-1] == 0.0:
            assert second_began.wait(60)
            raise RuntimeError("of the test")
        second_began.set()
        assert may_go_on.wait(60)
        return []

    cancel = Future.cancel

    def cancel_and_go_on(self: Any) -> bool:
        cancelled = cancel(self)
        may_go_on.set()
        return cancelled

    monkeypatch.setattr(sam2.segmenter, "segment", segment)
    monkeypatch.setattr(Future, "cancel", cancel_and_go_on)
    answer = sam2.segment(image_id="cat", prompts=POINTS)
    assert answer.status_code == 500
    assert len(asked) <= 3  # the thread of the failed one may have begun the third


def test_too_many_pixels_are_refused_before_the_network_is_asked(sam2, photo, monkeypatch) -> None:
    monkeypatch.setattr(sam2_answers, "MAX_BINARY_PIXELS", 50_000)
    assert sam2.segment(image=photo(), prompts=POINTS[:2], format="binary").status_code == 200
    answer = sam2.segment(image=photo(), prompts=POINTS[:3], format="binary")
    assert answer.status_code == 400
    assert "low_res" in answer.json()["message"]
    assert len(sam2.segmenter.asked) == 1
    three = sam2.segment(image=photo(), prompts=POINTS[:1], format="binary", all_masks=True)
    assert three.status_code == 400  # it is three masks


@pytest.fixture
def discs() -> ModuleType:
    path = Path(__file__).parents[1] / "disc_sam2.py"
    spec = importlib.util.spec_from_file_location("disc_sam2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_through_real_networks(
    discs: ModuleType, store: Any, start: Callable[..., Any], key: str, photo: Callable[..., Any]
) -> None:
    """Networks of known answers, in the engine, through the whole room."""
    discs.write_disc_sam2(store.home.sam2_models / "hiera_tiny-2.1")
    client = start(precision="fp32")
    one = {"points": [{"x": 60, "y": 40, "positive": True}]}
    two = {"points": [*one["points"], {"x": 150, "y": 60, "positive": True}]}
    body = {"image": photo(), "sam2_version_id": "hiera_tiny", "prompts": [one, two]}
    answer = client.post("/sam2/segment_image", params={"api_key": key}, json=body)
    assert answer.status_code == 200, answer.text
    first = discs.expected_disc(60, 40, 100, 200)
    second = discs.expected_disc(150, 60, 100, 200)
    for prediction, expected in zip(
        answer.json()["predictions"], (first, first | second), strict=True
    ):
        mask = np.zeros((100, 200), np.uint8)
        for polygon in prediction["masks"]:
            cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
        assert (mask.astype(bool) == expected).mean() > 0.99
        assert prediction["confidence"] == pytest.approx(0.9)
    found = client.post(
        "/sam2/auto",
        params={"api_key": key},
        json={**body, "points_per_side": 2, "stability_score_thresh": 0.5},
    )
    assert found.status_code == 200, found.text
    assert found.json()["predictions"]
