import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from atrous.masks.thresholds import STEPS, ConfidenceCounts

CLASSES = 4


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, prediction and its probability; the surer, the more often right."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, 6000).astype(np.uint8)
    confidence = rng.uniform(0.25, 1, 6000).astype(np.float32)
    wrong = rng.random(6000) > confidence**6
    predicted = np.where(wrong, (truth + rng.integers(1, 4, 6000)) % CLASSES, truth).astype(
        np.uint8
    )
    return truth, predicted, confidence


@pytest.fixture
def counts(pixels: tuple[np.ndarray, ...]) -> ConfidenceCounts:
    made = ConfidenceCounts.zeros(CLASSES, 0)
    for part in np.array_split(np.arange(6000), 3):
        made.add(*(values[part] for values in pixels))
    return made


def applied(pixels: tuple[np.ndarray, ...], thresholds: np.ndarray) -> np.ndarray:
    _, predicted, confidence = pixels
    return np.where(confidence < thresholds[predicted], 0, predicted)


def dice(truth: np.ndarray, predicted: np.ndarray) -> float:
    return 2 * (truth & predicted).sum() / (truth.sum() + predicted.sum())


def test_f1_at_every_threshold(pixels: tuple[np.ndarray, ...], counts: ConfidenceCounts) -> None:
    found = counts.f1_by_threshold()
    for step in (0, 60, 100, 150, 199):
        mapped = applied(pixels, np.full(CLASSES, step / STEPS))
        theirs = f1_score(pixels[0], mapped, labels=range(CLASSES), average=None)
        assert found[1:, step] == pytest.approx(theirs[1:], abs=1e-9)


def test_best_thresholds_are_found(
    pixels: tuple[np.ndarray, ...], counts: ConfidenceCounts
) -> None:
    best = counts.best_thresholds(range(CLASSES))
    assert best[0] == 0  # background stays background
    for class_id in range(1, CLASSES):
        curve = [
            dice(pixels[0] == class_id, applied(pixels, np.full(CLASSES, step / STEPS)) == class_id)
            for step in range(STEPS)
        ]
        assert best[class_id] == np.argmax(curve) / STEPS
        assert 0.3 < best[class_id] < 0.9


def test_mean_iou_where_thresholds_are_applied(
    pixels: tuple[np.ndarray, ...], counts: ConfidenceCounts
) -> None:
    thresholds = (0.0, 0.5, 0.0, 0.7)
    mapped = applied(pixels, np.array(thresholds, np.float32))
    theirs = jaccard_score(pixels[0], mapped, average="macro")
    assert counts.mean_iou_at(thresholds, range(CLASSES)) == pytest.approx(theirs)
    shown = applied(pixels, np.array([0, 0, 2, 0]))  # the third class never
    never = jaccard_score(pixels[0], shown, average="macro")
    assert counts.mean_iou_at((0.9, 0.0, 1.5, 0.0), range(CLASSES)) == pytest.approx(never)
    half = jaccard_score(pixels[0], applied(pixels, np.full(CLASSES, 0.5)), average="macro")
    assert counts.mean_iou_at(0.5, range(CLASSES)) == pytest.approx(half)
    curve = [
        jaccard_score(pixels[0], applied(pixels, np.full(CLASSES, step / STEPS)), average="macro")
        for step in range(0, STEPS, 10)
    ]
    found = counts.best_common_threshold(range(CLASSES))
    mapped = applied(pixels, np.full(CLASSES, found))
    assert jaccard_score(pixels[0], mapped, average="macro") >= max(curve)


def test_classes_that_can_not_be_judged_get_no_threshold() -> None:
    counts = ConfidenceCounts.zeros(4, 0)
    sure = np.ones(2, np.float32)
    counts.add(np.array([1, 2], np.uint8), np.array([1, 3], np.uint8), sure)
    assert counts.best_thresholds([1, 2, 3]) == {1: 0.0}  # 2 never predicted, 3 never true
