"""Published models: a row per run of a version, an opaque package behind each."""

import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, union, update
from sqlalchemy.exc import IntegrityError

from atrous.domain.errors import Conflict, NotFound
from atrous.domain.model_ids import ModelId, checked_project
from atrous.store.blobs import Blobs
from atrous.store.database import Database, jobs, models, new_id
from atrous.store.dataset_tables import projects, trainings, versions
from atrous.store.home import Home
from atrous.store.package_files import (
    PackageFile,
    PackageFiles,
    delete_files,
    delete_local_files,
    insert_files,
)

MAX_VERSION_RACES = 20
SLUG = re.compile(r"([a-z0-9][a-z0-9_-]*)-([1-9][0-9]{0,8})-([a-z0-9_]+)-t([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Model:
    """One row of `models`; `created_at` is in seconds since 1970."""

    model_id: ModelId
    workspace_id: str
    folder: str  # the package's name: new for every publication, so it names the content
    facts: dict[str, Any]  # metrics, class names, architecture and the like; JSON
    created_at: float
    run: int = 1  # which of the version's trainings it came of
    training_id: str | None = None  # None: it was published without the platform

    @property
    def slug(self) -> str:
        """A name that no other model ever has, as `roads-1-deeplabv3plus-t2`."""
        architecture = self.facts.get("architecture") or "model"
        return f"{self.model_id.project}-{self.model_id.version}-{architecture}-t{self.run}"


class Models:
    """Publishes, finds and removes models. A model is there whole or not at all."""

    def __init__(
        self,
        database: Database,
        home: Home,
        blobs: Blobs,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Work on an open, migrated database and the existing folder of packages."""
        self._database = database
        self._home = home
        self._files = PackageFiles(database, home.packages, blobs)
        self._clock = clock

    def publish(
        self,
        project: str,
        package: Path,
        *,
        workspace_id: str,
        version: int | None = None,
        facts: dict[str, Any] | None = None,
        training_id: str | None = None,
    ) -> ModelId:
        """Copy a ready package folder into the store and name it `project/version`.

        Its files are blobs before the row is written, which makes them a model.

        version: the number to take; None means the next one that was never used.
        training_id: the platform's training that it came of; each has a model of its own on the
            version, and a cancelled one has none: Conflict.
        Raises Conflict where the version is taken or the project is another workspace's,
        BadPackage where the folder holds anything but plain files. The caller has validated
        the package.
        """
        checked_project(project)
        if version is not None:
            ModelId.parse(f"{project}/{version}")
        folder = new_id()
        try:
            files = self._files.bring_in(package, folder)
            values = {
                "workspace_id": workspace_id,
                "project": project,
                "folder": folder,
                "facts": facts or {},
                "created_at": self._clock(),
                "training_id": training_id,
            }
            return self._insert(values, files, version)
        except BaseException:  # an interrupt, too, must not leave a folder without a row
            shutil.rmtree(self._home.packages / folder, ignore_errors=True)
            raise

    def _insert(
        self, values: dict[str, Any], files: Iterable[PackageFile], version: int | None
    ) -> ModelId:
        # Where two publications compute the same next version, the unique constraint stops one
        # of them (SQLite's write lock already does), and that one computes again.
        for _ in range(MAX_VERSION_RACES):
            try:
                with self._database.write() as connection:
                    run = _run_of(connection, values["training_id"])
                    chosen = _free_version(connection, values, version, run)
                    named = {"version": chosen, "run": run, **values}
                    connection.execute(insert(models).values(id=new_id(), **named))
                    insert_files(connection, values["folder"], files)
                return ModelId(values["project"], chosen)
            except IntegrityError:
                continue
        raise Conflict(f"no free version of '{values['project']}' could be taken; try again")

    def list(self) -> list[Model]:
        """Give all models, by project, version and run."""
        return [*self._there()]

    def get(self, model_id: ModelId) -> Model:
        """Give the model of the first run that is left, else raise NotFound."""
        found = self._there(*_is(model_id))
        if not found:
            raise NotFound(f"there is no model {model_id}; `atrous models list` shows those there")
        return found[0]

    def named(self, name: str) -> Model:
        """Give a model of any workspace by `project/version` or by its slug.

        Raises NotFound for one that is not there, BadModelId for what can't be either.
        """
        match = SLUG.fullmatch(name)
        if not match:
            return self.get(ModelId.parse(name))
        project, version, _, run = match.groups()
        for model in self._there(*_is(ModelId(project, int(version))), models.c.run == int(run)):
            if model.slug == name:
                return model
        raise NotFound(f"there is no model {name[:100]!r}; `atrous models list` shows those there")

    def by_slug(self, workspace_id: str, slug: str) -> Model:
        """Give a model of the workspace by its slug, else raise NotFound."""
        if SLUG.fullmatch(slug):
            with suppress(NotFound):
                model = self.named(slug)
                if model.workspace_id == workspace_id:
                    return model
        raise NotFound(f"there is no model {slug[:100]!r} in this workspace")

    def find(self, workspace_id: str, name: str) -> Model:
        """Give a model of the workspace by `project/version`, by its slug, or by both of
        workspace and slug; else raise NotFound.
        """
        last = name.rpartition("/")[2]
        if not last.isdigit():
            return self.by_slug(workspace_id, last)
        model = self.get(ModelId.parse(name))
        if model.workspace_id != workspace_id:
            raise NotFound(f"there is no model {name[:100]!r} in this workspace")
        return model

    def by_folder(self, folder: str) -> Model:
        """Give the model of a package, else raise NotFound."""
        found = self._there(models.c.folder == folder)
        if not found:
            raise NotFound("the model of this package is gone")
        return found[0]

    def of_training(self, training_id: str) -> Model | None:
        """Give the model of a training, if it is there."""
        return next(iter(self._there(models.c.training_id == training_id)), None)

    def of_project(self, workspace_id: str, project: str) -> Sequence[Model]:
        """Give the models of one project, by version and run."""
        return self._there(models.c.workspace_id == workspace_id, models.c.project == project)

    def _there(self, *conditions: Any) -> Sequence[Model]:
        """The models that were neither removed nor put into the trash."""
        query = (
            select(models)
            .where(models.c.removed_at.is_(None), models.c.trashed_by.is_(None), *conditions)
            .order_by(models.c.project, models.c.version, models.c.run)
        )
        with self._database.read() as connection:
            return [_model(row) for row in connection.execute(query).mappings()]

    def folder(self, model_id: ModelId) -> Path:
        """Give the package folder of a model, else raise NotFound."""
        return self.package_folder(self.get(model_id).folder)

    def package_folder(self, folder: str) -> Path:
        """Give where a package lies on this machine; it is fetched where it does not yet.

        folder: that of a `Model`. Raises what `PackageFiles.folder` raises.
        """
        return self._files.folder(folder)

    def take_over_packages(self) -> int:
        """Bring packages that were published before they were blobs into these; gives how many."""
        return self._files.take_over()

    def remove(self, model: Model) -> None:
        """Take a model away and delete its files; NotFound where another did so before."""
        with self._database.write() as connection:
            there = (models.c.folder == model.folder) & models.c.removed_at.is_(None)
            removal = update(models).where(there).values(removed_at=self._clock())
            if not connection.execute(removal).rowcount:
                raise NotFound(f"there is no model {model.slug} any more")
            delete_files(connection, [model.folder])
        delete_local_files(self._home, model.folder)


def first_runs(there: Iterable[Model]) -> set[str]:
    """The folders of those models that `project/version` means, out of a list in order."""
    first: dict[ModelId, str] = {}
    for model in there:
        first.setdefault(model.model_id, model.folder)
    return set(first.values())


def asked_names(there: Sequence[Model]) -> list[str]:
    """The name by which each is asked for: `project/version`, or the slug of further trainings."""
    first = first_runs(there)
    return [str(model.model_id) if model.folder in first else model.slug for model in there]


def _run_of(connection: Connection, training_id: str | None) -> int:
    """The number of a training; a cancellation waits for this transaction, or stops it."""
    if training_id is None:
        return 1
    query = (
        select(trainings.c.number, jobs.c.state)
        .join(jobs, jobs.c.id == trainings.c.job_id)
        .where(trainings.c.id == training_id)
        .with_for_update()
    )
    row = connection.execute(query).first()
    if row is None or row.state == "cancelled":
        raise Conflict("the training was cancelled, so that its model is not published")
    return int(row.number)


def _free_version(
    connection: Connection, values: dict[str, Any], version: int | None, run: int
) -> int:
    project = values["project"]
    owners = union(
        select(models.c.workspace_id).where(models.c.project == project),
        select(projects.c.workspace_id).where(projects.c.slug == project),  # in the trash, too
    )
    if set(connection.execute(owners).scalars()) - {values["workspace_id"]}:
        raise Conflict(f"project '{project}' belongs to another workspace; choose another name")
    if version is None:
        return max(last_model(connection, project), _last_version(connection, project)) + 1
    model_id = ModelId(project, version)
    same = [*_is(model_id)]
    if values["training_id"]:  # other trainings on the version may have models, too
        same.append(models.c.run == run)
    taken = select(models.c.id).where(*same, models.c.removed_at.is_(None))
    if connection.execute(taken).first():
        raise Conflict(f"model {model_id} exists already; remove it first or take another version")
    connection.execute(delete(models).where(*_is(model_id), models.c.run == run))
    return version


def last_model(connection: Connection, project: str) -> int:
    """The highest number that a model of the project ever had; 0 without any."""
    last = select(func.max(models.c.version)).where(models.c.project == project)
    return int(connection.execute(last).scalar() or 0)


def _last_version(connection: Connection, project: str) -> int:
    """The highest number of the platform's versions of it: a model of one of them is to come."""
    of_slug = projects.c.slug == project
    of_project = projects.c.id == versions.c.project_id
    last = select(func.max(versions.c.number)).join(projects, of_project).where(of_slug)
    return int(connection.execute(last).scalar() or 0)


def _is(model_id: ModelId) -> tuple[Any, Any]:
    return models.c.project == model_id.project, models.c.version == model_id.version


def _model(row: Mapping[Any, Any]) -> Model:
    return Model(
        ModelId(row["project"], row["version"]),
        row["workspace_id"],
        row["folder"],
        row["facts"],
        row["created_at"],
        row["run"],
        row["training_id"],
    )
