import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.masks.edge_polygons import edge_polygons
from atrous.masks.polygons import rasterize_polygons


def filled(mask: np.ndarray) -> np.ndarray:
    polygons = [ring.ravel().tolist() for ring in edge_polygons(mask)]
    return rasterize_polygons(polygons, Size(*mask.shape))


def blobs(seed: int, side: int = 60) -> np.ndarray:
    """Parts with holes, islands in them, and pixels that touch at corners."""
    noise = np.random.default_rng(seed).normal(size=(side, side + 7))
    smooth = noise.copy()
    for axis in (0, 1):
        for step in range(1, seed % 4 + 1):
            smooth += np.roll(noise, step, axis)
    return smooth > 0


@pytest.mark.parametrize("seed", range(40))
def test_the_polygons_fill_to_the_mask(seed: int) -> None:
    mask = blobs(seed)
    assert np.array_equal(filled(mask), mask)


def test_a_square_has_four_corners_at_the_edges_of_its_pixels() -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    (ring,) = edge_polygons(mask)
    assert sorted(map(tuple, ring.tolist())) == [(2, 1), (2, 4), (7, 1), (7, 4)]


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    assert len(edge_polygons(np.eye(3, dtype=bool))) == 3
    assert len(edge_polygons(~np.eye(2, dtype=bool))) == 2


def test_a_hole_is_part_of_its_polygon() -> None:
    mask = np.ones((9, 9), bool)
    mask[2:7, 2:7] = False
    mask[4, 4] = True
    outer, island = edge_polygons(mask)
    assert len(outer) == 4 + 4 + 2
    assert len(island) == 4
    assert np.array_equal(filled(mask), mask)


def test_nothing_and_everything() -> None:
    assert edge_polygons(np.zeros((4, 5), bool)) == []
    full = np.ones((4, 5), bool)
    assert np.array_equal(filled(full), full)
