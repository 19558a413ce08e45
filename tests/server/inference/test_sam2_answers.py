import base64
import io

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from atrous.domain.errors import BadRequest
from atrous.domain.geometry import Size
from atrous.sam2.segmenter import Sam2Masks
from atrous.server.inference import sam2_answers
from atrous.server.inference.sam2_answers import (
    MaskStyle,
    MaskWriter,
    masks_as_arrays,
    refuse_too_much,
)

# pycocotools' decoder is older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = Size(height=300, width=500)


def disc(radius: float, hole: float = 0.0) -> np.ndarray:
    """Logits of a disc, or a ring, in the middle."""
    y, x = np.mgrid[:256, :256].astype(np.float32)
    away = np.hypot(x - 127.5, y - 127.5)
    return np.clip(np.minimum(radius - away, away - hole), -32, 32).astype(np.float32)


MASKS = Sam2Masks(
    np.stack([disc(20), disc(100, hole=40), disc(60)]), np.array([0.5, 0.9, 0.7], np.float32)
)


def expected(logits: np.ndarray) -> np.ndarray:
    return cv2.resize(logits, (SIZE.width, SIZE.height), interpolation=cv2.INTER_LINEAR) >= 0


def fill(polygons: list[list[list[int]]]) -> np.ndarray:
    mask = np.zeros((SIZE.height, SIZE.width), np.uint8)
    cv2.fillPoly(mask, [np.array(polygon, np.int32) for polygon in polygons], 1)
    return mask.astype(bool)


def test_polygons_of_the_best_mask() -> None:
    answer = MaskWriter(MaskStyle(), SIZE).prediction(MASKS)
    assert set(answer) == {"masks", "confidence", "format"}
    assert answer["format"] == "polygon"
    assert answer["confidence"] == pytest.approx(0.9)
    [polygon] = answer["masks"]
    assert all(isinstance(value, int) for point in polygon for value in point)
    np.testing.assert_array_equal(fill([polygon]), expected(disc(100)))  # without its hole


def test_polygons_with_holes() -> None:
    answer = MaskWriter(MaskStyle(holes=True), SIZE).prediction(MASKS)
    mask = fill(answer["masks"]).astype(np.uint8)
    [[hole]] = answer["holes"]
    cv2.fillPoly(mask, [np.array(hole, np.int32)], 0)
    cv2.polylines(mask, [np.array(hole, np.int32)], True, 1)
    np.testing.assert_array_equal(mask.astype(bool), expected(MASKS.low_res_logits[1]))


def test_a_tolerance_leaves_corners_out() -> None:
    exact = MaskWriter(MaskStyle(), SIZE).prediction(MASKS)["masks"][0]
    rough = MaskWriter(MaskStyle(tolerance=2.0), SIZE).prediction(MASKS)["masks"][0]
    assert 3 <= len(rough) < len(exact) / 4
    assert (fill([rough]) != fill([exact])).mean() < 0.02


def test_nothing_is_one_polygon_without_points() -> None:
    nothing = Sam2Masks(np.full((1, 256, 256), -5, np.float32), np.array([0.1], np.float32))
    assert MaskWriter(MaskStyle(), SIZE).prediction(nothing)["masks"] == [[]]
    with_holes = MaskWriter(MaskStyle(holes=True), SIZE).prediction(nothing)
    assert (with_holes["masks"], with_holes["holes"]) == ([[]], [[]])


def test_rle_is_cocos() -> None:
    answer = MaskWriter(MaskStyle("rle"), SIZE).prediction(MASKS)
    assert answer["format"] == "rle"
    assert answer["masks"]["size"] == [300, 500]
    assert isinstance(answer["masks"]["counts"], str)
    decoded = coco_mask.decode(answer["masks"]).astype(bool)
    np.testing.assert_array_equal(decoded, expected(MASKS.low_res_logits[1]))


def test_png_is_white_on_the_object() -> None:
    answer = MaskWriter(MaskStyle("png"), SIZE).prediction(MASKS)
    assert answer["format"] == "png"
    data = np.frombuffer(base64.b64decode(answer["masks"]), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, expected(MASKS.low_res_logits[1]) * 255)


def test_all_masks_come_beside_the_best() -> None:
    answer = MaskWriter(MaskStyle("rle", all_masks=True), SIZE).prediction(MASKS)
    assert [one["confidence"] for one in answer["candidates"]] == pytest.approx([0.5, 0.9, 0.7])
    assert answer["masks"] == answer["candidates"][1]["masks"]
    assert answer["confidence"] == answer["candidates"][1]["confidence"]


def test_low_res_is_the_grid_and_polygons_lie_on_the_photo() -> None:
    rle = MaskWriter(MaskStyle("rle", low_res=True), SIZE).prediction(MASKS)["masks"]
    assert rle["size"] == [256, 256]
    np.testing.assert_array_equal(coco_mask.decode(rle) > 0, MASKS.low_res_logits[1] >= 0)
    [polygon] = MaskWriter(MaskStyle(low_res=True), SIZE).prediction(MASKS)["masks"]
    assert (fill([polygon]) != expected(disc(100))).mean() < 0.02


@pytest.mark.parametrize("tolerance", [1.0, 4.0, 20.0])
def test_a_tolerance_is_in_pixels_of_the_photo_with_low_res_too(tolerance: float) -> None:
    """No corner that was left out lies farther from the polygon than was allowed."""
    styles = (MaskStyle(low_res=True), MaskStyle(low_res=True, tolerance=tolerance))
    exact, rough = (MaskWriter(style, SIZE).prediction(MASKS)["masks"][0] for style in styles)
    assert 3 <= len(rough) < len(exact)
    ring = np.array(rough, np.float32).reshape(-1, 1, 2)
    away = [abs(cv2.pointPolygonTest(ring, corner, measureDist=True)) for corner in exact]
    assert max(away) <= tolerance + 1e-4
    assert max(away) > tolerance / 8  # so that it is pixels, not cells of the grid


def test_arrays_are_logits_that_numpy_reads() -> None:
    data = masks_as_arrays([MASKS, MASKS], SIZE, low_res=False, all_masks=False)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert arrays["masks"].shape == (2, 300, 500)
        assert arrays["low_res_masks"].shape == (2, 256, 256)
        assert arrays["masks"].dtype == arrays["low_res_masks"].dtype == np.float32
        np.testing.assert_array_equal(arrays["low_res_masks"][1], MASKS.low_res_logits[1])
        np.testing.assert_array_equal(arrays["masks"][0] >= 0, expected(MASKS.low_res_logits[1]))
        np.testing.assert_allclose(arrays["predicted_iou"], [0.9, 0.9])
    data = masks_as_arrays([MASKS], SIZE, low_res=True, all_masks=True)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert arrays["masks"].shape == arrays["low_res_masks"].shape == (1, 3, 256, 256)
        assert arrays["predicted_iou"].shape == (1, 3)


def test_an_answer_does_not_grow_beyond_all_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_too_much(100, Size(821, 1232), low_res=False)
    with pytest.raises(BadRequest, match="fewer prompts, or ask for low_res"):
        refuse_too_much(256, Size(10_000, 10_000), low_res=False)
    with pytest.raises(BadRequest, match="at most 64,000,000 are written"):
        refuse_too_much(100, Size(821, 1232), low_res=False, binary=True)
    refuse_too_much(256, Size(10_000, 10_000), low_res=True, binary=True)
    [polygon] = MaskWriter(MaskStyle(), SIZE).prediction(MASKS)["masks"]
    limit = len(polygon) + 1
    monkeypatch.setattr(sam2_answers, "MAX_CORNERS", limit)
    writer = MaskWriter(MaskStyle(), SIZE)
    writer.prediction(MASKS)
    with pytest.raises(BadRequest, match=f"more than {limit} corners"):
        writer.prediction(MASKS)
