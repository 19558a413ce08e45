"""Pascal VOC's XML: one file per photo, objects with polygons or boxes."""

import math
import re
from xml.etree.ElementTree import Element

from atrous.datasets.annotated_areas import AnnotatedPhoto, Area, AreaFile, area_file, rectangle
from atrous.datasets.plain_xml import text_at
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

FORMAT = "voc"
ROOT = "annotation"
NUMBERED_POINT = re.compile(r"([xy])(\d+)")
BOX = ("xmin", "ymin", "xmax", "ymax")


def read_voc(root: Element, name: str) -> AreaFile:
    """Read a file whose root is `<annotation>`. A polygon goes before the box of its object.

    Raises BadDataset for an object without a name, or without an outline that can be read.
    """
    objects = root.findall("object")
    areas = [_read_object(entry, f"{name}, object {n}") for n, entry in enumerate(objects, 1)]
    photo = AnnotatedPhoto(text_at(root, "filename") or "", _size(root), tuple(areas))
    return area_file(name, FORMAT, [photo])


def _read_object(entry: Element, where: str) -> Area:
    class_name = text_at(entry, "name")
    if not class_name:
        raise BadDataset(f"{where} has no name; every object needs its class")
    polygons = [_points(polygon, where) for polygon in entry.findall("polygon")]
    is_box = not polygons
    if is_box:
        box = entry.find("bndbox")
        if box is None:
            raise BadDataset(f"{where} ({class_name}) has no polygon and no bndbox; outline it")
        left, top, right, bottom = (_number(text_at(box, side), where) for side in BOX)
        polygons = [rectangle(left, top, right, bottom)]
    return Area(class_name, tuple(polygons), is_box=is_box)


def _points(polygon: Element, where: str) -> tuple[float, ...]:
    """`<x1>..</x1><y1>..</y1><x2>...`, or `<pt><x>..</x><y>..</y></pt>`."""
    points = polygon.findall("pt")
    if points:
        return tuple(_number(text_at(point, axis), where) for point in points for axis in "xy")
    numbered: dict[tuple[int, str], float] = {}
    for child in polygon:
        match = NUMBERED_POINT.fullmatch(child.tag)
        if match:
            numbered[int(match[2]), match[1]] = _number(child.text, where)
    return tuple(numbered[key] for key in sorted(numbered))


def _size(root: Element) -> Size | None:
    texts = [text_at(root, f"size/{side}") for side in ("height", "width")]
    height, width = (int(text) if text and text.isdecimal() else 0 for text in texts)
    return Size(height, width) if height and width else None


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadDataset(f"{where} has the coordinate {text!r:.50}; expected a number of pixels")
    return value
