"""What answers of the platform look like, for the OpenAPI document; the routes build the bodies.

Those about projects, trainings and evaluations are in `project_schemas.py`, `training_schemas.py`
and `evaluation_schemas.py`. A field with a default may be left out.
"""

from typing import Any

from pydantic import BaseModel, Field

from atrous.server.described_bodies import BINARY

Responses = dict[int | str, dict[str, Any]]


class Succeeded(BaseModel):
    """It was done."""

    success: bool


class Uploaded(BaseModel):
    """A photo that is there now."""

    id: str
    success: bool | None = Field(None, description="True for a new one.")
    duplicate: bool | None = Field(None, description="True where the project had it.")


class Announced(BaseModel):
    """Where a zip goes."""

    taskId: str
    signedUrl: str = Field(description="Takes the zip by PUT, without a key.")
    url: str = Field(description="The same.")


class Received(BaseModel):
    """A zip that came whole."""

    success: bool
    taskId: str


class StepsDone(BaseModel):
    """How far it is."""

    current: int
    total: int


class ZipFault(BaseModel):
    """A file of a zip that could not be used."""

    file: str
    message: str


class ZipResult(BaseModel):
    """What a zip came to."""

    images: int = Field(description="New photos.")
    duplicates: int = Field(description="Photos that the project had.")
    labels: int
    unlabelled: int
    faults: list[ZipFault] = Field(description="At most 1000 of them.")
    faultCount: int = Field(description="All of them.")


class TaskState(BaseModel):
    """How far a task is."""

    taskId: str
    progress: StepsDone
    error: str | None = Field(None, description="When it failed.")


class ZipTask(TaskState):
    """A zip that was announced."""

    status: str = Field(description="pending, queued, processing, completed or failed.")
    result: ZipResult | None = Field(None, description="When it is completed.")


class TaskQueued(BaseModel):
    """A task in the queue."""

    taskId: str
    url: str = Field(description="Where to ask how far it is.")


class TaskFault(BaseModel):
    """A photo that could not be changed."""

    imageId: str
    error: str


class TaskResult(BaseModel):
    """What a task came to."""

    succeeded: int
    failed: int
    errors: list[TaskFault]


class Task(TaskState):
    """A task that was asked for."""

    status: str = Field(description="queued, running, completed or failed.")
    result: TaskResult | None = Field(None, description="When it is completed.")


class Generating(BaseModel):
    """A version in work."""

    message: str
    version: int
    warnings: list[str] | None = None


class LabelCounts(BaseModel):
    """The classes of a photo's label."""

    count: int
    classes: dict[str, int] = Field(description="1 for each that the photo shows.")


class FoundPhoto(BaseModel):
    """A photo, with the fields that were asked for."""

    id: str
    name: str
    mediaType: str
    created: int | None = Field(None, description="Milliseconds since 1970.")
    labels: list[str] | None = Field(None, description="The classes that it shows.")
    split: str | None = None
    tags: list[str] | None = None
    owner: str | None = Field(None, description="The workspace's id.")
    annotations: LabelCounts | None = None
    user_metadata: dict[str, Any] | None = None
    width: int | None = None
    height: int | None = None
    in_dataset: bool | None = None
    batch: str | None = Field(None, description="The batch's id.")


class SearchResults(BaseModel):
    """Photos, with the fields that were asked for."""

    results: list[FoundPhoto]
    total: int
    offset: int | None = None
    continuationToken: str | None = Field(None, description="Where there are more.")


class Box(BaseModel):
    """The box around all pixels of a class: its centre and size in pixels."""

    label: str
    x: float
    y: float
    width: int
    height: int


class Label(BaseModel):
    """The label of a photo."""

    key: str = Field(description="The name of the file that it came in.")
    width: int
    height: int
    boxes: list[Box]


class PhotoLinks(BaseModel):
    """Signed links; they need no key until they expire."""

    original: str
    thumb: str
    annotation: str | None = Field(None, description="A PNG of class numbers.")


class Photo(FoundPhoto):
    """Everything about a photo."""

    annotation: Label | None = None
    urls: PhotoLinks
    embedding: None


class OnePhoto(BaseModel):
    """One photo."""

    image: Photo


class Deleted(BaseModel):
    """What became of photos that belong to no project: here each belongs to one."""

    deleted: int
    skipped: int = Field(description="Photos that are in a project.")
    deletedSources: int
    skippedSources: int


class ExportQueued(BaseModel):
    """An export of a search in the queue."""

    link: str = Field(description="The id to ask for.")
    ready: bool
    progress: float


class SearchExport(BaseModel):
    """How far the export of a search is."""

    id: str
    format: str
    ready: bool
    progress: float = Field(description="0 to 1.")
    link: str | None = Field(None, description="To the zip, signed, when it is ready.")
    size: float | None = Field(None, description="MiB.")
    images: int | None = None


class Batch(BaseModel):
    """Photos that were uploaded together."""

    id: str
    name: str
    images: int
    numImages: int
    created: float
    uploaded: float


class Batches(BaseModel):
    """All of them."""

    batches: list[Batch]


class OneBatch(BaseModel):
    """One of them."""

    batch: Batch


class TrainingStarted(BaseModel):
    """A training in the queue."""

    status: str
    trainingId: str


class JobStarted(TrainingStarted):
    """The same, with its job."""

    id: str


class Restored(BaseModel):
    """What is out of the trash again."""

    restored: bool
    type: str
    id: str
    name: str


class WhoseKey(BaseModel):
    """The workspace that a key opens."""

    welcome: str
    instructions: str
    docs: str
    workspace: str


def answered_by(model: Any, status: int = 200, description: str = "") -> Responses:
    """What a route takes as `responses`, beside the failures that all share.

    description: of what is no model with words of its own.
    """
    return {status: {"model": model, "description": description or model.__doc__}}


def answered_by_file(description: str, status: int = 200) -> Responses:
    """The same where the answer is a file."""
    content = {"application/octet-stream": {"schema": BINARY}}
    return {status: {"content": content, "description": description}}
