"""What answers of the SAM 2 routes look like, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from atrous.server.inference.answer_schemas import PictureSize

NPZ: dict[str, Any] = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
}
Polygon = list[list[int]]


class RunLengths(BaseModel):
    """A mask in COCO's compressed run-length encoding."""

    size: list[int] = Field(description="Height and width.")
    counts: str


class EmbeddedAnswer(BaseModel):
    """A photo is embedded."""

    image_id: str = Field(description="By which prompts find it without the photo.")
    time: float = Field(description="Seconds.")


class MaskAnswer(BaseModel):
    """One mask."""

    masks: list[Polygon] | RunLengths | str = Field(
        description="Polygons of x and y in pixels of the photo, a single empty one for an empty "
        "mask; or run lengths; or a PNG in base64, 255 on the object."
    )
    confidence: float = Field(description="The IoU that the model predicts.")
    format: Literal["polygon", "rle", "png"]
    holes: list[list[Polygon]] | None = Field(
        None, description="With `holes` alone: those of each polygon in `masks`."
    )


class PromptAnswer(MaskAnswer):
    """The best mask for one prompt."""

    candidates: list[MaskAnswer] | None = Field(None, description="With `all_masks` alone.")


class FoundAnswer(MaskAnswer):
    """One object of a search."""

    stability_score: float
    area: int = Field(description="Pixels of the mask.")
    bbox: list[int] = Field(description="Left, top, width, height; to the last pixels.")
    point_coords: list[list[float]] = Field(description="The grid point that found it.")
    crop_box: list[int] = Field(description="What was looked at: left, top, width, height.")


class _Answer(BaseModel):
    time: float = Field(description="Seconds.")
    image_id: str = Field(description="By which prompts find the photo again.")
    image: PictureSize


class MasksAnswer(_Answer):
    """A prediction for each prompt, in their order."""

    predictions: list[PromptAnswer]


class FoundMasksAnswer(_Answer):
    """The objects of a photo."""

    predictions: list[FoundAnswer]
