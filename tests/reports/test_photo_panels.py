import numpy as np
import pytest

from atrous.images.decode import decode_image
from atrous.reports.photo_panels import GAP, SIDE, photo_panels

NAMES = ("background", "a", "b")


def test_photo_truth_prediction_error() -> None:
    image = np.full((200, 400, 3), 200, np.uint8)
    truth = np.zeros((200, 400), np.uint8)
    truth[:, 200:] = 1
    truth[:50] = 255
    prediction = truth.copy()
    prediction[truth == 255] = 2
    prediction[150:, 200:] = 2  # wrong
    strip = decode_image(photo_panels(image, truth, prediction, NAMES)).astype(int)
    assert strip.shape == (SIDE // 2, 4 * SIDE + 3 * GAP, 3)
    photo, true, predicted, error = (
        strip[:, index * (SIDE + GAP) :][:, :SIDE] for index in range(4)
    )
    assert abs(photo - 200).mean() < 2
    assert abs(true[150, 100] - 200).max() < 12  # background stays as it is
    assert abs(true[150, 300] - predicted[150, 300]).max() < 12
    assert abs(true[200, 300] - predicted[200, 300]).max() > 50
    right, wrong, ignored = error[120, 100], error[200, 300], error[10, 100]
    assert wrong[0] > wrong[1] + 80  # red
    assert right.min() > 180
    assert ignored.max() < right.min()


@pytest.mark.parametrize("invented", [False, True])
def test_classes_that_only_the_prediction_has_are_in_its_legend(invented: bool) -> None:
    image = np.full((400, 400, 3), 200, np.uint8)
    truth = np.zeros((400, 400), np.uint8)
    truth[300:, 300:] = 1
    prediction = truth.copy()
    prediction[300:, :100] = 2 * invented
    strip = decode_image(photo_panels(image, truth, prediction, NAMES)).astype(int)
    corners = [strip[5:15, index * (SIDE + GAP) + 30 :][:, :20].mean() for index in range(3)]
    assert corners[1] < corners[0] - 50  # the legend's panel is dark
    assert bool(corners[2] < corners[0] - 50) is invented


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (700, 20)])
def test_any_size(size: tuple[int, int]) -> None:
    ids = np.zeros(size, np.uint8)
    file = photo_panels(np.zeros((*size, 3), np.uint8), ids, ids, NAMES)
    assert max(decode_image(file).shape[:2]) <= 4 * SIDE + 3 * GAP
