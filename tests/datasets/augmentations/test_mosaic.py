import numpy as np
import pytest

from atrous.datasets.augmentations.mosaic import mosaic


def test_four_pictures_meet_and_fill_the_whole() -> None:
    sizes = [(60, 84), (30, 200), (200, 30), (7, 5)]
    pictures = [
        (np.full((*size, 3), 50 * number, np.uint8), np.full(size, number, np.uint8))
        for number, size in enumerate(sizes)
    ]
    meeting = set()
    for seed in range(15):
        image, label_map = mosaic(pictures, np.random.default_rng(seed))
        assert image.shape == (60, 84, 3)
        assert np.array_equal(image[..., 0], 50 * label_map)
        corners = (label_map[0, 0], label_map[0, -1], label_map[-1, 0], label_map[-1, -1])
        assert corners == (0, 1, 2, 3)
        row, column = int((label_map[:, 0] == 0).sum()), int((label_map[0] == 0).sum())
        assert 18 <= row <= 42
        assert 25 <= column <= 59
        meeting.add((row, column))
    assert len(meeting) > 10


def test_labels_stay_on_what_they_name(coded_picture) -> None:
    pictures = [coded_picture.coded(60 + 9 * n, 84 - 9 * n, cell=12 + n) for n in range(4)]
    for seed in range(20):
        image, label_map = mosaic(pictures, np.random.default_rng(seed))
        assert coded_picture.disagreement(image, label_map) < 0.03


def test_tiny_pictures_and_wrong_numbers() -> None:
    dot = (np.full((1, 1, 3), 9, np.uint8), np.full((1, 1), 1, np.uint8))
    image, label_map = mosaic([dot] * 4, np.random.default_rng(0))
    assert (image == 9).all()
    assert (label_map == 1).all()
    with pytest.raises(ValueError, match="give 4"):
        mosaic([dot] * 3, np.random.default_rng(0))
