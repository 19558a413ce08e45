"""What answers of the platform look like, for the OpenAPI document; the routes build the bodies.

Answers about projects, versions, trainings and evaluations are described in the documents alone.
"""

from typing import Any

from pydantic import BaseModel, Field

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


class ZipProgress(BaseModel):
    """How far it is."""

    current: int
    total: int


class ZipTask(BaseModel):
    """A zip that was announced."""

    taskId: str
    status: str = Field(description="pending, queued, processing, completed or failed.")
    progress: ZipProgress
    result: dict[str, Any] | None = None
    error: str | None = None


class Generating(BaseModel):
    """A version in work."""

    message: str
    version: int
    warnings: list[str] | None = None


class SearchResults(BaseModel):
    """Photos, with the fields that were asked for."""

    results: list[dict[str, Any]]
    total: int
    offset: int | None = None
    continuationToken: str | None = Field(None, description="Where there are more.")


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


def answered_by(model: type[BaseModel]) -> Responses:
    """What a route takes as `responses`, beside the failures that all share."""
    return {200: {"model": model, "description": model.__doc__ or ""}}
