"""Labelled areas of photos as annotation files draw them, and the label maps that they make."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from jaxtyping import Bool, UInt8

from atrous.datasets.photo_names import PhotoNames
from atrous.domain.classes import BACKGROUND, IGNORE_ID, IGNORED, MAX_CLASSES
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size
from atrous.masks.polygons import rasterize_polygons

MAX_DRAWN_PIXELS = 10_000_000_000  # of all masks of one photo: about a minute


@dataclass(frozen=True)
class Patch:
    """Pixels at a place of a photo, read when they are drawn: a few bytes may say many."""

    left: int
    top: int
    size: Size
    read: Callable[[], Bool[np.ndarray, "height width"]]  # BadImage where they are damaged


@dataclass(frozen=True)
class Area:
    """One labelled area: inside any of the polygons (x1, y1, x2, y2, ...), or a patch."""

    class_name: str
    polygons: tuple[tuple[float, ...], ...] = ()
    patch: Patch | None = None
    is_box: bool = False  # drawn round an object, not along its outline


@dataclass(frozen=True)
class AnnotatedPhoto:
    """What a file says of one photo; later areas lie on top."""

    name: str  # as the file calls it; empty where it does not
    size: Size | None  # as the file says it
    areas: tuple[Area, ...]
    is_relative: bool = False  # coordinates are fractions of width and height, not pixels


@dataclass(frozen=True)
class AreaFile:
    """A whole annotation file, ready to be asked for one photo after the other."""

    name: str  # for messages
    class_names: tuple[str, ...]  # background first
    photos: tuple[AnnotatedPhoto, ...]
    format: str

    @cached_property
    def _names(self) -> PhotoNames:
        return PhotoNames([photo.name for photo in self.photos])

    def lists(self, photo: str) -> bool:
        """Whether the file names this photo, be it more than once."""
        return bool(self._names.places(photo))

    def place_of(self, photo: str) -> int:
        """The place of a photo in `photos`; BadDataset where it is not listed, or not once."""
        return self._names.place_of(photo, self.name)

    def label_map(
        self, photo: str, size: Size, stop_if_unwanted: Callable[[], None] = lambda: None
    ) -> UInt8[np.ndarray, "height width"]:
        """The ids (places in `class_names`, 255 where ignored) of a photo's pixels.

        stop_if_unwanted: what it raises between two areas ends the drawing.
        Raises BadDataset for a photo that the file does not list once, or has with another size,
        BadImage for an area that can't be drawn.
        """
        found = self.photos[self.place_of(photo)]
        if found.size not in (None, size):
            raise BadDataset(
                f"{self.name}: {photo[:100]} is annotated as {found.size} but the photo is {size}; "
                "make them the same size (EXIF orientation applied)"
            )
        try:
            return draw(found, self.class_names, size, stop_if_unwanted)
        except BadImage as error:
            raise BadImage(f"{self.name}: {photo[:100]}: {error}") from error


def area_file(
    name: str, format: str, photos: Iterable[AnnotatedPhoto], class_names: Sequence[str] = ()
) -> AreaFile:
    """Bring photos together; classes are those named, then others in the order of their areas."""
    photos = tuple(photos)
    used = (area.class_name for photo in photos for area in photo.areas)
    others = [known for known in (*class_names, *used) if not _is_no_class(known)]
    names = (BACKGROUND, *dict.fromkeys(others))
    if len(names) > MAX_CLASSES:
        raise BadDataset(f"{name} has {len(names)} classes; at most {MAX_CLASSES} fit a label map")
    return AreaFile(name, names, photos, format)


def draw(
    photo: AnnotatedPhoto,
    class_names: Sequence[str],
    size: Size,
    stop_if_unwanted: Callable[[], None],
) -> UInt8[np.ndarray, "height width"]:
    """Draw areas one over the other; raises BadImage for one that can't be drawn."""
    refuse_endless(sum(area.patch.size.area for area in photo.areas if area.patch))
    numbers = {class_name: number for number, class_name in enumerate(class_names)}
    label_map = np.zeros((size.height, size.width), np.uint8)
    # neighbours of one class are drawn at once: the order among them makes no difference
    for class_name, group in groupby(photo.areas, key=lambda area: area.class_name):
        number = IGNORE_ID if class_name == IGNORED else numbers.get(class_name, 0)
        areas = list(group)
        polygons = [_in_pixels(polygon, photo, size) for area in areas for polygon in area.polygons]
        label_map[rasterize_polygons(polygons, size, stop_if_unwanted)] = number
        for area in areas:
            if area.patch is not None:
                stop_if_unwanted()
                _paste(label_map, area.patch, number)
    return label_map


def refuse_endless(mask_pixels: int) -> None:
    """Raise BadImage where the masks of a photo are too many to be drawn in reasonable time."""
    if mask_pixels > MAX_DRAWN_PIXELS:
        raise BadImage(
            f"the masks of the photo have {mask_pixels} pixels together, more than "
            f"{MAX_DRAWN_PIXELS}; unite those of one class"
        )


def rectangle(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    """A box as a polygon.

    >>> rectangle(1.0, 2.0, 3.0, 4.0)
    (1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 1.0, 4.0)
    """
    return (left, top, right, top, right, bottom, left, bottom)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> tuple[float, ...]:
    """An ellipse as a polygon of 72 corners."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    points = np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)
    return tuple(points.ravel().tolist())


def count_boxes(files: Iterable[AreaFile]) -> tuple[int, int]:
    """How many areas are boxes, and how many there are."""
    areas = [area for file in files for photo in file.photos for area in photo.areas]
    return sum(area.is_box for area in areas), len(areas)


def _is_no_class(name: str) -> bool:
    return name == IGNORED or name.lower() == BACKGROUND


def _in_pixels(polygon: tuple[float, ...], photo: AnnotatedPhoto, size: Size) -> Sequence[float]:
    if not photo.is_relative:
        return polygon
    return [
        value * (size.height if place % 2 else size.width) for place, value in enumerate(polygon)
    ]


def _paste(label_map: UInt8[np.ndarray, "height width"], patch: Patch, number: int) -> None:
    height, width = label_map.shape
    rows, columns = patch.size.height, patch.size.width
    if not (0 <= patch.left <= width - columns and 0 <= patch.top <= height - rows):
        raise BadImage(
            f"a mask of {columns}x{rows} at {patch.left}, {patch.top} does not fit into a photo of "
            f"{width}x{height}; expected it to lie within"
        )
    there = label_map[patch.top : patch.top + rows, patch.left : patch.left + columns]
    there[patch.read()] = number
