"""What answers look like, for the OpenAPI document; `responses.py` builds the bodies themselves."""

from typing import Any

from pydantic import BaseModel, Field

PNG = "A PNG in base64, 8-bit greyscale, of the picture's own size: "


class PictureSize(BaseModel):
    """Pixels of the picture, turned as its EXIF data says."""

    width: int
    height: int


class Masks(BaseModel):
    """Which class each pixel has."""

    segmentation_mask: str = Field(description=PNG + "class ids.")
    class_map: dict[str, str] = Field(description="Names of all the model's classes, by id.")
    confidence_mask: str = Field(description=PNG + "the class's probability times 255.")
    present_class_ids: list[int] = Field(description="The ids that occur, ascending.")


class Segmentation(BaseModel):
    """The answer for one picture."""

    inference_id: str
    time: float = Field(description="Seconds for decoding, predicting and encoding.")
    image: PictureSize
    predictions: Masks


class HostedSegmentation(Segmentation):
    """The same, with what the hosted API has at the top level."""

    segmentation_mask: str = Field(description="As in `predictions`.")
    class_map: dict[str, str] = Field(description="As in `predictions`.")
    visualization: str | None = Field(
        None, description="A JPEG in base64, with `format=image_and_json` alone."
    )


class LoadedModel(BaseModel):
    """A network in memory."""

    model_id: str
    task_type: str = Field(description="What the official client needs to hear.")
    true_task_type: str
    batch_size: int | None
    input_height: int | None
    input_width: int | None
    vram_bytes: int | None
    request_aliases: list[str] | None
    request_paths: list[str] | None
    engine: str = Field(description="`openvino` or `onnxruntime`.")
    device: str = Field(description="`cpu`, `cuda` or `tensorrt`.")
    precision: str = Field(description="What it computes in, as `bf16`.")


class Registry(BaseModel):
    """The networks in memory."""

    models: list[LoadedModel]
    total_vram_bytes: int | None
    gpu_memory_used: int | None
    gpu_memory_total: int | None
    torch_cuda_allocated: int | None
    torch_cuda_reserved: int | None
    torch_cuda_allocator_cache: int | None
    non_torch_gpu_memory: int | None


class Started(BaseModel):
    """A model was loaded."""

    status: int
    message: str


class ServerInfo(BaseModel):
    """Which server this is."""

    name: str
    version: str
    uuid: str = Field(description="New with every start.")


class Status(BaseModel):
    """How the server is."""

    status: str


class Failure(BaseModel):
    """Every failure."""

    message: str


class Refusal(Failure):
    """A wrong key, or one without the scope."""

    Message: str = Field(description="The same, as the hosted API writes it.")


class Fault(BaseModel):
    """One field that is wrong."""

    type: str
    loc: list[str]
    msg: str


class Invalid(Failure):
    """Fields that are missing or of the wrong type."""

    detail: list[Fault]


def answers_with(model: Any, description: str = "Done.", **media: Any) -> dict[int | str, Any]:
    """Describe a route's answers: this one on success, and the failures that all share."""
    failures: dict[int | str, str] = {
        400: "Not usable.",
        404: "Not there.",
        409: "In conflict with what is there.",
        408: "The body did not arrive in time.",
        413: "Too large.",
        429: "Too much at once.",
        "5XX": "Not ready, stopping or too slow; or the model's package is broken.",
    }
    return {
        200: {"model": model, "description": description, **media},
        **{status: {"model": Failure, "description": text} for status, text in failures.items()},
        401: {"model": Failure, "description": "No key."},
        403: {"model": Refusal, "description": "A wrong key, or one without the scope."},
        422: {"model": Invalid, "description": "A field is missing or of the wrong type."},
    }
