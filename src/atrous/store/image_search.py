"""Pages of a project's photos by name, tag, class, batch and state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, select

from atrous.store.database import Database
from atrous.store.dataset_tables import image_tags, images, label_classes, project_classes
from atrous.store.images import Image, with_tags
from atrous.store.projects import LABEL, Project

MAX_PAGE = 250


@dataclass(frozen=True)
class ImageQuery:
    """Which photos are wanted; None and empty texts mean any."""

    text: str = ""  # part of the name, whatever its case
    tag: str | None = None
    class_name: str | None = None
    in_dataset: bool | None = None
    annotated: bool | None = None
    split: str | None = None
    batch_id: str | None = None
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True)
class Page:
    """Some photos, with the names of the classes that each shows, and how many match in all."""

    images: tuple[Image, ...]
    class_names: tuple[tuple[str, ...], ...]
    total: int


@dataclass(frozen=True)
class _Rows:
    """Rows of one table that photos are known by: their own, their tags, or their classes.

    Each table has an index with all that is asked for here, in the order of pages: nothing else
    is read until the ids of a page are known.
    """

    table: Table
    image_id: "ColumnElement[str]"
    uploaded_at: "ColumnElement[float]"
    conditions: tuple["ColumnElement[bool]", ...]
    # What of them is asked where the photo is known already.
    of_known: tuple["ColumnElement[bool]", ...]

    def of_same_image(self, other: "_Rows") -> "ColumnElement[bool]":
        """Whether there is a row of the photo that a row of another table belongs to."""
        same = [self.image_id == other.image_id]
        if self.table is images:
            # Nothing is added to the id but that SQLite looks it up in the index of searches,
            # not in the one of ids alone, from which it would have to go on to the row itself.
            same = [
                self.uploaded_at == other.uploaded_at,
                self.image_id.concat("") == other.image_id,
            ]
        inner = select(self.image_id).where(*self.of_known, *same)
        return inner.correlate(other.table).exists()


class ImageSearch:
    """Finds photos."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    def find(self, project: Project, query: ImageQuery) -> Page:
        """Give a page, newest first. It is full unless there are no more."""
        first, conditions = _matching(project, query)
        limit = min(query.limit, MAX_PAGE)
        ids = (
            select(first.image_id)
            .where(*conditions)
            .order_by(first.uploaded_at.desc(), first.image_id.desc())
            .offset(query.offset)
            .limit(limit)
        )
        count: Select[Any] = select(func.count()).select_from(first.table).where(*conditions)
        with self._database.read() as connection:
            page = {image_id: at for at, image_id in enumerate(connection.execute(ids).scalars())}
            rows = connection.execute(select(images).where(images.c.id.in_(page))).mappings()
            found = with_tags(connection, sorted(rows, key=lambda row: page[row["id"]]))
            names = _class_names(connection, project, list(page))
            if 0 < len(page) < limit:  # the last page: what is before it has been counted
                total = query.offset + len(page)
            else:
                total = int(connection.execute(count).scalar() or 0)
        return Page(tuple(found), tuple(names), total)

    def class_names(self, project: Project, image: Image) -> tuple[str, ...]:
        """Give the names of the classes that a photo's label shows."""
        with self._database.read() as connection:
            return _class_names(connection, project, [image.id])[0]


def _matching(
    project: Project, query: ImageQuery
) -> tuple[_Rows, tuple["ColumnElement[bool]", ...]]:
    """The rows to go through, and what must hold for each.

    Those of a class or a tag are fewer than all photos; but a part of a name is looked for in all
    of them first, since it is compared quickly and few photos have it.
    """
    wanted = []
    if query.class_name is not None:
        wanted.append(_showing(project, query.class_name))
    if query.tag is not None:
        wanted.append(_tagged(project, query.tag))
    state = _state(query)
    if state or not wanted:
        of_project = (images.c.project_id == project.id, *state)
        own = _Rows(images, images.c.id, images.c.created_at, of_project, of_project)
        wanted.insert(0 if query.text else len(wanted), own)
    first, *others = wanted
    return first, (*first.conditions, *(other.of_same_image(first) for other in others))


def _showing(project: Project, class_name: str) -> _Rows:
    number = (
        select(project_classes.c.number)
        .where(project_classes.c.project_id == project.id, project_classes.c.name == class_name)
        .scalar_subquery()
    )
    table = label_classes
    of_class = (table.c.kind == LABEL, table.c.number == number)
    in_project = (table.c.project_id == project.id, *of_class)
    return _Rows(table, table.c.image_id, table.c.uploaded_at, in_project, of_class)


def _tagged(project: Project, tag: str) -> _Rows:
    table = image_tags
    of_tag = (table.c.tag == tag,)
    in_project = (table.c.project_id == project.id, *of_tag)
    return _Rows(table, table.c.image_id, table.c.uploaded_at, in_project, of_tag)


def _state(query: ImageQuery) -> list["ColumnElement[bool]"]:
    """What is asked of the photo's own row, beside its project."""
    conditions: list[ColumnElement[bool]] = []
    if query.text:
        part = query.text.casefold()
        conditions.append(images.c.folded_name.contains(part, autoescape=True))
    for column in ("in_dataset", "annotated", "split", "batch_id"):
        wanted = getattr(query, column)
        if wanted is not None:
            conditions.append(images.c[column] == wanted)
    return conditions


def _class_names(
    connection: Any, project: Project, image_ids: Sequence[str]
) -> list[tuple[str, ...]]:
    # By photo alone, which is what the primary key begins with: with the project beside it,
    # SQLite goes through all labels of the project.
    query = (
        select(label_classes.c.image_id, project_classes.c.name)
        .join(project_classes, project_classes.c.number == label_classes.c.number)
        .where(
            project_classes.c.project_id == project.id,
            label_classes.c.kind == LABEL,
            label_classes.c.image_id.in_(list(image_ids)),
        )
        .order_by(label_classes.c.number)
    )
    names: dict[str, list[str]] = {image_id: [] for image_id in image_ids}
    for image_id, name in connection.execute(query):
        names[image_id].append(name)
    return [tuple(names[image_id]) for image_id in image_ids]
