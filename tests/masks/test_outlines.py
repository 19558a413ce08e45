import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.masks.outlines import Outline, simplify, simplify_all, trace_outlines

TOLERANCES = [0.4, 1.0, 2.5, 10.0]


def blobs(seed: int, height: int, width: int, smooth: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width))
    return cv2.GaussianBlur(noise, (0, 0), smooth) > 0


def fill(outlines: list[Outline], shape: tuple[int, int]) -> np.ndarray:
    """As documented: within the border, not within a hole, and all that lies on these lines."""
    mask = np.zeros(shape, np.uint8)
    for outline in outlines:
        part = np.zeros(shape, np.uint8)
        cv2.fillPoly(part, [outline.border], 1)
        for hole in outline.holes:
            cv2.fillPoly(part, [hole], 0)
        cv2.polylines(part, outline.holes, True, 1)
        mask |= part
    return mask.astype(bool)


def distances_to_line(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """From each point to a closed line: the least of the distances to all of its segments."""
    along = np.roll(ring, -1, axis=0) - ring
    to_start = points[:, None] - ring
    share = (to_start * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    away = to_start - np.clip(share, 0, 1)[..., None] * along
    return np.hypot(away[..., 0], away[..., 1]).min(axis=1)


def hausdorff(one: np.ndarray, other: np.ndarray) -> float:
    """The distance of two closed lines, both ways, from points 0.1 of an edge apart."""
    steps = np.linspace(0, 1, 10, endpoint=False)[:, None, None]

    def one_way(line: np.ndarray, target: np.ndarray) -> float:
        points = (line + steps * (np.roll(line, -1, axis=0) - line)).reshape(-1, 2)
        return float(distances_to_line(points, target).max())

    return max(
        one_way(one.astype(float), other.astype(float)),
        one_way(other.astype(float), one.astype(float)),
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9999),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    smooth=st.sampled_from([0.3, 0.8, 2.0]),
)
def test_outlines_with_holes_fill_to_the_same_mask(seed, height, width, smooth) -> None:
    mask = blobs(seed, height, width, smooth)
    np.testing.assert_array_equal(fill(trace_outlines(mask, holes=True), mask.shape), mask)


def test_without_holes_they_are_those_of_opencv_in_its_order() -> None:
    mask = blobs(1, 200, 300, 1.0)
    expected, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    found = trace_outlines(mask)
    assert len(found) == len(expected) > 5
    for outline, ring in zip(found, expected, strict=True):
        np.testing.assert_array_equal(outline.border, ring[:, 0])
        assert outline.holes == ()


def test_an_island_in_a_hole_is_a_part_of_its_own() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18] = True
    mask[5:15, 5:15] = False
    mask[8:12, 8:12] = True
    ring, island = sorted(trace_outlines(mask, holes=True), key=lambda one: -len(one.holes))
    assert len(ring.holes) == 1
    assert island.holes == ()
    assert island.border.min() == 8
    assert len(trace_outlines(mask)) == 1


def test_an_empty_mask_has_none() -> None:
    assert trace_outlines(np.zeros((5, 5), bool)) == []
    assert trace_outlines(np.zeros((5, 5), bool), holes=True) == []


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_simplified_lines_stay_within_the_bound(tolerance: float) -> None:
    measured, before, after = [], 0, 0
    for seed in range(4):
        for outline in trace_outlines(blobs(seed, 120, 160, 5.0), holes=True):
            for ring in (outline.border, *outline.holes):
                fewer = simplify(ring, tolerance)
                measured.append(hausdorff(ring, fewer))
                before, after = before + len(ring), after + len(fewer)
    assert max(measured) <= tolerance + 1e-9
    assert max(measured) > 0.4 * min(tolerance, 2.5)  # it is used: fewer corners are kept
    assert after < before * (0.9 if tolerance < 1 else 0.5)


def test_the_bound_holds_where_lines_to_infinity_would_lie() -> None:
    # The tip lies on the endless line through its neighbours' segment, but far beyond its end.
    ring = np.array([[0, 0], [40, 0], [100, 0], [60, 1], [40, 1], [40, 30], [0, 30]], np.int32)
    for tolerance in (1.5, 5.0, 20.0):
        assert hausdorff(ring, simplify(ring, tolerance)) <= tolerance


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=25),
    tolerance=st.sampled_from(TOLERANCES),
)
def test_any_line_keeps_its_bound_and_corners_of_its_own(points, tolerance) -> None:
    ring = np.array(points, np.int32)
    fewer = simplify(ring, tolerance)
    assert {tuple(point) for point in fewer} <= {tuple(point) for point in ring}
    assert hausdorff(ring, fewer) <= tolerance + 1e-9


def test_a_line_that_is_one_place_stays_there() -> None:
    other = np.array([[0, 0], [9, 0], [9, 9], [0, 9], [0, 5]], np.int32)
    place, line = simplify_all([np.zeros((4, 2), np.int32), other], 0.4)
    assert set(map(tuple, place)) == {(0, 0)}
    np.testing.assert_array_equal(line, simplify(other, 0.4))


def test_far_pixels_stay_on_their_side() -> None:
    mask, tolerance = blobs(3, 300, 400, 8.0), 3.0
    filled = fill(trace_outlines(mask, tolerance=tolerance, holes=True), mask.shape)
    framed = np.pad(mask, 1).astype(np.uint8)  # an outline runs along the photo's border, too
    inside = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    outside = cv2.distanceTransform(1 - framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    changed = filled != mask
    assert changed.any()
    assert np.maximum(inside, outside)[changed].max() <= tolerance + 1.5  # 1: between two pixels


def test_three_corners_are_kept() -> None:
    ring = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.int32)
    assert len(simplify(ring, 50.0)) == 3
    assert simplify(ring, 0.0) is ring
