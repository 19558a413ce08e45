"""Labels of photos: one label and one suggestion each, a PNG of class numbers in the blobs."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from atrous.domain.errors import Conflict, NotFound
from atrous.store.database import Database
from atrous.store.dataset_tables import images, label_classes, labels
from atrous.store.images import Image
from atrous.store.projects import add_classes, touch

LabelKind = Literal["label", "prediction"]
ALREADY = "Image was already annotated."  # clients look for these words, and go on


@dataclass(frozen=True)
class NewLabel:
    """A label map whose blob is stored already. Its classes join the project when it is saved."""

    digest: str
    name: str  # of the file that it came in
    pixels: Mapping[int, int]  # by class number, background left out
    classes: Mapping[str, int] = field(default_factory=dict)  # numbers by name that it counts on
    # Makes it anew where a class got another number, as somebody else added some meanwhile.
    renumbered: "Callable[[], NewLabel] | None" = None


@dataclass(frozen=True)
class Label:
    """One row of `labels`; `created_at` is in seconds since 1970."""

    image_id: str
    kind: LabelKind
    digest: str
    name: str
    created_at: float


class Labels:
    """Saves and gives labels."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def save(
        self, image: Image, new: NewLabel, *, overwrite: bool = False, add_to_dataset: bool = True
    ) -> None:
        """Label a photo, which then belongs to the data set unless it is told not to.

        Raises Conflict where it has another label and `overwrite` is not set; the same label
        once more is no error.
        """
        while not self._saved(image, new, overwrite, add_to_dataset):
            new = _renumbered(new)

    def _saved(self, image: Image, new: NewLabel, overwrite: bool, add_to_dataset: bool) -> bool:
        with self._database.write() as connection:
            present = _lock(connection, image)
            if not add_classes(connection, image.project_id, new.classes):
                return False
            if present is not None and present != new.digest and not overwrite:
                raise Conflict(ALREADY)  # which takes the classes back
            _replace(connection, image, "label", new, self._clock())
            changes: dict[str, Any] = {"annotated": True}
            if add_to_dataset:
                changes["in_dataset"] = True
            connection.execute(update(images).where(images.c.id == image.id).values(**changes))
            touch(connection, image.project_id, self._clock())
        return True

    def suggest(self, image: Image, new: NewLabel) -> None:
        """Keep a prediction beside the photo: it never joins the data set."""
        while not self._suggested(image, new):
            new = _renumbered(new)

    def _suggested(self, image: Image, new: NewLabel) -> bool:
        with self._database.write() as connection:
            _lock(connection, image)
            if not add_classes(connection, image.project_id, new.classes):
                return False
            _replace(connection, image, "prediction", new, self._clock())
        return True

    def get(self, image: Image, kind: LabelKind = "label") -> Label | None:
        """Give a photo's label, or None."""
        query = select(
            labels.c.image_id, labels.c.kind, labels.c.digest, labels.c.name, labels.c.created_at
        ).where(labels.c.image_id == image.id, labels.c.kind == kind)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return Label(**row) if row else None


def _lock(connection: Connection, image: Image) -> str | None:
    """Hold the photo's row; gives the digest of its label, None where it has none."""
    held = connection.execute(
        select(images.c.id).where(images.c.id == image.id).with_for_update()
    ).first()
    if held is None:
        raise NotFound("there is no such image in this project")
    query = select(labels.c.digest).where(labels.c.image_id == image.id, labels.c.kind == "label")
    return connection.execute(query).scalar()


def _renumbered(new: NewLabel) -> NewLabel:
    assert new.renumbered is not None, "a label with classes can be numbered anew"
    return new.renumbered()


def _replace(
    connection: Connection, image: Image, kind: LabelKind, new: NewLabel, now: float
) -> None:
    for table in (label_classes, labels):
        connection.execute(delete(table).where(table.c.image_id == image.id, table.c.kind == kind))
    connection.execute(
        insert(labels).values(
            image_id=image.id,
            kind=kind,
            workspace_id=image.workspace_id,
            project_id=image.project_id,
            digest=new.digest,
            name=new.name[:300] or "label",
            created_at=now,
        )
    )
    rows = [
        {
            "image_id": image.id,
            "kind": kind,
            "number": number,
            "project_id": image.project_id,
            "pixels": pixels,
            "uploaded_at": image.created_at,
        }
        for number, pixels in new.pixels.items()
    ]
    if rows:
        connection.execute(insert(label_classes), rows)
