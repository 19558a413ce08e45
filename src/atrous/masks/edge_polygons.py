"""Masks to polygons along the edges of pixels, which fill to exactly the same pixels again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int64

Indices = Int64[np.ndarray, "_"]
Ring = Int64[np.ndarray, "_ 2"]  # corners of pixels, each x and y, 0..width and 0..height


@dataclass(frozen=True)
class _Corners:
    """Where a border turns. At a corner that two pixels touch with nothing else it turns twice."""

    x: Indices
    y: Indices
    goes_right: Indices  # 1 where its horizontal edge leads to the right, else 0
    goes_down: Indices  # 1 where its vertical edge leads down, else 0


def edge_polygons(mask: Bool[np.ndarray, "height width"]) -> list[Ring]:
    """Give one polygon per connected part; pixels that touch at a corner alone are two parts.

    A hole is joined to the border by a line there and back, which covers nothing. Filled by
    `rasterize_polygons` and united, the polygons are exactly the mask.
    """
    corners = _find_corners(mask)
    part_of = _parts(mask, corners)
    borders: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _rings(corners):
        part = int(part_of[ring[0]])
        points = np.stack([corners.x[ring], corners.y[ring]], axis=1)
        if part not in borders:  # the first ring from the top is the outer one
            borders[part] = points
        else:
            holes.setdefault(part, []).append(points)
    return [_joined(border, holes.get(part, ())) for part, border in borders.items()]


def _find_corners(mask: Bool[np.ndarray, "height width"]) -> _Corners:
    padded = np.pad(mask, 1)
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    single = upper_left ^ upper_right ^ lower_left ^ lower_right
    falling = upper_left & lower_right & ~upper_right & ~lower_left
    rising = upper_right & lower_left & ~upper_left & ~lower_right

    y, x = np.nonzero(single)
    found = [(y, x, (upper_right ^ lower_right)[y, x], (lower_left ^ lower_right)[y, x])]
    for touching, turns in ((falling, ((0, 0), (1, 1))), (rising, ((1, 0), (0, 1)))):
        y, x = np.nonzero(touching)
        found += [(y, x, np.full(len(y), right), np.full(len(y), down)) for right, down in turns]
    y, x, right, down = (
        np.concatenate(column).astype(np.int64) for column in zip(*found, strict=True)
    )
    return _Corners(x, y, right, down)


def _parts(mask: Bool[np.ndarray, "height width"], corners: _Corners) -> Indices:
    """The number of the part that each corner belongs to."""
    _, labels = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=4)
    padded = np.pad(labels, 1)
    between = padded[corners.y + corners.goes_down, corners.x + corners.goes_right]
    beside = padded[corners.y + corners.goes_down, corners.x + 1 - corners.goes_right]
    return np.asarray(np.where(between > 0, between, beside), np.int64)


def _rings(corners: _Corners) -> Iterator[list[int]]:
    """Follow the border from corner to corner, from the top ones on."""
    from_top = np.lexsort((corners.goes_right, corners.x, corners.y))
    from_left = np.lexsort((corners.goes_down, corners.y, corners.x))
    across, along = _partners(from_top), _partners(from_left)
    seen = [False] * len(across)
    for start in from_top.tolist():
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            other = across[corner]
            seen[corner] = seen[other] = True
            ring += [corner, other]
            corner = along[other]
        yield ring


def _partners(order: Indices) -> list[int]:
    """The corner at the other end of each corner's edge: in order, every two belong together."""
    partners = np.empty(len(order), np.int64)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return list(partners.tolist())


def _joined(border: Ring, holes: Sequence[Ring]) -> Ring:
    """Put each hole behind the corner of the border that is nearest to the hole's first one."""
    behind: dict[int, list[Ring]] = {}
    for hole in holes:
        away = np.abs(border - hole[0]).sum(axis=1)
        behind.setdefault(int(away.argmin()), []).append(hole)
    pieces, begin = [], 0
    for place in sorted(behind):
        pieces.append(border[begin : place + 1])
        for hole in behind[place]:
            pieces += [hole, hole[:1], border[place : place + 1]]
        begin = place + 1
    return np.concatenate([*pieces, border[begin:]])
