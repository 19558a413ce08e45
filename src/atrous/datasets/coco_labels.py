"""The annotations of one photo in a COCO file, drawn into a label map."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from atrous.datasets.annotated_areas import refuse_endless
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size
from atrous.masks.polygons import rasterize_polygons
from atrous.masks.rle import decode_rle


@dataclass(frozen=True)
class CocoAnnotation:
    """One annotated object: polygons, or an RLE, which is how crowds and holes are kept."""

    class_id: int
    outline: Any  # the `segmentation` of the file: [[x1, y1, ...], ...] or {"counts", "size"}


@dataclass(frozen=True)
class CocoLabels:
    """The label map that the annotations of one photo make; what none of them covers is 0.

    Polygons of one annotation are united, later annotations lie on top. Crowds are pixels of
    their class like any other.
    """

    path: Path  # of the COCO file
    photo: str  # the photo's file name, for messages
    size: Size | None  # of the photo as the file says it
    annotations: tuple[CocoAnnotation, ...]  # in the order of the file

    def read(
        self, size: Size, stop_if_unwanted: Callable[[], None] = lambda: None
    ) -> UInt8[np.ndarray, "height width"]:
        """Model ids; raises BadDataset on another size, BadImage on an outline that is damaged.

        stop_if_unwanted: what it raises between two outlines ends the drawing.
        """
        if self.size not in (None, size):
            raise BadDataset(
                f"{self.path}: {self.photo} is annotated as {self.size} but the photo is {size}; "
                "make them the same size (EXIF orientation applied)"
            )
        label_map = np.zeros((size.height, size.width), dtype=np.uint8)
        masks = sum(isinstance(entry.outline, dict) for entry in self.annotations)
        try:
            refuse_endless(masks * size.area)
            # neighbours of one class are drawn at once: the order among them makes no difference
            for class_id, group in groupby(self.annotations, key=lambda entry: entry.class_id):
                outlines = [entry.outline for entry in group]
                label_map[self._draw(outlines, size, stop_if_unwanted)] = class_id
        except BadImage as error:
            raise BadImage(f"{self.path}: {self.photo}: {error}") from error
        return label_map

    def unknown_ids(self, size: Size) -> dict[int, int]:
        """None: annotations of an unknown category are found when the file is opened."""
        return {}

    def paths(self) -> tuple[Path, ...]:
        """The COCO file, which all photos of the split share."""
        return (self.path,)

    def _draw(
        self, outlines: Iterable[Any], size: Size, stop_if_unwanted: Callable[[], None]
    ) -> Bool[np.ndarray, "height width"]:
        polygons: list[list[float]] = []
        covered = np.zeros((size.height, size.width), dtype=bool)
        for outline in outlines:
            if isinstance(outline, dict):
                stop_if_unwanted()
                covered |= self._decode(outline, size)
            elif isinstance(outline, list) and all(isinstance(part, list) for part in outline):
                polygons += outline
            else:
                raise BadImage("an outline is neither a list of polygons nor an RLE")
        covered |= rasterize_polygons(polygons, size, stop_if_unwanted)
        return covered

    def _decode(self, outline: dict[str, Any], size: Size) -> Bool[np.ndarray, "height width"]:
        if outline.get("size") != [size.height, size.width]:
            raise BadDataset(
                f"{self.path}: an RLE of {self.photo} has the size {outline.get('size')!r:.100} "
                f"(height, width) but the photo is {size}; make them the same size"
            )
        counts = outline.get("counts")
        if not isinstance(counts, (str, list)):
            raise BadImage("an RLE has no counts; expected a string or a list")
        return decode_rle(counts, size)
