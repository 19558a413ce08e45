from pathlib import Path

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from atrous.datasets.version import Sample
from atrous.domain.geometry import Size
from atrous.domain.predictions import Prediction
from atrous.runtime.evaluation import measure


class Fixed:
    """A label map of the photo's size: the first column is ignored, the rest of one class."""

    def __init__(self, class_id: int) -> None:
        self.class_id = class_id

    def read(self, size: Size) -> UInt8[np.ndarray, "height width"]:
        label_map = np.full((size.height, size.width), self.class_id, np.uint8)
        label_map[:, 0] = 255
        return label_map

    def unknown_ids(self, size: Size) -> dict[int, int]:
        return {}

    def paths(self) -> tuple[Path, ...]:
        return ()


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """A picture of 10x4 of class 1, and one of 3x5 of class 2."""
    made = []
    for class_id, (height, width) in ((1, (4, 10)), (2, (5, 3))):
        path = tmp_path / f"{class_id}.png"
        Image.fromarray(np.full((height, width, 3), 40 * class_id, np.uint8)).save(path)
        made.append(Sample(path.stem, path, Fixed(class_id)))
    return made


def by_brightness(image: UInt8[np.ndarray, "height width 3"]) -> Prediction:
    """Class 1 for the first picture; for the second class 2, but 0 in its last row."""
    label_map = image[..., 0] // 40
    if label_map[0, 0] == 2:
        label_map[-1] = 0
    return Prediction(label_map, np.ones(label_map.shape, np.float32))


def test_counts_over_all_photos_at_their_own_sizes(samples: list[Sample]) -> None:
    told = []
    matrix = measure(by_brightness, samples, 3, lambda done, total: told.append((done, total)))
    assert matrix.counts.tolist() == [[0, 0, 0], [0, 36, 0], [2, 0, 8]]
    assert told == [(1, 2), (2, 2)]


def test_no_photos() -> None:
    assert measure(by_brightness, [], 3).counts.sum() == 0
