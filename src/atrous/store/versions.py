"""Versions: the data set of a project as it was at one moment, and what was made of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, String, delete, func, insert, literal, select, update

from atrous.domain.classes import BACKGROUND
from atrous.domain.errors import BadInput, NotFound
from atrous.store.database import Database, jobs, new_id
from atrous.store.dataset_tables import (
    image_tags,
    images,
    labels,
    project_classes,
    version_images,
    version_sources,
    versions,
)
from atrous.store.jobs import add_job, why_not_made
from atrous.store.models import last_model
from atrous.store.projects import Project, checked_text, lock, touch

VersionState = Literal["generating", "ready", "failed"]
GENERATE = "generate"  # the kind of job that makes the pictures
ROWS_AT_ONCE = 1000
EMPTY = (
    "the data set has no labelled image, so that there is nothing to make a version of; "
    "upload images with annotations first"
)

NONE_TAGGED = (
    "no labelled image of the data set has the tags that 'filter-tag' asks for; "
    "require or exclude fewer"
)


@dataclass(frozen=True)
class Version:
    """One row of `versions`; `created_at` is in seconds since 1970."""

    id: str
    workspace_id: str
    project_id: str
    number: int
    name: str
    seed: int
    class_names: tuple[str, ...]  # by number, background first
    preprocessing: dict[str, Any]  # as they were asked for
    augmentation: dict[str, Any]
    state: VersionState
    images: int
    splits: dict[str, int]
    created_at: float
    progress: float  # 0..1, of its generation
    error: str | None


@dataclass(frozen=True)
class TagFilter:
    """Which photos of a data set a version is made of."""

    required: tuple[str, ...] = ()  # a photo has all of these tags
    excluded: tuple[str, ...] = ()  # and none of these


@dataclass(frozen=True)
class FrozenImage:
    """A photo and its label, by their blobs."""

    name: str
    split: str
    media_type: str
    image_digest: str
    label_digest: str
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Of the photo and of its label: what was let in is read again, whatever the limit is."""
        return self.height * self.width


class Versions:
    """Freezes data sets, and gives them back."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def create(
        self,
        project: Project,
        *,
        preprocessing: dict[str, Any],
        augmentation: dict[str, Any],
        seed: int,
        name: str | None = None,
        tags: TagFilter | None = None,
    ) -> Version:
        """Freeze the labelled photos of the data set, and queue the making of the pictures.

        Raises BadInput for an empty data set, or one of which `tags` leave nothing.
        """
        now = self._clock()
        named = name or time.strftime("%Y-%m-%d %H:%M", time.gmtime(now))
        version_id = new_id()
        with self._database.write() as connection:
            lock(connection, project)
            number = _last_number(connection, project) + 1
            chosen = (*_labelled(project), *_tagged(tags or TagFilter()))
            splits = _count_splits(connection, chosen)
            if not sum(splits.values()):
                raise BadInput(EMPTY if tags in (None, TagFilter()) else NONE_TAGGED)
            payload = {"version_id": version_id}
            job = add_job(connection, GENERATE, payload, project.workspace_id, now)
            connection.execute(
                insert(versions).values(
                    id=version_id,
                    workspace_id=project.workspace_id,
                    project_id=project.id,
                    number=number,
                    name=checked_text(named, "version name"),
                    seed=seed,
                    class_names=_class_names(connection, project),
                    preprocessing=preprocessing,
                    augmentation=augmentation,
                    state="generating",
                    images=sum(splits.values()),
                    splits=splits,
                    job_id=job.id,
                    created_at=now,
                )
            )
            columns = [column.name for column in version_sources.columns]
            connection.execute(
                insert(version_sources).from_select(columns, _sources_of(chosen, version_id))
            )
            touch(connection, project.id, now)
        return self.get(project, number)

    def get(self, project: Project, number: int) -> Version:
        """Give a version of the project, else raise NotFound."""
        of_project = versions.c.project_id == project.id
        return self._one(of_project, versions.c.number == number, versions.c.trashed_at.is_(None))

    def by_id(self, workspace_id: str, version_id: str) -> Version:
        """Give a version of the workspace by its id, also from the trash, else raise NotFound."""
        return self._one(versions.c.workspace_id == workspace_id, versions.c.id == version_id)

    def _one(self, *conditions: Any) -> Version:
        with self._database.read() as connection:
            row = connection.execute(_with_job().where(*conditions)).mappings().first()
        if row is None:
            raise NotFound("there is no such version in this project")
        return _version(row)

    def sources(self, version: Version) -> list[FrozenImage]:
        """Give what the version is made of, in the order of upload."""
        return self._frozen(version, version_sources)

    def images(self, version: Version) -> list[FrozenImage]:
        """Give what was made; nothing before it is whole."""
        is_whole = select(versions.c.id).where(
            versions.c.id == version.id, versions.c.state == "ready"
        )
        return self._frozen(version, version_images, version_images.c.version_id.in_(is_whole))

    def _frozen(self, version: Version, table: Any, *conditions: Any) -> list[FrozenImage]:
        names = list(FrozenImage.__dataclass_fields__)
        query = (
            select(*(table.c[name] for name in names))
            .where(table.c.version_id == version.id, *conditions)
            .order_by(table.c.position)
        )
        with self._database.read() as connection:
            return [FrozenImage(**row) for row in connection.execute(query).mappings()]

    def made_places(self, version: Version) -> list[int]:
        """Give the places of all pictures that were recorded, in their order."""
        query = (
            select(version_images.c.position)
            .where(version_images.c.version_id == version.id)
            .order_by(version_images.c.position)
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def record(self, version: Version, made: Mapping[int, FrozenImage]) -> None:
        """Write down pictures by their places, all or none; nobody sees them before `publish`.

        What is there already is written anew.
        """
        rows = [
            {"version_id": version.id, "position": place, **vars(image)}
            for place, image in made.items()
        ]
        with self._database.write() as connection:
            for start in range(0, len(rows), ROWS_AT_ONCE):
                batch = rows[start : start + ROWS_AT_ONCE]
                places = [row["position"] for row in batch]
                connection.execute(
                    delete(version_images).where(
                        version_images.c.version_id == version.id,
                        version_images.c.position.in_(places),
                    )
                )
                connection.execute(insert(version_images), batch)

    def publish(self, version: Version, class_names: Sequence[str]) -> int:
        """Show everything that was recorded, whole and at once; gives how many pictures it is.

        Without any picture nothing is shown. Doing it twice changes nothing.
        """
        counts = (
            select(version_images.c.split, func.count())
            .where(version_images.c.version_id == version.id)
            .group_by(version_images.c.split)
        )
        with self._database.write() as connection:
            counted = {str(row[0]): int(row[1]) for row in connection.execute(counts)}
            splits = {split: counted.get(split, 0) for split in ("train", "valid", "test")}
            images_made = sum(splits.values())
            shown = {
                "state": "ready",
                "images": images_made,
                "splits": splits,
                "class_names": list(class_names),
            }
            if images_made:
                connection.execute(
                    update(versions).where(versions.c.id == version.id).values(**shown)
                )
        return images_made

    def list(self, project: Project) -> list[Version]:
        """Give the versions of a project, newest first."""
        query = (
            _with_job()
            .where(versions.c.project_id == project.id, versions.c.trashed_at.is_(None))
            .order_by(versions.c.number.desc())
        )
        with self._database.read() as connection:
            return [_version(row) for row in connection.execute(query).mappings()]


def _with_job() -> "Select[Any]":
    return select(versions, jobs.c.state.label("job_state"), jobs.c.progress, jobs.c.error).join(
        jobs, jobs.c.id == versions.c.job_id
    )


def _version(row: Mapping[Any, Any]) -> Version:
    values = dict(row)
    job_state, progress = values.pop("job_state"), values.pop("progress")
    del values["job_id"], values["trashed_at"], values["emptied_at"]
    if values["state"] == "generating" and job_state in ("failed", "cancelled"):
        values["state"] = "failed"
        values["error"] = why_not_made(job_state, values["error"])
    ready = values["state"] == "ready"
    values["class_names"] = tuple(values["class_names"])
    return Version(**values, progress=1.0 if ready else float(progress.get("fraction", 0.0)))


def _last_number(connection: Connection, project: Project) -> int:
    """The highest number given, also to models that were published under the project's name."""
    query = select(func.max(versions.c.number)).where(versions.c.project_id == project.id)
    own = int(connection.execute(query).scalar() or 0)
    return max(own, last_model(connection, project.slug))


def _class_names(connection: Connection, project: Project) -> list[str]:
    query = (
        select(project_classes.c.name)
        .where(project_classes.c.project_id == project.id)
        .order_by(project_classes.c.number)
    )
    return [BACKGROUND, *connection.execute(query).scalars()]


def _labelled(project: Project) -> Any:
    return (
        images.c.project_id == project.id,
        images.c.in_dataset.is_(True),
        images.c.annotated.is_(True),
    )


def _tagged(tags: TagFilter) -> list[Any]:
    """Conditions on a photo: it has each required tag, and none that is excluded."""

    def has(tag: str) -> Any:
        of_image = image_tags.c.image_id == images.c.id
        return select(image_tags.c.tag).where(of_image, image_tags.c.tag == tag).exists()

    return [*(has(tag) for tag in tags.required), *(~has(tag) for tag in tags.excluded)]


def _count_splits(connection: Connection, chosen: Sequence[Any]) -> dict[str, int]:
    query = select(images.c.split, func.count()).where(*chosen).group_by(images.c.split)
    counted = {str(row[0]): int(row[1]) for row in connection.execute(query)}
    return {split: counted.get(split, 0) for split in ("train", "valid", "test")}


def _sources_of(chosen: Sequence[Any], version_id: str) -> "Select[Any]":
    """The rows of `version_sources`, in the order of its columns."""
    order = func.row_number().over(order_by=(images.c.created_at, images.c.id))
    return (
        select(
            literal(version_id, String(32)),
            order - 1,
            images.c.name,
            images.c.split,
            images.c.media_type,
            images.c.digest,
            labels.c.digest,
            images.c.height,
            images.c.width,
        )
        .join(labels, (labels.c.image_id == images.c.id) & (labels.c.kind == "label"))
        .where(*chosen)
    )
