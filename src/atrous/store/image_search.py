"""Pages of a project's photos by name, tag, class, batch and state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

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


class ImageSearch:
    """Finds photos."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    def find(self, project: Project, query: ImageQuery) -> Page:
        """Give a page, newest first. It is full unless there are no more."""
        conditions = [images.c.project_id == project.id, *_conditions(project, query)]
        # Ids first: an index alone has them in order, so that far pages cost little.
        ids = (
            select(images.c.id)
            .where(*conditions)
            .order_by(images.c.created_at.desc(), images.c.id.desc())
            .offset(query.offset)
            .limit(min(query.limit, MAX_PAGE))
        )
        with self._database.read() as connection:
            page = list(connection.execute(ids).scalars())
            rows = connection.execute(select(images).where(images.c.id.in_(page))).mappings()
            found = with_tags(connection, sorted(rows, key=lambda row: page.index(row["id"])))
            total = connection.execute(
                select(func.count()).select_from(images).where(*conditions)
            ).scalar()
            names = _class_names(connection, project, [image.id for image in found])
        return Page(tuple(found), tuple(names), int(total or 0))

    def class_names(self, project: Project, image: Image) -> tuple[str, ...]:
        """Give the names of the classes that a photo's label shows."""
        with self._database.read() as connection:
            return _class_names(connection, project, [image.id])[0]


def _conditions(project: Project, query: ImageQuery) -> list[Any]:
    conditions: list[Any] = []
    if query.text:
        conditions.append(images.c.name.icontains(query.text, autoescape=True))
    for column in ("in_dataset", "annotated", "split", "batch_id"):
        wanted = getattr(query, column)
        if wanted is not None:
            conditions.append(images.c[column] == wanted)
    if query.tag is not None:
        tagged = select(image_tags.c.image_id).where(
            image_tags.c.project_id == project.id, image_tags.c.tag == query.tag
        )
        conditions.append(images.c.id.in_(tagged))
    if query.class_name is not None:
        number = (
            select(project_classes.c.number)
            .where(
                project_classes.c.project_id == project.id,
                project_classes.c.name == query.class_name,
            )
            .scalar_subquery()
        )
        showing = select(label_classes.c.image_id).where(
            label_classes.c.project_id == project.id,
            label_classes.c.kind == LABEL,
            label_classes.c.number == number,
        )
        conditions.append(images.c.id.in_(showing))
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
