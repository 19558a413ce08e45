import math

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from pycocotools import mask as coco_mask

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.masks import polygons as polygons_module
from atrous.masks.polygons import rasterize_polygons

# pycocotools' decoder is older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TRIANGLE = [2, 1, 9, 3, 4, 8]


def test_a_square_between_pixel_borders_is_those_pixels() -> None:
    filled = rasterize_polygons([[2, 1, 6, 1, 6, 4, 2, 4]], Size(6, 8))
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:6] = True
    np.testing.assert_array_equal(filled, expected)


def test_several_polygons_are_united() -> None:
    size = Size(30, 40)
    polygons = [TRIANGLE, [5, 2, 20, 2, 20, 20, 5, 20], [30.5, 3.25, 38.0, 9.5, 31.0, 28.75]]
    each = [
        coco_mask.decode(coco_mask.frPyObjects([polygon], size.height, size.width))[..., 0]
        for polygon in polygons
    ]
    np.testing.assert_array_equal(
        rasterize_polygons(polygons, size), np.logical_or.reduce([one > 0 for one in each])
    )


def test_parts_outside_are_cut_off() -> None:
    filled = rasterize_polygons([[-20, -20, 50, -20, 50, 50, -20, 50]], Size(6, 8))
    assert filled.all()


def test_no_polygon_fills_nothing() -> None:
    assert not rasterize_polygons([], Size(3, 4)).any()


@pytest.mark.parametrize(
    "polygon",
    [
        [1, 1, 5, 5],  # pycocotools would take it for a box
        [1, 1, 5, 5, 3],
        [],
        [1, 1, 5, 5, math.nan, 2],
        [1, 1, 5, 5, math.inf, 2],
        [1, 1, 5, 5, 10**400, 2],  # too large for a float
        [1, 1, 1e9, 5, 4, 2],  # pycocotools would take gigabytes
    ],
)
def test_damage_is_refused(polygon: list[float]) -> None:
    with pytest.raises(BadImage, match="a polygon has"):
        rasterize_polygons([TRIANGLE, polygon], Size(10, 10))


def test_coordinates_that_are_no_numbers_are_refused() -> None:
    with pytest.raises((BadImage, TypeCheckError)):  # beartype is first in tests
        rasterize_polygons([[1, 1, 5, 5, "3", 2]], Size(10, 10))


def test_an_outline_of_millions_of_pixels_is_refused_at_once() -> None:
    """A few kilobytes of far corners would take minutes and gigabytes."""
    there_and_back = [-90_000, -90_000, 90_000, 90_000] * 20
    with pytest.raises(BadImage, match="an outline of 7200000 pixels"):
        rasterize_polygons([there_and_back], Size(9000, 9000))


def test_long_outlines_are_filled_in_portions_with_a_look_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[None] = []
    squares = [[x, 1, x + 4, 1, x + 4, 5, x, 5] for x in (1, 4, 12, 20, 30)]
    together = rasterize_polygons(squares, Size(8, 40))
    monkeypatch.setattr(polygons_module, "LONGEST_OUTLINE", 33)  # of two squares
    apart = rasterize_polygons(squares, Size(8, 40), lambda: looks.append(None))
    np.testing.assert_array_equal(apart, together)
    assert len(looks) == 3
