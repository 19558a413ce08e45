import numpy as np

from atrous.datasets.regions import MAX_REGIONS, region_boxes
from atrous.domain.geometry import Box


def test_one_box_per_region_largest_first() -> None:
    label_map = np.zeros((30, 40), np.uint8)
    label_map[1:6, 2:8] = 1
    label_map[6:11, 8:14] = 1  # touches over a corner
    label_map[20:28, 20:39] = 2
    label_map[1:5, 30:34] = 2
    label_map[15:18, 0:5] = 3  # a speck
    label_map[0, 39] = 255
    assert region_boxes(label_map) == [
        Box(left=20, top=20, right=39, bottom=28),
        Box(left=2, top=1, right=14, bottom=11),
        Box(left=30, top=1, right=34, bottom=5),
    ]


def test_background_and_ignored_pixels_are_no_regions() -> None:
    assert region_boxes(np.zeros((9, 9), np.uint8)) == []
    assert region_boxes(np.full((9, 9), 255, np.uint8)) == []


def test_very_many_regions_are_bounded() -> None:
    label_map = np.zeros((100, 100), np.uint8)
    for row in range(0, 96, 6):
        for column in range(0, 96, 6):
            label_map[row : row + 5, column : column + 5] = 1 + (row + column) // 6 % 2
    assert len(region_boxes(label_map)) == MAX_REGIONS
