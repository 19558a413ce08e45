import numpy as np
import pytest

from atrous.reports.canvas import ACCENT, PIXELS, SECOND
from atrous.reports.charts import (
    Bar,
    Series,
    calibration_chart,
    chart_color,
    class_bars,
    confusion_matrix,
    curves,
    nice_ticks,
)


def pixels_of(picture: np.ndarray, color: tuple[int, ...]) -> int:
    return int((picture == color).all(axis=2).sum())


def test_bars_are_as_long_as_their_values() -> None:
    picture = class_bars("IoU", [Bar("a", 1, 0.5), Bar("b", 2, 0.25), Bar("nowhere", 3, None)])
    long, short = (pixels_of(picture, chart_color(index)) for index in (1, 2))
    assert long / short == pytest.approx(2, rel=0.02)
    assert pixels_of(picture, chart_color(3)) == 0


def test_background_is_not_black() -> None:
    assert len({chart_color(index) for index in range(40)}) == 40
    assert chart_color(0) != (0, 0, 0)


def test_curves_rise_and_have_gaps() -> None:
    rising = Series("mIoU", [0.1, None, 0.6, 0.9])
    picture = curves([("one", [rising]), ("two", [Series("loss", [2.0, 1.0], SECOND)])])
    assert picture.shape[1] == 2 * 430 * PIXELS
    left = np.nonzero((picture[100:, : picture.shape[1] // 2] == ACCENT).all(axis=2))
    first, last = np.argmin(left[1]), np.argmax(left[1])
    assert left[0][first] > left[0][last]  # lower on the sheet
    assert pixels_of(picture, SECOND) > 0


@pytest.mark.parametrize("values", [[], [None], [0.5], [float("nan"), 1.0], [3.0, 3.0]])
def test_curves_of_little(values: list[float | None]) -> None:
    assert curves([("title", [Series("line", values)])]).ndim == 3


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 870.0), (0.0131, 0.0134), (5, 5)])
def test_ticks_cover_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(float(low), float(high))
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8


def test_the_diagonal_is_of_another_colour_than_mistakes() -> None:
    counts = np.array([[30, 0], [0, 7]])
    assert pixels_of(confusion_matrix("C", ("a", "b"), counts), ACCENT) > 1000
    swapped = confusion_matrix("C", ("a", "b"), counts[::-1])
    assert pixels_of(swapped, ACCENT) == 0
    assert pixels_of(swapped, SECOND) > 1000


@pytest.mark.parametrize("classes", [2, 150])
def test_any_number_of_classes_fits(classes: int) -> None:
    counts = np.zeros((classes, classes), np.int64)
    picture = confusion_matrix("C", [f"a class {index}" for index in range(classes)], counts)
    assert picture.shape[0] < 3600
    assert picture.shape[1] < 3600


def test_calibration() -> None:
    bins = [{"confidence": 0.9, "accuracy": 0.5, "pixels": 10}]
    assert pixels_of(calibration_chart("C", bins), ACCENT) > 50
    assert pixels_of(calibration_chart("C", []), ACCENT) == 0
