"""What answers about evaluations look like, for the OpenAPI document.

`evaluation_descriptions.py` builds the bodies; a field with a default may be left out, and a figure
is null where none is defined.
"""

from typing import Any

from pydantic import BaseModel, Field

from atrous.server.platform.answer_schemas import Responses
from atrous.server.platform.routing import PlatformFailure

Figure = float | None
OF_SPLIT = Field(description="Of which split.")


class Means(BaseModel):
    """Figures of a split, 0 to 1."""

    mIoU: Figure
    pixelAccuracy: Figure
    precision: Figure = Field(description="The mean over the classes, as the two below.")
    recall: Figure
    f1: Figure


class Summary(Means):
    """The figures of the test split, or of what there is."""

    mAP: None = Field(description="Null: it is no figure of segmentation.")
    split: str


class Evaluation(BaseModel):
    """An evaluation, with its summary once it is done."""

    evalId: str
    status: str = Field(description="running, done or failed.")
    project: str
    versionId: str
    modelId: str = Field(description="`workspace/slug`.")
    slug: str
    modelType: str
    trainingId: str
    createdAt: str
    error: str | None = None
    summary: Summary | None = None


class Evaluations(BaseModel):
    """Evaluations, newest first."""

    evals: list[Evaluation]


class ComparedMetrics(BaseModel):
    """What models are compared by."""

    mIoU: Figure
    precision: Figure
    recall: Figure
    f1: Figure


class ComparedModel(BaseModel):
    """A model among those of a version."""

    modelId: str
    modelType: str
    evalId: str
    metrics: ComparedMetrics
    medianLatencyMs: None = Field(description="Null: latency is not measured.")
    onFrontier: bool = Field(description="True for the best by the metric.")
    exclusionReason: None


class Comparison(BaseModel):
    """The newest figures of each model of a version."""

    frontierMetric: str
    models: list[ComparedModel]


class ClassFigures(BaseModel):
    """The figures of one class."""

    className: str
    iou: Figure
    precision: Figure
    recall: Figure
    f1: Figure
    optimalThreshold: Figure
    boundaryIou: Figure
    pixels: int


class SplitFigures(Means):
    """The figures of a split and of its classes."""

    images: int
    classes: list[ClassFigures]


class MapResults(BaseModel):
    """`map-results`: the figures of every split."""

    taskType: str
    splits: dict[str, SplitFigures]


class SweepEntry(BaseModel):
    """The figures at one threshold."""

    confidence: float = Field(description="In percent.")
    mIoU: Figure
    precision: Figure
    recall: Figure
    f1: Figure


class ConfidenceSweep(BaseModel):
    """`confidence-sweep`: figures by threshold."""

    split: str = OF_SPLIT
    sweep: list[SweepEntry]
    optimalConfidence: Figure = Field(description="In percent.")
    optimalConfidenceByClass: dict[str, Figure] = Field(description="0 to 1.")


class PerformanceByClass(BaseModel):
    """`performance-by-class`: a row per class."""

    split: str = OF_SPLIT
    classes: list[ClassFigures]


class ConfusionMatrix(BaseModel):
    """`confusion-matrix`: pixels by true and by predicted class."""

    split: str = OF_SPLIT
    confidenceThreshold: int
    classes: list[str]
    matrix: list[list[int]] = Field(description="`matrix[truth][prediction]`.")
    unit: str


class PhotoPixels(BaseModel):
    """What was right in a photo, in pixels."""

    truePositives: int
    falsePositives: int
    falseNegatives: int


class PhotoFigures(PhotoPixels):
    """A photo, and what was right in it."""

    imageName: str
    split: str
    mIoU: Figure
    stats: PhotoPixels = Field(description="The same pixels.")
    unit: str


class ImagePredictions(BaseModel):
    """`image-predictions`: a page of photos."""

    split: str = OF_SPLIT
    confidenceThreshold: int
    total: int
    totalImages: int = Field(description="The same.")
    offset: int
    limit: int
    images: list[PhotoFigures]


class Recommendation(BaseModel):
    """What would help."""

    type: str
    className: str
    message: str


class WorstPhoto(BaseModel):
    """A photo with a low mean IoU."""

    name: str
    miou: Figure


class Recommendations(BaseModel):
    """`recommendations`: the weak classes and the worst photos."""

    split: str = OF_SPLIT
    recommendations: list[Recommendation]
    worstImages: list[WorstPhoto]


class VectorAnalysis(BaseModel):
    """`vector-analysis`: no clusters, as photos are not embedded."""

    clusters: list[Any]
    message: str


Panel = (
    MapResults
    | ConfidenceSweep
    | PerformanceByClass
    | ConfusionMatrix
    | ImagePredictions
    | Recommendations
    | VectorAnalysis
)


class EvaluationFailure(BaseModel):
    """A failure in the flat shape that clients of evaluations read."""

    error: str = Field(description="A code, as `model_eval_not_found`.")
    message: str


REFUSED_FLATLY: Responses = {
    "4XX": {
        "model": EvaluationFailure | PlatformFailure,
        "description": "Flat where the evaluation or what is asked of it is the reason.",
    }
}
