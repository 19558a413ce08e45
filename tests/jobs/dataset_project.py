"""A project of small labelled pictures in a store, for the tests of jobs on data sets."""

import io

import numpy as np
from PIL import Image

from atrous.masks.png import encode_label_map
from atrous.store.images import NewImage
from atrous.store.labels import NewLabel
from atrous.store.opening import Store
from atrous.store.projects import Project

CLASSES = ("background", "road", "tree")
SIZE = (24, 32)  # height, width
TURNED = 6  # EXIF: to be turned clockwise


def picture(number: int, kind: str = "PNG", orientation: int | None = None) -> bytes:
    """A picture in a few flat colours, so that JPEG keeps them."""
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 255, (3, 4, 3), dtype=np.uint8)
    pixels = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    options = {}
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def label_map(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Classes and ignored pixels; every fifth picture shows none."""
    if number % 5 == 4:
        return np.zeros(size, np.uint8)
    values = np.random.default_rng(100 + number).integers(0, 4, size)
    return np.array([0, 1, 2, 255], np.uint8)[values]


def fill_project(store: Store, count: int = 6, slug_name: str = "Roads") -> Project:
    """A project of `count` pictures: the last is for validation, the others for training."""
    workspace = store.workspaces.default()
    project = store.projects.create(
        workspace.id, slug_name, kind="semantic-segmentation", annotation="x"
    )
    store.projects.number_classes(project, CLASSES)
    for number in range(count):
        add_picture(store, project, number, split="valid" if number == count - 1 else "train")
    return project


def add_picture(
    store: Store,
    project: Project,
    number: int,
    split: str = "train",
    kind: str = "PNG",
    orientation: int | None = None,
) -> None:
    """Store a picture and its label."""
    data = picture(number, kind, orientation)
    size = SIZE[::-1] if orientation == TURNED else SIZE
    blob = store.blobs.put(data)
    image, _ = store.images.add(
        project,
        NewImage(
            name=f"{number}.{'png' if kind == 'PNG' else 'jpg'}",
            digest=blob.digest,
            thumb_digest=blob.digest,
            media_type=f"image/{kind.lower()}",
            size_bytes=blob.size_bytes,
            height=size[0],
            width=size[1],
            split=split,
            batch="first",
        ),
    )
    mask = store.blobs.put(encode_label_map(label_map(number, size)))
    store.labels.save(image, NewLabel(mask.digest, "mask.png", {1: 1}))
