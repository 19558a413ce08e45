"""LabelMe's JSON: one file per photo, shapes with points; masks as small PNGs."""

import base64
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool

from atrous.datasets.annotated_areas import (
    AnnotatedPhoto,
    Area,
    AreaFile,
    Patch,
    area_file,
    ellipse,
    rectangle,
)
from atrous.domain.classes import BACKGROUND
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size
from atrous.masks.png import decode_label_map, label_map_size

FORMAT = "labelme"
BACKGROUND_NAMES = ("_background_", "__background__")
Points = list[tuple[float, float]]


def read_labelme(content: Mapping[str, Any], name: str) -> AreaFile:
    """Read the content of a file, which has `shapes`; lines and points cover no pixel.

    Raises BadDataset for a shape without a label, or whose points can't be read.
    """
    shapes = content["shapes"]
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise BadDataset(f"{name}: 'shapes' is no list of objects; export it from LabelMe anew")
    areas = [_read_shape(shape, f"{name}, shape {n}") for n, shape in enumerate(shapes, 1)]
    height, width = content.get("imageHeight"), content.get("imageWidth")
    photo = AnnotatedPhoto(
        str(content.get("imagePath") or ""),
        Size(height, width) if isinstance(height, int) and isinstance(width, int) else None,
        tuple(area for area in areas if area is not None),
    )
    return area_file(name, FORMAT, [photo])


def _read_shape(shape: Mapping[str, Any], where: str) -> Area | None:
    label = shape.get("label")
    if not isinstance(label, str) or not label.strip():
        raise BadDataset(f"{where} has no label; every shape needs its class")
    class_name = BACKGROUND if label in BACKGROUND_NAMES else label.strip()
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape, where)
    if kind == "polygon" and len(points) > 2:
        return Area(class_name, (tuple(value for point in points for value in point),))
    if kind == "mask" and len(points) == 2:
        return Area(class_name, patch=_read_mask(shape, points, where))
    if kind == "rectangle" and len(points) in (2, 4):  # two corners, or all of them
        xs, ys = zip(*points, strict=True)
        return Area(class_name, (rectangle(min(xs), min(ys), max(xs), max(ys)),))
    if kind == "circle" and len(points) == 2:  # its centre, and a point on it
        radius = math.dist(*points)
        return Area(class_name, (ellipse(*points[0], radius, radius),))
    if kind in ("line", "linestrip", "point", "points"):
        return None
    raise BadDataset(
        f"{where} is a {str(kind)[:50]!r} of {len(points)} points; expected a polygon of at least "
        "3, or a rectangle, a circle or a mask of 2"
    )


def _points(shape: Mapping[str, Any], where: str) -> Points:
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        points = [(math.nan, math.nan)]
    if not all(math.isfinite(value) for point in points for value in point):
        raise BadDataset(f"{where} has points that can't be read; expected [[x, y], ...]")
    return points


def _read_mask(shape: Mapping[str, Any], points: Points, where: str) -> Patch:
    try:
        data = base64.b64decode(str(shape.get("mask")), validate=True)
        size = label_map_size(data)
    except (ValueError, BadImage) as error:
        raise BadDataset(f"{where}: its mask can't be read ({error}); export it anew") from error
    left, top = (round(min(values)) for values in zip(*points, strict=True))
    return Patch(left, top, size, partial(_decode, data))


def _decode(png: bytes) -> Bool[np.ndarray, "height width"]:
    return decode_label_map(png) > 0
