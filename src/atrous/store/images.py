"""Photos of a project: rows about blobs, in batches, with tags; one row per content."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from atrous.domain.errors import BadInput, NotFound
from atrous.domain.nesting import is_deeper
from atrous.store.database import Database, new_id
from atrous.store.dataset_tables import batches, image_tags, images, label_classes, labels
from atrous.store.projects import CONTROL, Project, checked_text, touch

SPLITS = ("train", "valid", "test")
MAX_TAGS = 100
MAX_TAG_LENGTH = 100
MAX_IMAGE_NAME = 300
MAX_METADATA_BYTES = 20_000  # of all of a photo, as JSON
MAX_METADATA_LEVELS = 32  # of objects and lists within one another, the metadata itself being one


@dataclass(frozen=True)
class NewImage:
    """A photo whose blobs are stored already."""

    name: str
    digest: str  # of the file as it was sent
    thumb_digest: str
    media_type: str
    size_bytes: int
    height: int  # upright
    width: int
    split: str
    batch: str
    tags: tuple[str, ...] = ()
    user_metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """One row of `images` with its tags; `created_at` is in seconds since 1970."""

    id: str
    workspace_id: str
    project_id: str
    batch_id: str
    name: str
    digest: str
    thumb_digest: str
    media_type: str
    size_bytes: int
    height: int
    width: int
    split: str
    annotated: bool
    in_dataset: bool
    user_metadata: dict[str, Any]
    created_at: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """One row of `batches`, and how many photos it holds."""

    id: str
    name: str
    images: int
    created_at: float


class Images:
    """Adds, finds and removes photos."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def add(self, project: Project, new: NewImage) -> tuple[Image, bool]:
        """Add a photo; gives it, and whether it is new.

        A photo of the same content that the project has already is given as it is.
        """
        _check(new)
        with contextlib.suppress(NotFound):
            return self.find_content(project, new.digest), False
        image = Image(
            id=new_id(),
            workspace_id=project.workspace_id,
            project_id=project.id,
            batch_id=self._batch(project, new.batch),
            annotated=False,
            in_dataset=False,
            created_at=self._clock(),
            **{name: value for name, value in vars(new).items() if name != "batch"},
        )
        row = {name: value for name, value in vars(image).items() if name != "tags"}
        row["folded_name"] = image.name.casefold()
        try:
            with self._database.write() as connection:
                connection.execute(insert(images).values(**row))
                _add_tags(connection, image, new.tags)
                touch(connection, project.id, image.created_at)
        except IntegrityError:  # another upload was a moment faster
            return self.find_content(project, new.digest), False
        return image, True

    def _batch(self, project: Project, name: str) -> str:
        query = select(batches.c.id).where(
            batches.c.project_id == project.id, batches.c.name == name
        )
        for _ in range(2):
            with self._database.read() as connection:
                found = connection.execute(query).scalar()
            if found:
                return str(found)
            values = {"id": new_id(), "project_id": project.id, "name": name}
            try:
                with self._database.write() as connection:
                    connection.execute(
                        insert(batches).values(
                            workspace_id=project.workspace_id, created_at=self._clock(), **values
                        )
                    )
                return values["id"]
            except IntegrityError:  # another upload made it a moment ago
                continue
        raise NotFound(f"batch {name[:100]!r} went while it was used; try again")

    def get(self, project: Project, image_id: str) -> Image:
        """Give a photo of the project, else raise NotFound."""
        return self._one(images.c.id == image_id, images.c.project_id == project.id)

    def in_workspace(self, workspace_id: str, image_id: str) -> Image:
        """Give a photo of any project of the workspace, else raise NotFound."""
        return self._one(images.c.id == image_id, images.c.workspace_id == workspace_id)

    def count(self, workspace_id: str, image_ids: Sequence[str]) -> int:
        """Give how many of these photos the workspace has, in any project."""
        there = and_(images.c.workspace_id == workspace_id, images.c.id.in_(list(image_ids)))
        with self._database.read() as connection:
            found = connection.execute(select(func.count()).select_from(images).where(there))
            return int(found.scalar_one())

    def find_content(self, project: Project, digest: str) -> Image:
        """Give the project's photo of this content, else raise NotFound."""
        return self._one(images.c.project_id == project.id, images.c.digest == digest)

    def _one(self, *conditions: Any) -> Image:
        with self._database.read() as connection:
            row = connection.execute(select(images).where(*conditions)).mappings().first()
            if row is None:
                raise NotFound("there is no such image in this project")
            return with_tags(connection, [row])[0]

    def batches(self, project: Project) -> list[Batch]:
        """Give the batches of a project, oldest first."""
        query = (
            select(batches.c.id, batches.c.name, func.count(images.c.id), batches.c.created_at)
            .outerjoin(
                images,
                and_(
                    images.c.project_id == batches.c.project_id,
                    images.c.batch_id == batches.c.id,
                ),
            )
            .where(batches.c.project_id == project.id)
            .group_by(batches.c.id, batches.c.name, batches.c.created_at)
            .order_by(batches.c.created_at, batches.c.id)
        )
        with self._database.read() as connection:
            return [Batch(*row) for row in connection.execute(query)]

    def batch(self, project: Project, batch_id: str) -> Batch:
        """Give one batch, else raise NotFound."""
        for batch in self.batches(project):
            if batch.id == batch_id:
                return batch
        raise NotFound(f"there is no batch {batch_id[:100]!r} in this project")

    def change(
        self,
        image: Image,
        *,
        metadata: Mapping[str, Any] | None = None,
        remove_metadata: Sequence[str] = (),
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
    ) -> None:
        """Set and remove metadata and tags of a photo, all at once.

        Raises NotFound for one that was removed meanwhile.
        """
        for tags in (add_tags, remove_tags):
            _check_tags(tags)
        with self._database.write() as connection:
            locked = select(images.c.user_metadata).where(images.c.id == image.id).with_for_update()
            row = connection.execute(locked).first()
            if row is None:
                raise NotFound("there is no such image in this project")
            kept = {**row.user_metadata, **(metadata or {})}
            for key in remove_metadata:
                kept.pop(key, None)
            _check_metadata(kept)
            connection.execute(
                update(images).where(images.c.id == image.id).values(user_metadata=kept)
            )
            of_image = image_tags.c.image_id == image.id
            gone = [*remove_tags, *add_tags]
            connection.execute(delete(image_tags).where(of_image, image_tags.c.tag.in_(gone)))
            _add_tags(connection, image, add_tags)

    def remove(self, project: Project, image_ids: Sequence[str]) -> int:
        """Take photos and their labels away; gives how many were there.

        Versions keep what they were made of.
        """
        chosen = (
            select(images.c.id)
            .where(images.c.project_id == project.id, images.c.id.in_(list(image_ids)))
            .order_by(images.c.id)
            .with_for_update()  # else a label that comes at this moment would hold its photo
        )
        with self._database.write() as connection:
            there = list(connection.execute(chosen).scalars())
            for table in (label_classes, labels, image_tags):
                connection.execute(delete(table).where(table.c.image_id.in_(there)))
            connection.execute(delete(images).where(images.c.id.in_(there)))
            touch(connection, project.id, self._clock())
        return len(there)


def with_tags(connection: Connection, rows: Sequence[Mapping[Any, Any]]) -> list[Image]:
    """Read rows of `images`, each with its tags."""
    tags: dict[str, list[str]] = {row["id"]: [] for row in rows}
    query = (
        select(image_tags.c.image_id, image_tags.c.tag)
        .where(image_tags.c.image_id.in_(list(tags)))
        .order_by(image_tags.c.tag)
    )
    for image_id, tag in connection.execute(query):
        tags[image_id].append(tag)
    return [_image(row, tags[row["id"]]) for row in rows]


def _image(row: Mapping[Any, Any], tags: Sequence[str]) -> Image:
    values = {name: row[name] for name in Image.__dataclass_fields__ if name != "tags"}
    return Image(**values, tags=tuple(tags))


def _add_tags(connection: Connection, image: Image, tags: Sequence[str]) -> None:
    rows = [
        {
            "image_id": image.id,
            "project_id": image.project_id,
            "tag": tag,
            "uploaded_at": image.created_at,
        }
        for tag in dict.fromkeys(tags)
    ]
    if rows:
        connection.execute(insert(image_tags), rows)


def check_wishes(batch: str, tags: Sequence[str]) -> None:
    """Raise BadInput for a batch or tags that no photo can have."""
    checked_text(batch, "batch name")
    _check_tags(tags)


def _check(new: NewImage) -> None:
    if new.split not in SPLITS:
        raise BadInput(f"split {new.split[:100]!r} is not one of {', '.join(SPLITS)}")
    if len(new.name) > MAX_IMAGE_NAME or not new.name:
        raise BadInput(
            f"image name {new.name[:100]!r} can't be used; take 1 to {MAX_IMAGE_NAME} characters"
        )
    check_wishes(new.batch, new.tags)
    _check_metadata(new.user_metadata)


def check_metadata_levels(metadata: Mapping[str, Any]) -> None:
    """Raise BadInput for metadata that no answer could show: JSON's writers have an end, too."""
    if is_deeper(metadata, MAX_METADATA_LEVELS):
        raise BadInput(
            f"the photo's metadata is nested on more than {MAX_METADATA_LEVELS} levels; send it "
            "flatter, or remove the keys that it is in"
        )


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    check_metadata_levels(metadata)
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > MAX_METADATA_BYTES:
        raise BadInput(
            f"the photo's metadata would have {size_bytes} bytes; keep at most {MAX_METADATA_BYTES}"
        )


def _check_tags(tags: Sequence[str]) -> None:
    fits = all(0 < len(tag) <= MAX_TAG_LENGTH and not CONTROL.search(tag) for tag in tags)
    if len(tags) > MAX_TAGS or not fits:
        raise BadInput(
            f"{len(tags)} tags can't be used; give at most {MAX_TAGS}, "
            f"each of 1 to {MAX_TAG_LENGTH} characters on one line"
        )
