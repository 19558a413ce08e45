"""What answers about trainings and models look like, for the OpenAPI document.

`training_descriptions.py`, `training_recipes.py` and `served_models.py` build the bodies; a field
with a default may be left out.
"""

from typing import Any

from pydantic import BaseModel, Field


class Score(BaseModel):
    """The best mean IoU on the validation split."""

    mIoU: float | None


class Epoch(BaseModel):
    """An epoch, under the names that clients of several tasks know."""

    epoch: int
    mAP: float = Field(description="The same as mIoU.")
    mIoU: float
    class_loss: float
    box_loss: int = Field(description="0: there are no boxes.")
    obj_loss: int = Field(description="0, for the same reason.")


class EpochList(BaseModel):
    """The epochs that are done, and the one in work."""

    epochs: list[Epoch]


class VersionModel(BaseModel):
    """A model of a version."""

    id: str = Field(description="As predictions name it.")
    endpoint: str
    map: str = Field(description="The mean IoU in percent, as text.")
    mIoU: float | None
    modelType: str


class NewestTraining(BaseModel):
    """How the last training of a version stands."""

    status: str = Field(description="training, finished or failed.")
    progress: float | None = Field(None, description="0 to 1, while it runs.")
    results: Score | None = None
    model: VersionModel | None = None
    error: str | None = None


class TrainingFacts(BaseModel):
    """What every answer about a training says."""

    id: str
    trainingId: str = Field(description="The same.")
    status: str = Field(description="training, finished or failed.")
    state: str = Field(description="queued, running, finished, failed or cancelled.")
    jobType: str
    modelType: str
    modelGroup: None
    modelIds: list[str]
    error: str | None = None


class Training(TrainingFacts):
    """A training, as lists show it."""

    versionId: str
    number: int = Field(description="Of those on the version, from 1.")
    requestedStop: bool
    start: float = Field(description="Seconds since 1970.")
    end: float | None
    progress: float = Field(description="0 to 1.")


class QueuedTraining(Training):
    """A training in the queue."""

    jobId: str


class Trainings(BaseModel):
    """The trainings of a version, oldest first."""

    trainings: list[Training]


class TrainedModel(BaseModel):
    """A model that came of a training."""

    modelId: str
    modelType: str
    metrics: Score


class TrainingResults(TrainingFacts):
    """A training with its epochs and models."""

    modelCount: int
    models: list[TrainedModel]
    epochs: list[Epoch]


class TrainingPutAway(BaseModel):
    """The training is in the trash."""

    deleted: bool
    type: str
    trash: bool
    trainingId: str
    versionAliasAction: str = Field(
        description="What became of `project/version`: unchanged, repointed or deleted."
    )
    versionAliasModel: str | None = Field(description="The slug of the model that it means now.")


class Hyperparameter(BaseModel):
    """What a recipe may set."""

    type: str = Field(description="integer, number or string.")
    minimum: float | None = None
    maximum: float | None = None
    default: Any = Field(description="Null: chosen for the data set.")


class RecipeSchema(BaseModel):
    """What a recipe may hold."""

    hyperparameters: dict[str, Hyperparameter]


class RecipeTemplate(BaseModel):
    """A recipe of the defaults, to change and send."""

    modelType: str
    hyperparameters: dict[str, Any]


class RecipeAnswer(BaseModel):
    """The hyperparameters with their bounds."""

    modelType: str
    recipe_schema: RecipeSchema = Field(serialization_alias="schema")
    template: RecipeTemplate


class Model(BaseModel):
    """A model, as lists show it."""

    id: str = Field(description="As predictions name it.")
    modelId: str = Field(description="The same.")
    url: str = Field(description="`workspace/slug`, which names it as well.")
    slug: str
    version: str
    modelType: str
    trainingId: str | None
    endpoint: str
    classes: list[str]
    created: float = Field(description="Seconds since 1970.")
    metrics: Score


class OneModel(BaseModel):
    """One of them."""

    model: Model


class WeightsLink(BaseModel):
    """Where a model's weights are."""

    weightsUrl: str = Field(description="Signed: it needs no key until it expires.")


class ModelLink(BaseModel):
    """Where a model goes."""

    url: str = Field(description="Takes the zip of a package by PUT, without a key.")
    signedUrl: str = Field(description="The same.")


class ReceivedModel(BaseModel):
    """A package that came whole; the worker checks it."""

    success: bool
    trainingId: str
    number: int = Field(description="Of the version's trainings.")
