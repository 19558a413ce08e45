from typing import Any

import pytest
from pydantic import ValidationError

from atrous.server.inference.sam2_requests import (
    AutoRequest,
    EmbedRequest,
    SegmentRequest,
)

IMAGE = {"type": "base64", "value": "QUJD"}
POINT = {"x": 1, "y": 2.5, "positive": True}
BOX = {"x": 5, "y": 5, "width": 4, "height": 2}


def read(**fields: Any) -> SegmentRequest:
    return SegmentRequest.model_validate({"image": IMAGE, **fields})


@pytest.mark.parametrize(
    ("sent", "count"),
    [
        ({"prompts": [{"points": [POINT]}, {"box": BOX}]}, 2),
        ([{"points": [POINT]}, {"box": BOX, "points": [POINT]}], 2),
        ({"points": [POINT]}, 1),
        ({"box": BOX}, 1),
        ([{}], 1),
        ({"prompts": []}, 0),
        ({"prompts": None}, 0),
        ({"prompts": {"box": BOX}}, 1),
        ({}, 0),
        ([], 0),
        (None, 0),
    ],
)
def test_prompts_come_in_many_ways(sent: Any, count: int) -> None:
    assert len(read(prompts=sent).prompts) == count


def test_what_is_not_said_is_as_other_servers_have_it() -> None:
    wanted = read()
    assert wanted.prompts == []
    assert wanted.format == "json"
    assert wanted.multimask_output is True
    assert wanted.save_logits_to_cache is wanted.load_logits_from_cache is False
    assert wanted.sam2_version_id is None
    unknown = read(point_coords=[[1, 2]], point_labels=[1], threshold=3, source="x", id="y")
    assert unknown == wanted


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([{"points": [{"x": 1, "y": 2}]}], "positive"),
        ([{"points": [{"x": float("nan"), "y": 2, "positive": True}]}], "finite"),
        ([{"points": [{"x": float("inf"), "y": 2, "positive": True}]}], "finite"),
        ([{"points": [POINT] * 101}], "at most 100"),
        ([{"points": [POINT]}] * 257, "at most 256"),
        ([{"box": {**BOX, "width": -4}}], "greater than 0"),
        ([{"box": {**BOX, "height": 0}}], "greater than 0"),
        ([{"box": {"x": 1, "y": 2, "width": 3}}], "height"),
        ([{"box": [1, 2, 3, 4]}], "box"),
        ([None], "prompts"),
        ("the dog", "prompts"),
        (5, "prompts"),
    ],
)
def test_bad_prompts_are_refused_with_the_reason(sent: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        read(prompts=sent)


@pytest.mark.parametrize("format", ["polygon", "JSON", "", None])
def test_formats_that_are_none(format: str | None) -> None:
    with pytest.raises(ValidationError, match="'json', 'rle', 'binary' or 'png'"):
        read(format=format)


def test_one_photo_is_needed_and_an_id_is_enough() -> None:
    assert EmbedRequest.model_validate({"image_id": "cat"}).image is None
    for nothing in ({}, {"image_id": ""}, {"image": None}):
        with pytest.raises(ValidationError, match="send `image`, or the `image_id`"):
            EmbedRequest.model_validate(nothing)
    with pytest.raises(ValidationError):
        EmbedRequest.model_validate({"image": [IMAGE, IMAGE]})


def test_a_search_has_the_defaults_of_the_official_generator() -> None:
    wanted = AutoRequest.model_validate({"image": IMAGE})
    assert wanted.points_per_side == 32
    assert wanted.pred_iou_thresh == 0.8
    assert wanted.stability_score_thresh == 0.95
    assert wanted.stability_score_offset == 1.0
    assert wanted.box_nms_thresh == wanted.crop_nms_thresh == 0.7
    assert wanted.crop_n_layers == 0
    assert wanted.crop_overlap_ratio == 512 / 1500
    with pytest.raises(ValidationError):
        AutoRequest.model_validate({"image": IMAGE, "format": "binary"})
