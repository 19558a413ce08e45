import numpy as np
import pytest

from atrous.domain.predictions import Prediction


def test_present_class_ids() -> None:
    label_map = np.array([[3, 0, 3], [254, 0, 0]], np.uint8)
    prediction = Prediction(label_map, np.ones((2, 3), np.float32))
    assert prediction.present_class_ids == [0, 3, 254]


def test_both_maps_are_of_one_size() -> None:
    with pytest.raises(TypeError):
        Prediction(np.zeros((2, 3), np.uint8), np.ones((3, 2), np.float32))
