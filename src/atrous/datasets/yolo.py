"""YOLO's segmentation format: a text file per photo, a line per area in fractions of the photo.

`class x1 y1 x2 y2 ...`, or `class x y width height` for a box. A polygon has no holes, so that
writers join a hole to the border by a line there and back.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.annotated_areas import AnnotatedPhoto, Area, AreaFile, area_file, rectangle
from atrous.domain.classes import BACKGROUND_ID, IGNORE_ID
from atrous.domain.errors import BadDataset
from atrous.masks.edge_polygons import edge_polygons

FORMAT = "yolo-seg"
BOX_NUMBERS = 5  # the class and a box: centre and size
FARTHEST = 10.0  # sides of the photo: coordinates beyond are no fractions


def looks_like_yolo(text: str) -> bool:
    """Whether the first line is a class number and coordinates.

    >>> looks_like_yolo("0 0.1 0.1 0.5 0.1 0.5 0.5"), looks_like_yolo("Pixel Value, Class")
    (True, False)
    """
    words = text.lstrip().partition("\n")[0].split()
    return len(words) >= BOX_NUMBERS and words[0].isdecimal() and all(map(_is_number, words[1:]))


def read_yolo(text: str, name: str, class_names: Mapping[int, str]) -> AreaFile:
    """Read the file of one photo; without lines it shows no class.

    Raises BadDataset for a line that is none, or whose class has no name.
    """
    areas = [
        _read_line(line.split(), f"{name}, line {number}", class_names)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    names = [class_names[number] for number in sorted(class_names)]
    photo = AnnotatedPhoto("", None, tuple(areas), is_relative=True)
    return area_file(name, FORMAT, [photo], names)


def write_label_map(label_map: UInt8[np.ndarray, "height width"], ignored: int) -> str:
    """A line per connected part of each class, class 1 as 0; background is left out.

    ignored: the number that pixels of 255 are written under, which the list of names calls
        `__ignore__`.
    Read by `read_yolo` and drawn, the lines are exactly the label map: corners are those of
    pixels, and seven decimals tell a tenth of a pixel apart in photos of a million pixels a side.
    """
    height, width = label_map.shape
    lines = []
    for number in np.unique(label_map):
        if number == BACKGROUND_ID:
            continue
        written = ignored if number == IGNORE_ID else int(number) - 1
        for ring in edge_polygons(label_map == number):
            values = (ring / np.array([width, height])).ravel().tolist()
            lines.append(f"{written} {' '.join(map(_as_text, values))}")
    return "".join(f"{line}\n" for line in lines)


def _as_text(fraction: float) -> str:
    return f"{fraction:.7f}".rstrip("0").rstrip(".")


def _read_line(words: list[str], where: str, class_names: Mapping[int, str]) -> Area:
    numbers = [float(word) for word in words[1:] if _is_number(word)]
    whole = len(numbers) == len(words) - 1 and words[0].isdecimal()
    if not whole or (len(words) != BOX_NUMBERS and (len(numbers) < 6 or len(numbers) % 2)):
        raise BadDataset(
            f"{where}: {' '.join(words)[:100]!r} is no area; expected a class number and x and y "
            "of at least 3 points, or a box: x, y, width, height"
        )
    if any(abs(number) > FARTHEST for number in numbers):
        raise BadDataset(
            f"{where}: coordinates are fractions of width and height, 0 to 1; "
            f"found {max(numbers, key=abs):g}"
        )
    class_name = class_names.get(int(words[0]))
    if class_name is None:
        raise BadDataset(f"{where}: class {words[0][:20]} has no name{_named(class_names)}")
    if len(words) == BOX_NUMBERS:
        x, y, width, height = numbers
        box = rectangle(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Area(class_name, (box,), is_box=True)
    return Area(class_name, (tuple(numbers),))


def _named(class_names: Mapping[int, str]) -> str:
    if not class_names:
        return "; give the names: a labelmap with the annotation, or data.yaml beside the files"
    return (
        f": data.yaml, or the labelmap, names {len(class_names)} classes alone, "
        f"{dict(sorted(class_names.items()))!s:.200}; add it there, or correct the line"
    )


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
