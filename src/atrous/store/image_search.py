"""Pages of a project's photos by name, tag, class, batch and state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    Table,
    UnaryExpression,
    asc,
    desc,
    func,
    intersect,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from atrous.store.database import Database
from atrous.store.dataset_tables import image_tags, images, label_classes, project_classes
from atrous.store.images import Image, with_tags
from atrous.store.projects import LABEL, Project

MAX_PAGE = 250
UPLOADED_AT, IMAGE_ID = "uploaded_at", "image_id"  # what every list of photos has
Photos = Select[Any] | CompoundSelect[Any]
Order = Callable[[str], UnaryExpression[Any]]


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


class _Position(FunctionElement[int]):
    """Where a text begins in another one, from 1 on, or 0; it takes less time than LIKE."""

    inherit_cache = True
    type = Integer()


@compiles(_Position, "sqlite")
def _position_in_sqlite(element: _Position, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(_Position, "postgresql")
def _position_in_postgresql(element: _Position, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


class ImageSearch:
    """Finds photos."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    def find(self, project: Project, query: ImageQuery) -> Page:
        """Give a page, newest first. It is full unless there are no more."""
        limit = min(query.limit, MAX_PAGE)
        matching = _matching(project, query)
        with self._database.read() as connection:
            page, total = _page(connection, matching, query.offset, limit)
            rows = connection.execute(select(images).where(images.c.id.in_(page))).mappings()
            found = with_tags(connection, sorted(rows, key=lambda row: page.index(row["id"])))
            names = _class_names(connection, project, page)
        return Page(tuple(found), tuple(names), total)

    def find_all(self, project: Project, query: ImageQuery) -> list[Image]:
        """Give all that match, oldest first, as they are at one moment."""
        ordered = _ordered(_matching(project, query), asc)
        found: list[Image] = []
        with self._database.read() as connection:
            ids = list(connection.execute(ordered).scalars(IMAGE_ID))
            for start in range(0, len(ids), MAX_PAGE):
                page = ids[start : start + MAX_PAGE]
                rows = connection.execute(select(images).where(images.c.id.in_(page))).mappings()
                found += with_tags(connection, sorted(rows, key=lambda row: page.index(row["id"])))
        return found

    def class_names(self, project: Project, image: Image) -> tuple[str, ...]:
        """Give the names of the classes that a photo's label shows."""
        with self._database.read() as connection:
            return _class_names(connection, project, [image.id])[0]


def _page(
    connection: Connection, matching: Photos, offset: int, limit: int
) -> tuple[list[str], int]:
    """The ids of a page, and how many match in all. Deep pages are read from the other end."""
    if offset == 0:
        page = _ids(connection, matching, desc, 0, limit)
        if len(page) < limit:
            return page, len(page)
    else:
        page = []
    # SQLite merges lists that are in one order as they come from their indices; without an order
    # it would put all of them into tables first.
    merged = _ordered(matching, desc) if isinstance(matching, CompoundSelect) else matching
    counted = select(func.count()).select_from(merged.subquery())
    total = int(connection.execute(counted).scalar() or 0)
    wanted = min(limit, total - offset)
    if offset == 0 or wanted <= 0:
        return page, total
    if offset <= total // 2:
        return _ids(connection, matching, desc, offset, wanted), total
    oldest_first = _ids(connection, matching, asc, total - offset - wanted, wanted)
    return oldest_first[::-1], total


def _ids(
    connection: Connection, matching: Photos, order: Order, offset: int, limit: int
) -> list[str]:
    ordered = _ordered(matching, order).offset(offset).limit(limit)
    return list(connection.execute(ordered).scalars(IMAGE_ID))


def _ordered(matching: Photos, order: Order) -> Photos:
    return matching.order_by(order(UPLOADED_AT), order(IMAGE_ID))


def _matching(project: Project, query: ImageQuery) -> Photos:
    """Times of upload and ids of the photos that are wanted.

    Each condition is asked of an index that has all it needs in the order of pages; what is on
    all of these lists is wanted.
    """
    lists = []
    if query.class_name is not None:
        lists.append(_showing(project, query.class_name))
    if query.tag is not None:
        lists.append(_tagged(project, query.tag))
    state = _state(query)
    if state or not lists:
        lists.append(_listed(images, images.c.created_at, images.c.id, project, *state))
    return lists[0] if len(lists) == 1 else intersect(*lists)


def _listed(
    table: Table,
    uploaded_at: "ColumnElement[float]",
    image_id: "ColumnElement[str]",
    project: Project,
    *conditions: "ColumnElement[bool]",
) -> "Select[Any]":
    columns: list[Any] = [uploaded_at.label(UPLOADED_AT), image_id.label(IMAGE_ID)]
    return select(*columns).where(table.c.project_id == project.id, *conditions)


def _showing(project: Project, class_name: str) -> "Select[Any]":
    number = (
        select(project_classes.c.number)
        .where(project_classes.c.project_id == project.id, project_classes.c.name == class_name)
        .scalar_subquery()
    )
    shown = label_classes.c
    of_class = (shown.kind == LABEL, shown.number == number)
    return _listed(label_classes, shown.uploaded_at, shown.image_id, project, *of_class)


def _tagged(project: Project, tag: str) -> "Select[Any]":
    tagged = image_tags.c
    return _listed(image_tags, tagged.uploaded_at, tagged.image_id, project, tagged.tag == tag)


def _state(query: ImageQuery) -> list["ColumnElement[bool]"]:
    """What is asked of the photo's own row, beside its project."""
    conditions: list[ColumnElement[bool]] = []
    if query.text:
        conditions.append(_Position(images.c.folded_name, query.text.casefold()) > 0)
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
