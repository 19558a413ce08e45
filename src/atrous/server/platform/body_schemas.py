"""What JSON bodies of the platform look like, for the OpenAPI document; the routes read them.

Fields that are not listed are ignored. A field that may be left out may be null as well.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

from atrous.server.described_bodies import OpenApi

Steps = dict[str, Any]
MAX_NUMBER = 10**9 - 1


class PlatformBody(BaseModel):
    """What every body may hold."""

    api_key: str | None = Field(None, description="Unless it is in the header or the query.")


class ProjectBody(PlatformBody):
    """A project to create."""

    name: str = Field(examples=["Roads"])
    type: str | None = Field("semantic-segmentation", description="No other one is offered.")
    license: str | None = None
    annotation: str | None = Field(None, description="The name of the group of its classes.")


class AnnotationBody(PlatformBody):
    """A label of one photo."""

    annotationFile: str = Field(
        description="The text of a COCO, LabelMe, VOC, CVAT or YOLO file.",
        examples=['{"images": [], "annotations": [], "categories": []}'],
    )
    labelmap: dict[str, Any] | None = Field(
        None, description="Names by class number, for YOLO's format."
    )


class ZipBody(PlatformBody):
    """What holds for all photos of a zip."""

    split: str | None = Field(None, description="train, valid or test; else the zip's own.")
    tags: list[str] | None = None
    batchName: str | None = None
    annotationOverwrite: bool = False


class VersionBody(PlatformBody):
    """How the pictures of a version are made."""

    preprocessing: Steps | None = Field(
        None, examples=[{"resize": {"width": 512, "height": 512, "format": "Stretch to"}}]
    )
    augmentation: Steps | None = Field(None, examples=[{"flip": {"horizontal": True}}])
    versionName: str | None = None
    seed: int = Field(0, ge=0, lt=2**31, description="Not given, it is drawn.")


class SearchBody(PlatformBody):
    """Which photos of a project."""

    prompt: str | None = Field(None, description="A part of the name.")
    tag: str | None = None
    class_name: str | None = None
    in_dataset: bool | None = None
    batch_id: str | None = None
    annotation_job: bool | None = Field(None, description="True finds nothing: there are none.")
    annotation_job_id: str | None = Field(None, description="Finds nothing, whatever it is.")
    mediaTypes: list[str] | None = Field(None, description="Without `image` nothing is found.")
    offset: int | None = Field(None, ge=0, le=10**9)
    limit: int | None = Field(None, ge=0, le=250)
    fields: list[str] | None = Field(None, description="Of each result.")


class WorkspaceSearchBody(PlatformBody):
    """Which photos of a workspace."""

    query: str = Field(
        description="`project:` is needed; `tag:`, `class:` and `split:`, and a part of the name.",
        examples=["project:roads tag:rain", "project:roads *"],
    )
    pageSize: int | None = Field(None, ge=0, le=250)
    mediaTypes: list[str] | None = Field(None, description="Without `image` nothing is found.")
    fields: list[str] | None = None
    continuationToken: str | None = Field(None, description="Of the page before.")


class SearchExportBody(PlatformBody):
    """Which photos to export, and how."""

    query: str = Field(
        description="As for `/search/v1`; `project:` is not needed in a workspace of one project.",
        examples=["project:roads tag:rain", "*"],
    )
    format: str | None = Field(None, description="Of exports; coco where it is not given.")
    dataset: str | None = Field(None, description="The project's slug.")
    annotationGroup: str | None = Field(None, description="Of a project, instead of `dataset`.")
    name: str | None = Field(None, max_length=200, description="What the zip is called.")


class PhotosBody(PlatformBody):
    """Which photos to remove."""

    images: list[str] | None = Field(None, max_length=10_000, description="Their ids.")


class MetadataBody(PlatformBody):
    """What to change about a photo."""

    metadata: dict[str, Any] | None = None
    removeMetadata: list[str] | None = None
    addTags: list[str] | None = None
    removeTags: list[str] | None = None


class ManyMetadataBody(PlatformBody):
    """What to change about photos."""

    updates: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=1000,
        description="Of each photo its `imageId`, and what the route for one photo reads.",
        examples=[[{"imageId": "4f1c", "addTags": ["rain"]}]],
    )


class TrainingBody(PlatformBody):
    """A training to queue."""

    modelType: str | None = Field(None, description="deeplabv3plus or deeplabv3.")
    epochs: int | None = Field(None, ge=1, le=100_000)
    checkpoint: str | None = Field(None, description="The id of a model to start from.")
    trainRecipe: dict[str, Any] | None = Field(
        None,
        description="`hyperparameters`, as `/v2/trainings/recipe` lists them.",
        examples=[{"hyperparameters": {"learning_rate": 0.01}}],
    )


class JobBody(TrainingBody):
    """The same, with the version."""

    version: int | str = Field(description="Its number.", examples=[1])


class EndingBody(PlatformBody):
    """Which training to end."""

    trainingId: str | None = Field(None, description="Not needed where one alone runs.")


class EvaluationBody(PlatformBody):
    """Which model to evaluate."""

    project: str = Field(examples=["roads"])
    version: int | None = Field(1, ge=0, le=MAX_NUMBER)
    trainingId: str | None = Field(None, description="Where the version has several.")


class RestoreBody(PlatformBody):
    """What to take out of the trash."""

    type: Literal["project", "version", "training"]
    id: str | int = Field(description="As the trash lists it.")
    parentId: str | None = Field(None, description="Of a version: its project.")


# Parts of the form that a photo is uploaded in, beside the photo; the query may hold the same.
UPLOAD_PARTS: OpenApi = {
    "name": {"type": "string"},
    "split": {"type": "string", "enum": ["train", "valid", "test"]},
    "batch": {"type": "string"},
    "metadata": {"type": "string", "description": "A JSON object."},
}
