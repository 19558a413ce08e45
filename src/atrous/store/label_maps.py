"""A label map with the class names of its file -> a stored label with the project's numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import IGNORE_ID, MAX_CLASSES
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
    """Number the classes as the project does, and put the mask into the blobs.

    label_map: places in `names`, 255 where ignored. More names than it can hold raise BadInput.
    """
    if len(names) > MAX_CLASSES:
        raise BadInput(
            f"{len(names)} class names were given; a mask holds at most {MAX_CLASSES}, background "
            "included: leave out those that it does not show"
        )
    numbers = projects.number_classes(project, names)
    table = np.full(256, IGNORE_ID, np.uint8)
    table[: len(names)] = [numbers[name] for name in names]
    numbered = np.take(table, label_map)
    counts = np.bincount(numbered.ravel(), minlength=256)[1:IGNORE_ID]
    return NewLabel(
        digest=blobs.put(encode_label_map(numbered)).digest,
        name=file_name or "label",
        pixels={int(index) + 1: int(counts[index]) for index in np.flatnonzero(counts)},
    )
