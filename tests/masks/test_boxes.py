import numpy as np

from atrous.domain.geometry import Box
from atrous.masks.boxes import box_around


def test_a_box_holds_every_pixel_that_is_set() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((9, 12)) < 0.05
        mask[rng.integers(9), rng.integers(12)] = True
        rows, columns = np.nonzero(mask)
        corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert box_around(mask) == Box(*map(int, corners))
