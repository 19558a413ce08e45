"""A label map with the class names of its file -> a stored label with the project's numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import BACKGROUND_ID, IGNORE_ID, MAX_CLASSES
from atrous.domain.errors import BadInput
from atrous.masks.png import encode_label_map
from atrous.store.blobs import Blobs
from atrous.store.labels import NewLabel
from atrous.store.projects import Project, Projects


def store_label_map(
    projects: Projects,
    blobs: Blobs,
    project: Project,
    label_map: UInt8[np.ndarray, "height width"],
    names: Sequence[str],
    file_name: str,
) -> NewLabel:
    """Put the mask, with the numbers of the project's classes, into the blobs.

    label_map: places in `names`, 255 where ignored. More names than it can hold raise BadInput.
    A class that is new is added to the project when the label is saved, and only if a pixel
    shows it: what is refused changes nothing.
    """
    if len(names) > MAX_CLASSES:
        raise BadInput(
            f"{len(names)} class names were given; a mask holds at most {MAX_CLASSES}, background "
            "included: leave out those that it does not show"
        )
    counts = np.bincount(label_map.ravel(), minlength=256)[: len(names)]
    shown = {int(place): names[int(place)] for place in np.flatnonzero(counts)}

    def number() -> NewLabel:
        numbers = projects.planned_numbers(project, list(shown.values()), beside=names)
        table = np.full(256, IGNORE_ID, np.uint8)
        pixels: dict[int, int] = {}
        for place, name in shown.items():
            table[place] = numbers[name]
            if numbers[name] != BACKGROUND_ID:
                pixels[numbers[name]] = pixels.get(numbers[name], 0) + int(counts[place])
        mask = encode_label_map(np.take(table, label_map))
        digest = blobs.put(mask).digest
        return NewLabel(digest, file_name or "label", pixels, numbers, number)

    return number()
