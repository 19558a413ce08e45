"""What answers about projects, versions and the trash look like, for the OpenAPI document.

`descriptions.py` and the routes build the bodies; a field with a default may be left out.
"""

from typing import Any

from pydantic import BaseModel, Field

from atrous.server.platform.training_schemas import EpochList, NewestTraining, VersionModel

Counts = dict[str, int]


class Workspace(BaseModel):
    """A workspace."""

    name: str
    url: str = Field(description="Its slug, the first part of paths.")
    members: int


class Project(BaseModel):
    """A project, with its counts."""

    id: str = Field(description="`workspace/project`.")
    type: str
    name: str
    annotation: str = Field(description="The name of the group of its classes.")
    license: str
    created: float = Field(description="Seconds since 1970.")
    updated: float = Field(description="Seconds since 1970.")
    images: int
    unannotated: int
    versions: int
    public: bool
    splits: Counts = Field(description="Photos by split.")
    classes: Counts = Field(description="Labelled photos that show the class, by its name.")
    colors: dict[str, str] = Field(description="`#RRGGBB` by class, as in overlays.")


class Version(BaseModel):
    """A version of a data set, with its trainings."""

    id: str = Field(description="`workspace/project/version`.")
    name: str
    created: float = Field(description="Seconds since 1970.")
    images: int
    splits: Counts = Field(description="Photos by split.")
    preprocessing: dict[str, dict[str, Any]] = Field(description="Steps, each with `enabled`.")
    augmentation: dict[str, dict[str, Any]] = Field(description="Steps, each with `enabled`.")
    classes: list[str] = Field(description="By number, background first.")
    seed: int
    exports: list[str] = Field(description="Formats that are made already.")
    generating: bool = Field(description="True until its pictures are made.")
    progress: float = Field(description="0 to 1, of the making of its pictures.")
    error: str | None = Field(None, description="Why it could not be made.")
    train: NewestTraining | None = Field(None, description="The last training, once there is one.")
    model: VersionModel | None = Field(None, description="What `project/version` means.")
    models: dict[str, EpochList] | None = Field(None, description="Its epochs, for old clients.")


class WorkspaceWithProjects(Workspace):
    """A workspace and all of its projects."""

    projects: list[Project]


class WorkspaceAnswer(BaseModel):
    """A workspace and its projects."""

    workspace: WorkspaceWithProjects


class ProjectAnswer(BaseModel):
    """A project and its versions, newest first."""

    workspace: Workspace
    project: Project
    versions: list[Version]


class VersionAnswer(BaseModel):
    """A version with its project."""

    workspace: Workspace
    project: Project
    version: Version


class Making(BaseModel):
    """It is being made; ask again."""

    progress: float = Field(description="0 to 1.")


class ExportLink(BaseModel):
    """A zip that is there."""

    format: str
    link: str = Field(description="Signed: it needs no key until it expires.")
    size: float = Field(description="MiB.")


class VersionExport(BaseModel):
    """The zip of a version."""

    export: ExportLink


class ClassHealth(BaseModel):
    """How often a class occurs."""

    name: str
    images: int
    balance: str = Field(description="`rare` or `fine`.")


class SizeCount(BaseModel):
    """Photos of one size."""

    width: int
    height: int
    images: int


class Dimensions(BaseModel):
    """Sizes of photos."""

    sizes: list[SizeCount] = Field(description="The most frequent ones.")
    differentSizes: int


class Health(BaseModel):
    """What is in a data set, and what it lacks."""

    images: int
    annotated: int
    unannotated: int
    splits: Counts
    classes: list[ClassHealth]
    dimensions: Dimensions
    warnings: list[str]


class PutAway(BaseModel):
    """It is in the trash."""

    deleted: bool
    type: str
    trash: bool


class ProjectPutAway(PutAway):
    """The project is in the trash."""

    id: str
    slug: str


class VersionPutAway(PutAway):
    """The version is in the trash."""

    id: str = Field(description="Its number.")
    parentId: str = Field(description="Of its project.")


class TrashItem(BaseModel):
    """A thing in the trash."""

    type: str = Field(description="project, version or training.")
    id: str
    name: str
    url: str = Field(description="The project's slug.")
    deletedAt: str
    scheduledCleanupAt: str = Field(description="When it is deleted for good.")
    parentId: str | None = Field(None, description="Of versions and trainings: the project.")
    parentUrl: str | None = None
    parentName: str | None = None


class TrashSections(BaseModel):
    """The same, by type."""

    datasets: list[TrashItem]
    projects: list[TrashItem] = Field(description="The same as `datasets`.")
    versions: list[TrashItem]
    trainings: list[TrashItem]
    workflows: list[TrashItem] = Field(description="Empty: there are none here.")


class TrashAnswer(BaseModel):
    """What lies in the trash, newest first."""

    items: list[TrashItem]
    sections: TrashSections


class KeyWorkspace(BaseModel):
    """The workspace that a key opens."""

    url: str
    name: str
    apiKey: str
