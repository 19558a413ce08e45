"""A COCO file as it comes with an upload: which of its annotations belong to one photo.

Clients send the file of a whole data set with each of its photos, and say the photo's name alone.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.datasets.coco import PLACEHOLDER_ID, UNREADABLE, is_group
from atrous.datasets.coco_labels import CocoAnnotation, CocoLabels
from atrous.datasets.photo_names import PhotoNames
from atrous.domain.classes import BACKGROUND, BACKGROUND_ID, IGNORE_ID, IGNORED, MAX_CLASSES
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

EXPECTED = (
    "expected lists of images (id, file_name), annotations (id, image_id, category_id, "
    "segmentation) and categories (id, name)"
)


@dataclass(frozen=True)
class CocoUpload:
    """The content of a COCO file, ready to be asked for one photo after the other."""

    name: str  # of the file, for messages
    class_names: tuple[str, ...]  # background first, then by category id
    class_ids: dict[int, int]  # by category id
    images: tuple[dict[str, Any], ...]
    annotations: dict[int, tuple[dict[str, Any], ...]]  # by image id
    format: str = "coco"

    @cached_property
    def _names(self) -> PhotoNames:
        return PhotoNames([image["file_name"] for image in self.images])

    def lists(self, photo: str) -> bool:
        """Whether the file names this photo, be it more than once."""
        return bool(self._names.places(photo))

    def place_of(self, photo: str) -> int:
        """The place of a photo in `images`; BadDataset where it is not listed, or not once."""
        return self._names.place_of(photo, self.name)

    def label_map(
        self, photo: str, size: Size, stop_if_unwanted: Callable[[], None] = lambda: None
    ) -> UInt8[np.ndarray, "height width"]:
        """The ids (places in `class_names`) of a photo's pixels; without annotations all 0.

        stop_if_unwanted: what it raises between two outlines ends the drawing.
        Raises BadDataset for a photo that the file does not list once, or has with another size
        or an unknown category, BadImage for a damaged outline.
        """
        image = self.images[self.place_of(photo)]
        found = []
        for entry in self.annotations.get(image["id"], ()):
            if entry["category_id"] not in self.class_ids:
                raise BadDataset(
                    f"{self.name}: annotation {entry['id']} is of category {entry['category_id']}; "
                    f"expected one of {sorted(self.class_ids)}"
                )
            if entry.get("segmentation"):
                class_id = self.class_ids[entry["category_id"]]
                found.append(CocoAnnotation(class_id, entry["segmentation"]))
        labels = CocoLabels(Path(self.name), photo[:100], _stated_size(image), tuple(found))
        return labels.read(size, stop_if_unwanted)


def coco_upload(content: Any, name: str) -> CocoUpload:
    """Read the content of a COCO file; BadDataset where it is none."""
    try:
        images = tuple(dict(entry) for entry in content["images"])
        for image in images:
            image["id"], image["file_name"] = int(image["id"]), str(image["file_name"])
        # what is said twice of one photo is no second photo
        images = tuple({(image["id"], image["file_name"]): image for image in images}.values())
        categories = [{**entry, "id": int(entry["id"])} for entry in content["categories"]]
        names = {entry["id"]: str(entry["name"]).strip() for entry in categories}
        annotations = defaultdict(list)
        for entry in content["annotations"]:
            if not int(entry["id"]) == int(entry["image_id"]) == PLACEHOLDER_ID:
                annotations[int(entry["image_id"])].append(_checked(entry))
    except UNREADABLE as error:
        raise BadDataset(
            f"{name[:100]} is no COCO file ({type(error).__name__}: {str(error)[:100]}); {EXPECTED}"
        ) from error
    if not images:
        raise BadDataset(f"{name[:100]} lists no images; {EXPECTED}")
    used = {entry["category_id"] for entries in annotations.values() for entry in entries}
    if 0 in names and 0 not in used and is_group(categories):
        del names[0]
    class_names, class_ids = _number(names)
    grouped = {image_id: tuple(entries) for image_id, entries in annotations.items()}
    return CocoUpload(name[:100], class_names, class_ids, images, grouped)


def _checked(entry: Any) -> dict[str, Any]:
    return {
        "id": int(entry["id"]),
        "category_id": int(entry["category_id"]),
        "segmentation": entry.get("segmentation"),
    }


def _number(names: dict[int, str]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Class names by id, and the id of each category; one name given twice is one class."""
    class_names = [BACKGROUND]
    class_ids = {}
    for category_id in sorted(names):
        name = names[category_id]
        if name.lower() == BACKGROUND or name == IGNORED:
            class_ids[category_id] = IGNORE_ID if name == IGNORED else BACKGROUND_ID
            continue
        if name not in class_names:
            class_names.append(name)
        class_ids[category_id] = class_names.index(name)
    if len(class_names) > MAX_CLASSES:
        raise BadDataset(
            f"the file has {len(class_names)} classes; at most {MAX_CLASSES} fit a label map"
        )
    return tuple(class_names), class_ids


def _stated_size(image: dict[str, Any]) -> Size | None:
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return Size(height, width)
    return None
