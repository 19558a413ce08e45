"""Pixels to polygons: the outlines of a mask, with all their corners or fewer within a bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

Ring = Int32[np.ndarray, "_ 2"]  # points, each x and y
Coordinates = Float64[np.ndarray, "_"]
Indices = Int64[np.ndarray, "_"]
HOLE, FIRST_CHILD, NEXT = 3, 2, 0  # columns of OpenCV's hierarchy: parent, child, sibling


@dataclass(frozen=True)
class Outline:
    """One connected part of a mask: its border, and those of its holes where they were wanted.

    Points are (x, y) of pixels of the part itself: the part is what lies within the border and
    not within a hole, and the pixels on all these lines.
    """

    border: Ring
    holes: tuple[Ring, ...] = ()


def trace_outlines(
    mask: Bool[np.ndarray, "height width"], *, tolerance: float = 0.0, holes: bool = False
) -> list[Outline]:
    """Give the outline of each part of a mask; pixels that touch at a corner are one part.

    Without `holes`, only outer borders are followed: an island in a hole is not told, either.
    tolerance: pixels by which a line may leave out corners, see `simplify`.
    """
    mode = cv2.RETR_CCOMP if holes else cv2.RETR_EXTERNAL
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    found, hierarchy = cv2.findContours(pixels, mode, cv2.CHAIN_APPROX_SIMPLE)
    rings = simplify_all([ring.reshape(-1, 2).astype(np.int32) for ring in found], tolerance)
    if not holes or hierarchy is None:
        return [Outline(ring) for ring in rings]
    family = hierarchy[0].tolist()
    return [
        Outline(ring, tuple(rings[child] for child in _children(family, family[index])))
        for index, ring in enumerate(rings)
        if family[index][HOLE] < 0
    ]


def _children(family: list[list[int]], of: list[int]) -> list[int]:
    child, children = of[FIRST_CHILD], []
    while child >= 0:
        children.append(child)
        child = family[child][NEXT]
    return children


def simplify(ring: Ring, tolerance: float) -> Ring:
    """Leave corners of a closed line out, so that it moves nowhere by more than `tolerance`.

    The Hausdorff distance between the line and its simplification is at most `tolerance` pixels,
    both ways (Douglas and Peucker 1973, with distances to segments; OpenCV's approxPolyDP takes
    them to endless lines, which holds no bound). A line of three corners or more keeps three.
    """
    return simplify_all([ring], tolerance)[0]


def simplify_all(rings: Sequence[Ring], tolerance: float) -> list[Ring]:
    """`simplify` each of many lines, in common rounds: NumPy is slow on short arrays."""
    large = [index for index, ring in enumerate(rings) if len(ring) > 3]
    if tolerance <= 0 or not large:
        return list(rings)
    simplified = list(rings)
    # Each line in one row, closed by its first corner; `kept` are places in that row.
    row = np.concatenate([np.append(rings[index], rings[index][:1], axis=0) for index in large])
    lengths = np.array([len(rings[index]) for index in large])
    firsts = np.cumsum(lengths + 1) - (lengths + 1)
    xs, ys = row.T.astype(np.float64)
    kept = _corners_to_keep(xs, ys, firsts, firsts + lengths, tolerance)
    ends = np.searchsorted(kept, firsts + lengths)
    begin = 0
    for index, first, end in zip(large, firsts, ends, strict=True):
        places = kept[begin:end] - first
        if len(places) < 3:
            places = _with_third(rings[index], places)
        simplified[index] = rings[index][places]
        begin = end
    return simplified


def _corners_to_keep(
    xs: Coordinates, ys: Coordinates, starts: Indices, stops: Indices, tolerance: float
) -> Indices:
    """Split stretches of the row at their farthest corners, until none is too far."""
    kept = [starts]
    is_whole_line = True  # from its first corner back to it: no segment yet
    while len(starts):
        counts = stops - starts
        firsts = np.cumsum(counts) - counts
        stretch = np.repeat(np.arange(len(starts)), counts)
        index = np.arange(len(stretch)) - firsts[stretch] + starts[stretch]
        away = _distances(xs, ys, index, starts[stretch], stops[stretch])
        farthest = np.maximum.reduceat(away, firsts)
        places = np.flatnonzero(away == farthest[stretch])
        _, one_each = np.unique(stretch[places], return_index=True)
        # A line that is one place, said several times over, has nothing to split.
        split = (farthest > tolerance) | (is_whole_line & (farthest > 0))
        is_whole_line = False
        middles = index[places[one_each]][split]
        kept.append(middles)
        starts, stops = np.append(starts[split], middles), np.append(middles, stops[split])
    return np.unique(np.concatenate(kept))


def _with_third(ring: Ring, places: Indices) -> Indices:
    """Add the corner farthest from the segment between two, for polygons to have an inside."""
    xs, ys = ring.T.astype(np.float64)
    ends = np.broadcast_to(places[:, None], (len(places), len(ring)))
    away = _distances(xs, ys, np.arange(len(ring)), ends[0], ends[-1])
    return np.unique(np.append(places, np.argmax(away)))


def _distances(
    xs: Coordinates, ys: Coordinates, of: Indices, start: Indices, stop: Indices
) -> Coordinates:
    """From each corner to its segment, which is given by the corners at its ends."""
    from_x, from_y = xs[start], ys[start]
    along_x, along_y = xs[stop] - from_x, ys[stop] - from_y
    to_x, to_y = xs[of] - from_x, ys[of] - from_y
    squared = np.maximum(along_x * along_x + along_y * along_y, np.finfo(np.float64).tiny)
    share = np.clip((to_x * along_x + to_y * along_y) / squared, 0.0, 1.0)
    return np.asarray(np.hypot(to_x - share * along_x, to_y - share * along_y))
