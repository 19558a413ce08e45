"""Projects: a name, a class table that only grows, and what is counted over their photos."""

import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from atrous.domain.classes import BACKGROUND, BACKGROUND_ID, IGNORE_ID, IGNORED, MAX_CLASSES
from atrous.domain.errors import BadInput, Conflict, NotFound
from atrous.domain.model_ids import checked_project
from atrous.store.database import Database, models, new_id
from atrous.store.dataset_tables import images, label_classes, project_classes, projects, versions

LABEL = "label"
MAX_NAME = 200
MAX_SLUG = 57  # of 63: room for the ending of a slug that is taken elsewhere
SLUG_TRIES = 20
PROJECTS_AT_ONCE = 500  # in one query
UNFIT = re.compile(r"[^a-z0-9]+")
# Ends of lines in any program's eyes, and halves of characters, for which UTF-8 has no bytes.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
COLUMNS = [column for column in projects.c if column.name not in ("trashed_at", "emptied_at")]


@dataclass(frozen=True)
class Project:
    """One row of `projects`; times are seconds since 1970."""

    id: str
    workspace_id: str
    slug: str
    name: str
    kind: str
    annotation: str  # the name of the group that the classes belong to
    license: str
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class ProjectCounts:
    """What is counted over the photos of a project."""

    images: int
    unannotated: int
    splits: dict[str, int]  # photos of the data set, by split
    classes: dict[str, int]  # labelled photos that show the class, by name
    versions: int


class Projects:
    """Creates and finds projects, and names their classes."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def create(
        self, workspace_id: str, name: str, *, kind: str, annotation: str, license_name: str = ""
    ) -> Project:
        """Add a project, its slug made of its name.

        A name that another project of the workspace has, or whose slug it has, raises Conflict. A
        slug that is taken elsewhere, by another workspace, a published model or in the trash, gets
        a random ending.
        """
        wanted = slug_of(name)
        now = self._clock()
        for attempt in range(SLUG_TRIES):
            ending = f"-{secrets.token_hex(3)[:5]}" if attempt else ""
            slug = checked_project(wanted + ending)
            project = Project(
                id=new_id(),
                workspace_id=workspace_id,
                slug=slug,
                name=checked_text(name, "project name"),
                kind=checked_text(kind, "project type"),
                annotation=checked_text(annotation, "annotation group"),
                license=checked_text(license_name or "Private", "license"),
                created_at=now,
                updated_at=now,
            )
            try:
                with self._database.write() as connection:
                    if _is_free(connection, project, wanted):
                        connection.execute(insert(projects).values(**vars(project)))
                        return project
            except IntegrityError:  # another request took it a moment ago
                continue
        raise Conflict(f"no free slug for project {name[:100]!r} was found; choose another name")

    def get(self, workspace_id: str, slug: str) -> Project:
        """Give a project of the workspace, else raise NotFound."""
        query = select(*COLUMNS).where(
            projects.c.slug == slug,
            projects.c.workspace_id == workspace_id,
            projects.c.trashed_at.is_(None),
        )
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"there is no project {slug[:100]!r} in this workspace")
        return Project(**row)

    def by_id(self, workspace_id: str, project_id: str) -> Project:
        """Give a project of the workspace by its id, also from the trash, else raise NotFound."""
        query = select(*COLUMNS).where(
            projects.c.id == project_id, projects.c.workspace_id == workspace_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound("there is no such project in this workspace")
        return Project(**row)

    def list(self, workspace_id: str) -> list[Project]:
        """Give the projects of a workspace, oldest first."""
        query = (
            select(*COLUMNS)
            .where(projects.c.workspace_id == workspace_id, projects.c.trashed_at.is_(None))
            .order_by(projects.c.created_at, projects.c.id)
        )
        with self._database.read() as connection:
            return [Project(**row) for row in connection.execute(query).mappings()]

    def class_names(self, project: Project) -> tuple[str, ...]:
        """Give the names by class number, background first."""
        with self._database.read() as connection:
            return (BACKGROUND, *_names(connection, project.id))

    def number_classes(self, project: Project, names: Sequence[str]) -> dict[str, int]:
        """Give each name its class number, adding those that are new at the end.

        Numbers are never changed or used again: they are the pixel values of stored labels. Spaces
        around a name are no part of it.
        """
        with self._database.write() as connection:
            lock(connection, project)
            numbers = _numbered(_names(connection, project.id), names)
            add_classes(connection, project.id, numbers)
        return numbers

    def planned_numbers(
        self, project: Project, names: Sequence[str], beside: Sequence[str] = ()
    ) -> dict[str, int]:
        """Give the numbers that `number_classes` would give now; nothing is added.

        beside: names that need no number, but are refused as the others are.
        """
        with self._database.read() as connection:
            known = _names(connection, project.id)
        for name in beside:
            _checked_class(name, known)
        return _numbered(known, names)

    def counts(self, project: Project) -> ProjectCounts:
        """Count over the photos of a project, all at one time."""
        return self.counts_of([project])[project.id]

    def counts_of(self, chosen: Sequence[Project]) -> dict[str, ProjectCounts]:
        """Count over the photos of each of some projects, by its id; all at one time."""
        counts: dict[str, ProjectCounts] = {}
        with self._database.read() as connection:
            for start in range(0, len(chosen), PROJECTS_AT_ONCE):
                ids = [project.id for project in chosen[start : start + PROJECTS_AT_ONCE]]
                counts.update(_count(connection, ids))
        return counts


def slug_of(name: str) -> str:
    """Make a slug of a name, as far as it has letters that fit into one.

    >>> slug_of("Straßen & Wege 2"), slug_of("2024"), slug_of("道路")
    ('stra-en-wege-2', 'project-2024', 'project')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "replace").decode().lower()
    slug = UNFIT.sub("-", plain).strip("-")[:MAX_SLUG].strip("-")
    if not slug:
        return "project"
    return f"project-{slug}" if slug.isdigit() else slug


def checked_text(text: str, what: str) -> str:
    """Give a text back that fits a column and a line, else raise BadInput."""
    if not text.strip() or len(text) > MAX_NAME or CONTROL.search(text):
        raise BadInput(
            f"{what} {text[:100]!r} can't be used; take 1 to {MAX_NAME} characters on one line"
        )
    return text


def add_classes(connection: Connection, project_id: str, planned: Mapping[str, int]) -> bool:
    """Add those classes that are new, with the numbers that were planned for them.

    Gives False, and adds none, where some have other numbers by now.
    """
    known = _names(connection, project_id)
    if max(planned.values(), default=0) > len(known):
        this = select(projects.c.id).where(projects.c.id == project_id)
        connection.execute(this.with_for_update(key_share=True))  # photos may come meanwhile
        known = _names(connection, project_id)
    if _numbered(known, list(planned)) != dict(planned):
        return False
    new = {number: name.strip() for name, number in planned.items() if number > len(known)}
    rows = [
        {"project_id": project_id, "number": number, "name": name} for number, name in new.items()
    ]
    if rows:
        connection.execute(insert(project_classes), rows)
    return True


def lock(connection: Connection, project: Project) -> None:
    """Let nobody else change the project's classes or versions before this transaction ends."""
    connection.execute(select(projects.c.id).where(projects.c.id == project.id).with_for_update())


def touch(connection: Connection, project_id: str, now: float) -> None:
    """Note that something in the project has changed."""
    connection.execute(update(projects).where(projects.c.id == project_id).values(updated_at=now))


def _is_free(connection: Connection, project: Project, wanted: str) -> bool:
    same = and_(
        projects.c.workspace_id == project.workspace_id,
        # the name, too: beside one in the trash its slug has a random ending
        or_(projects.c.slug == wanted, projects.c.name == project.name),
        projects.c.trashed_at.is_(None),
    )
    there = connection.execute(select(projects.c.slug).where(same)).scalar()
    if there is not None:
        raise Conflict(
            f"a project {there!r} exists already in this workspace; use it or choose another name"
        )
    taken = or_(
        select(projects.c.id).where(projects.c.slug == project.slug).exists(),
        select(models.c.id).where(models.c.project == project.slug).exists(),
    )
    return not connection.execute(select(taken)).scalar()


def _count(connection: Connection, ids: Sequence[str]) -> dict[str, ProjectCounts]:
    counts = {
        project_id: ProjectCounts(0, 0, {"train": 0, "valid": 0, "test": 0}, {}, 0)
        for project_id in ids
    }
    for row in connection.execute(_by_state(ids)):
        before = counts[row.project_id]
        in_dataset = row.photos if row.in_dataset else 0
        counts[row.project_id] = replace(
            before,
            images=before.images + row.photos,
            unannotated=before.unannotated + (0 if row.annotated else row.photos),
            splits={**before.splits, row.split: before.splits[row.split] + in_dataset},
        )
    for row in connection.execute(_by_class(ids)):
        counts[row.project_id].classes[row.name] = row.photos
    of_projects = versions.c.project_id.in_(ids), versions.c.trashed_at.is_(None)
    by_project = select(versions.c.project_id, func.count()).where(*of_projects)
    for project_id, there in connection.execute(by_project.group_by(versions.c.project_id)):
        counts[project_id] = replace(counts[project_id], versions=there)
    return counts


def _by_state(ids: Sequence[str]) -> "Select[Any]":
    state = (images.c.project_id, images.c.in_dataset, images.c.annotated, images.c.split)
    of_projects = images.c.project_id.in_(ids)
    return select(*state, func.count().label("photos")).where(of_projects).group_by(*state)


def _by_class(ids: Sequence[str]) -> "Select[Any]":
    """Each class with the photos that show it, in the order of their numbers."""
    shows = select(func.count()).where(
        label_classes.c.project_id == project_classes.c.project_id,
        label_classes.c.kind == LABEL,
        label_classes.c.number == project_classes.c.number,
    )
    photos = shows.scalar_subquery().label("photos")
    return (
        select(project_classes.c.project_id, project_classes.c.name, photos)
        .where(project_classes.c.project_id.in_(ids))
        .order_by(project_classes.c.project_id, project_classes.c.number)
    )


def _names(connection: Connection, project_id: str) -> tuple[str, ...]:
    query = (
        select(project_classes.c.name)
        .where(project_classes.c.project_id == project_id)
        .order_by(project_classes.c.number)
    )
    return tuple(connection.execute(query).scalars())


def _numbered(known: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """The class number of each name, as if those that are new came after the known ones."""
    numbers = {name: number for number, name in enumerate(known, start=1)}
    for name in known:
        numbers.setdefault(name.strip(), numbers[name])  # older releases kept the spaces
    last = len(known)
    for name in names:
        plain = _checked_class(name, known)
        if plain.lower() == BACKGROUND:
            numbers[name] = BACKGROUND_ID
        elif name not in numbers:
            last = last if plain in numbers else last + 1
            numbers[name] = numbers.setdefault(plain, last)
    if last >= MAX_CLASSES:
        raise BadInput(
            f"the project would have {last + 1} classes; at most {MAX_CLASSES} fit, background "
            "included"
        )
    return {name: numbers[name] for name in names}


def _checked_class(name: str, known: Sequence[str]) -> str:
    """The name without spaces around it; BadInput for one that no class can have."""
    plain = name.strip()
    if plain in known:  # older releases let more names in
        return plain
    if plain == IGNORED:
        raise BadInput(
            f"{IGNORED!r} can't be the name of a class: it stands for pixels that are neither "
            f"trained on nor counted; give these the value {IGNORE_ID} in a mask, or rename it"
        )
    return checked_text(plain, "class name")
