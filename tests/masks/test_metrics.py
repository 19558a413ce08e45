import math

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from atrous.domain.errors import BadInput
from atrous.masks.metrics import ConfusionMatrix

NAMES = ("background", "a", "b", "c")


def counted_by_hand(
    truths: list[np.ndarray], predictions: list[np.ndarray], class_id: int, labelled: range
) -> tuple[int, int, int]:
    """Hits, false alarms and misses of a class, pixel by pixel."""
    hits = false_alarms = misses = 0
    for truth, prediction in zip(truths, predictions, strict=True):
        for true_id, predicted_id in zip(truth.flat, prediction.flat, strict=True):
            if true_id not in labelled:
                continue
            hits += true_id == class_id == predicted_id
            false_alarms += true_id != class_id == predicted_id
            misses += true_id == class_id != predicted_id
    return hits, false_alarms, misses


@pytest.mark.parametrize("first", [0, 1])
def test_figures_agree_with_counting_pixel_by_pixel(first: int) -> None:
    rng = np.random.default_rng(0)
    truths = [rng.integers(first, 4, (9, 11)).astype(np.uint8) for _ in range(3)]
    predictions = [rng.integers(0, 4, (9, 11)).astype(np.uint8) for _ in range(3)]
    truths[0][:2] = 255
    labelled = range(first, 4)

    matrix = ConfusionMatrix.zeros(4)
    for truth, prediction in zip(truths, predictions, strict=True):
        matrix.add(truth, prediction)

    ious = []
    for row, class_id in enumerate(labelled):
        hits, false_alarms, misses = counted_by_hand(truths, predictions, class_id, labelled)
        ious.append(hits / (hits + false_alarms + misses))
        assert matrix.iou(labelled)[row] == pytest.approx(ious[-1])
        assert matrix.precision(labelled)[row] == pytest.approx(hits / (hits + false_alarms))
        assert matrix.recall(labelled)[row] == pytest.approx(hits / (hits + misses))
        dice = 2 * hits / (2 * hits + false_alarms + misses)
        assert matrix.f1(labelled)[row] == pytest.approx(dice)
    assert matrix.mean_iou(labelled) == pytest.approx(sum(ious) / len(ious))
    right = sum(int((t == p)[t != 255].sum()) for t, p in zip(truths, predictions, strict=True))
    counted = sum(int((t != 255).sum()) for t in truths)
    assert matrix.pixel_accuracy() == pytest.approx(right / counted)


def test_counts_lie_by_truth_then_prediction() -> None:
    matrix = ConfusionMatrix.zeros(3)
    matrix.add(np.array([[1, 1, 255]], np.uint8), np.array([[2, 1, 0]], np.uint8))
    assert matrix.counts.tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_an_unused_background_is_an_error_of_the_true_class_and_no_class_itself() -> None:
    matrix = ConfusionMatrix.zeros(3)
    matrix.add(np.array([[1, 1, 2, 2]], np.uint8), np.array([[1, 0, 2, 2]], np.uint8))
    assert matrix.iou((1, 2)).tolist() == [0.5, 1.0]
    assert matrix.mean_iou((1, 2)) == 0.75
    assert matrix.pixel_accuracy() == 0.75


def test_an_absent_class_has_no_figure_but_a_false_alarm_counts() -> None:
    matrix = ConfusionMatrix.zeros(4)
    matrix.add(np.array([[0, 1]], np.uint8), np.array([[0, 2]], np.uint8))
    iou = matrix.iou(range(4))
    assert iou[:3].tolist() == [1.0, 0.0, 0.0]
    assert math.isnan(iou[3])
    assert matrix.mean_iou(range(4)) == pytest.approx(1 / 3)


def test_report_is_json_with_none_for_what_is_undefined() -> None:
    matrix = ConfusionMatrix.zeros(4)
    matrix.add(np.array([[0, 1]], np.uint8), np.array([[0, 1]], np.uint8))
    report = matrix.as_report(NAMES, (1, 2))
    figures = ("iou", "precision", "recall", "f1")
    assert report == {
        "miou": 1.0,
        "frequency_weighted_iou": 1.0,
        "pixel_accuracy": 1.0,
        "classes": [
            {"name": "a", **dict.fromkeys(figures, 1.0), "pixels": 1},
            {"name": "b", **dict.fromkeys(figures), "pixels": 0},
        ],
    }
    assert ConfusionMatrix.zeros(4).as_report(NAMES, (1,))["miou"] is None


def test_images_that_do_not_fit_are_refused() -> None:
    matrix = ConfusionMatrix.zeros(2)
    square = np.zeros((2, 2), np.uint8)
    with pytest.raises((BadInput, TypeCheckError)):  # jaxtyping is first in tests
        matrix.add(square, np.zeros((2, 3), np.uint8))
    with pytest.raises(BadInput, match="truth has class id 2"):
        matrix.add(square + np.uint8(2), square)
    with pytest.raises(BadInput, match="prediction has class id 2"):
        matrix.add(square, square + np.uint8(2))
    with pytest.raises(BadInput, match="class names"):
        matrix.as_report(("background",), (0,))
    with pytest.raises(BadInput, match="256 classes"):
        ConfusionMatrix.zeros(256)
