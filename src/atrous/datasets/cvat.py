"""CVAT's XML ("CVAT for images"): one file over many photos, with polygons, boxes and masks."""

import math
from functools import partial
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Bool, Int32

from atrous.datasets.annotated_areas import (
    AnnotatedPhoto,
    Area,
    AreaFile,
    Patch,
    area_file,
    ellipse,
    rectangle,
)
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

FORMAT = "cvat"
ROOT = "annotations"
SHAPES = ("polygon", "box", "mask", "ellipse")  # others, as points and lines, cover no pixel
MAX_MASK_PIXELS = 100_000_000


def read_cvat(root: Element, name: str) -> AreaFile:
    """Read a file whose root is `<annotations>`. Shapes lie as their `z_order` says, then in order.

    Classes are those of the file's list of labels. Raises BadDataset where it has no images
    (a CVAT for video file), or a shape can't be read.
    """
    images = root.findall("image")
    if not images:
        raise BadDataset(f"{name} has no <image>; export it as 'CVAT for images'")
    labels = [
        text.strip() for label in root.findall(".//meta//labels/label/name") if (text := label.text)
    ]
    photos = [_read_image(image, f"{name}, image {n}") for n, image in enumerate(images, 1)]
    return area_file(name, FORMAT, photos, labels)


def _read_image(image: Element, where: str) -> AnnotatedPhoto:
    shapes = [shape for shape in image if shape.tag in SHAPES]
    shapes.sort(key=lambda shape: _number(shape, "z_order", where, "0"))
    height, width = (int(_number(image, side, where, "0")) for side in ("height", "width"))
    return AnnotatedPhoto(
        image.get("name", ""),
        Size(height, width) if height > 0 and width > 0 else None,
        tuple(_read_shape(shape, f"{where} ({image.get('name')!s:.100})") for shape in shapes),
    )


def _read_shape(shape: Element, where: str) -> Area:
    label = shape.get("label", "").strip()
    if not label:
        raise BadDataset(f"{where}: a {shape.tag} has no label; every shape needs its class")
    if shape.tag == "mask":
        return Area(label, patch=_read_mask(shape, where))
    if shape.tag == "box":
        sides = (_number(shape, side, where) for side in ("xtl", "ytl", "xbr", "ybr"))
        return Area(label, (rectangle(*sides),))
    if shape.tag == "ellipse":
        return Area(
            label, (ellipse(*(_number(shape, key, where) for key in ("cx", "cy", "rx", "ry"))),)
        )
    words = shape.get("points", "").replace(",", ";").split(";")
    try:
        return Area(label, (tuple(float(word) for word in words),))
    except ValueError:
        raise BadDataset(
            f"{where}: a polygon has the points {shape.get('points')!r:.100}; expected x,y;x,y;x,y"
        ) from None


def _read_mask(shape: Element, where: str) -> Patch:
    """Lengths of runs along the rows of a box, unset first."""
    left, top, width, height = (
        int(_number(shape, key, where)) for key in ("left", "top", "width", "height")
    )
    words = shape.get("rle", "").split(",")
    lengths = [int(word) if word.strip().isdecimal() else -1 for word in words]
    fits = width > 0 and height > 0 and width * height <= MAX_MASK_PIXELS
    if not fits or min(lengths) < 0 or sum(lengths) != width * height:
        raise BadDataset(
            f"{where}: the runs of a mask do not fill its {width}x{height} pixels; export it anew"
        )
    size = Size(height, width)
    return Patch(left, top, size, partial(_expand, np.array(lengths, np.int32), size))


def _expand(lengths: Int32[np.ndarray, " runs"], size: Size) -> Bool[np.ndarray, "height width"]:
    is_set = np.arange(len(lengths)) % 2 == 1
    return np.repeat(is_set, lengths).reshape(size.height, size.width)


def _number(element: Element, key: str, where: str, default: str = "") -> float:
    text = element.get(key, default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadDataset(f"{where}: {key} of a {element.tag} is {text!r:.50}; expected a number")
    return value
