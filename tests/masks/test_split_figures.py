import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    jaccard_score,
    precision_recall_fscore_support,
)
from torchmetrics.classification import MulticlassJaccardIndex

from atrous.domain.predictions import Prediction
from atrous.masks import metrics
from atrous.masks.split_figures import SplitFigures

NAMES = ("background", "a", "b", "c")


@pytest.fixture(scope="module")
def maps() -> list[tuple[np.ndarray, Prediction]]:
    """Five photos of several sizes; a part of each is ignored."""
    rng = np.random.default_rng(0)
    made = []
    for height, width in ((20, 31), (14, 14), (40, 9), (25, 25), (8, 50)):
        truth = rng.integers(0, 4, (height, width)).astype(np.uint8)
        wrong = rng.random((height, width)) < 0.3
        label_map = np.where(wrong, rng.integers(0, 4, truth.shape), truth).astype(np.uint8)
        truth[:2] = 255
        confidence = rng.uniform(0.25, 1, truth.shape).astype(np.float32)
        made.append((truth, Prediction(label_map, confidence)))
    return made


@pytest.fixture(scope="module")
def figures(maps: list[tuple[np.ndarray, Prediction]]) -> SplitFigures:
    made = SplitFigures.empty(NAMES, range(4), 0)
    for number, (truth, prediction) in enumerate(maps):
        made.add(f"photo{number}", truth, prediction)
    return made


def test_the_figures_of_scikit_learn_and_torchmetrics(
    maps: list[tuple[np.ndarray, Prediction]], figures: SplitFigures
) -> None:
    truth = np.concatenate([truth[truth != 255] for truth, _ in maps])
    predicted = np.concatenate([found.label_map[truth != 255] for truth, found in maps])
    report = figures.as_report()
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted)
    theirs = {
        "iou": jaccard_score(truth, predicted, average=None),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "pixels": support,
    }
    for name, values in theirs.items():
        assert [entry[name] for entry in report["classes"]] == pytest.approx(list(values))
    assert report["miou"] == pytest.approx(jaccard_score(truth, predicted, average="macro"))
    assert report["frequency_weighted_iou"] == pytest.approx(
        jaccard_score(truth, predicted, average="weighted")
    )
    assert report["pixel_accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    np.testing.assert_array_equal(figures.matrix.counts, confusion_matrix(truth, predicted))
    torch_iou = MulticlassJaccardIndex(num_classes=4, ignore_index=255)
    for true_map, found in maps:
        torch_iou.update(
            torch.from_numpy(found.label_map).long()[None],
            torch.from_numpy(true_map).long()[None],
        )
    assert report["miou"] == pytest.approx(float(torch_iou.compute()), abs=1e-6)


def test_a_report_is_json(figures: SplitFigures) -> None:
    report = json.loads(json.dumps(figures.as_report(), allow_nan=False))
    low, high = report["miou_interval"]
    assert low < report["miou"] < high
    assert len(report["worst_photos"]) == 5
    worst = report["worst_photos"][0]["miou"]
    assert worst == min(photo["miou"] for photo in report["worst_photos"])
    recommended = report["recommended_parameters"]
    assert list(recommended["per_class_confidence"]) == list(NAMES)
    assert 0 <= recommended["confidence"] < 1
    assert {entry["best_threshold"] for entry in report["classes"]} == set(
        recommended["per_class_confidence"].values()
    )
    assert 0 < report["expected_calibration_error"] < 1
    assert 0 < report["boundary_miou"] < 1


@pytest.mark.parametrize("given", [None, (0.0, 0.9, 0.5, 0.7)])
def test_other_photos_may_have_decided_the_thresholds(
    maps: list[tuple[np.ndarray, Prediction]],
    figures: SplitFigures,
    given: tuple[float, ...] | None,
) -> None:
    """Figures on a test split must not profit from thresholds that were found on it."""
    report = figures.as_report(given)
    least = np.array(given or figures.recommended_thresholds())
    shown = [
        np.where(found.confidence < least[found.label_map], 0, found.label_map)[truth != 255]
        for truth, found in maps
    ]
    truth = np.concatenate([truth[truth != 255] for truth, _ in maps])
    theirs = jaccard_score(truth, np.concatenate(shown), average="macro")
    assert report["miou_at_recommended"] == pytest.approx(theirs)
    assert report["recommended_parameters"] == figures.recommended_parameters()


def test_a_class_that_is_nowhere() -> None:
    made = SplitFigures.empty(NAMES, (1, 2), 0)
    ones = np.ones((4, 4), np.uint8)
    made.add("photo", ones, Prediction(ones, np.full((4, 4), 0.9, np.float32)))
    report = made.as_report()
    assert report["miou"] == report["miou_at_recommended"] == 1
    nowhere = report["classes"][1]
    assert nowhere["iou"] is None
    assert nowhere["iou_interval"] == [None, None]
    assert nowhere["best_threshold"] is None
    assert math.isclose(report["expected_calibration_error"], 0.1, abs_tol=1e-6)


def test_large_photos_are_counted_in_blocks(
    maps: list[tuple[np.ndarray, Prediction]],
    figures: SplitFigures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "AT_ONCE", 70)
    blocks = list(metrics.row_blocks(maps[0][0]))
    assert [rows.stop - rows.start for rows in blocks] == [2] * 10
    made = SplitFigures.empty(NAMES, range(4), 0)
    for number, (truth, prediction) in enumerate(maps):
        made.add(f"photo{number}", truth, prediction)
    np.testing.assert_array_equal(made.matrix.counts, figures.matrix.counts)
    np.testing.assert_array_equal(made.thresholds.right, figures.thresholds.right)
    np.testing.assert_array_equal(made.calibration.pixels, figures.calibration.pixels)
    assert made.as_report()["miou"] == figures.as_report()["miou"]


def test_memory_does_not_grow_with_the_pixels_of_a_photo(figures: SplitFigures) -> None:
    kept = sum(
        array.nbytes
        for photo in figures.photos.photos
        for array in (photo.hits, photo.truths, photo.predictions)
    )
    assert kept == 5 * 3 * 4 * 8  # photos, counts, classes, bytes
