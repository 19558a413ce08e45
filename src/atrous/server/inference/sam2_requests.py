"""The JSON bodies of the SAM 2 routes, field by field as clients send them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from atrous.server.inference.json_routes import ImageField

Number = Annotated[float, Field(allow_inf_nan=False)]
MAX_PROMPTS = 256
MAX_POINTS = 100  # of one prompt
NO_PHOTO = "send `image`, or the `image_id` of a photo that was embedded"


class BoxField(BaseModel):
    """A box by its centre, in pixels of the photo."""

    x: Number = Field(description="Of the centre.")
    y: Number = Field(description="Of the centre.")
    width: Number = Field(gt=0)
    height: Number = Field(gt=0)


class PointField(BaseModel):
    """A click, in pixels of the photo."""

    x: Number
    y: Number
    positive: bool = Field(description="On the object, or on what does not belong to it.")


class PromptField(BaseModel):
    """What is said about one object; each prompt is answered by one prediction."""

    box: BoxField | None = None
    points: list[PointField] | None = Field(None, max_length=MAX_POINTS)
    mask_input: Any = Field(
        None,
        description="Logits of an earlier mask, to refine: 256 rows of 256 numbers, or base64 of "
        "these as float32 or float16, little-endian.",
    )


def list_prompts(sent: Any) -> Any:
    """Bring the ways in which clients write prompts to one: a list.

    >>> list_prompts({"prompts": [{}]}), list_prompts({"box": 1}), list_prompts(None)
    ([{}], [{'box': 1}], [])
    """
    if isinstance(sent, dict) and "prompts" in sent:
        sent = sent["prompts"]
    if isinstance(sent, dict):
        return [sent] if sent else []
    return [] if sent is None else sent


class PhotoRequest(BaseModel):
    """Which photo, and which model."""

    image: ImageField | None = Field(
        None,
        description="The photo; not needed with the `image_id` of one that was embedded.",
        examples=[{"type": "base64", "value": "/9j/4AAQSkZJRg..."}],
    )
    image_id: str | None = Field(
        None,
        description="A name for the photo, by which it is found again. Not given, it is found by "
        "its content.",
        max_length=500,
    )
    sam2_version_id: str | None = Field(
        None,
        description="`hiera_tiny`, `hiera_small`, `hiera_b_plus` or `hiera_large`, the newest "
        "version there or with `-2.0` or `-2.1` behind.",
        max_length=100,
        examples=["hiera_tiny"],
    )
    model_id: str | None = Field(
        None, description="Read where `sam2_version_id` is not given, as `sam2/hiera_tiny`."
    )
    api_key: str | None = Field(None, description="Unless it is in the header or the query.")
    refuse_reused_image_id: bool | None = Field(
        None,
        description="Answer 409 where the `image_id` is that of another photo. Otherwise the photo "
        "that had it first is meant, and the one that was sent is not looked at.",
    )

    @model_validator(mode="after")
    def _some_photo(self) -> "PhotoRequest":
        if self.image is None and not self.image_id:
            raise ValueError(NO_PHOTO)
        return self


class EmbedRequest(PhotoRequest):
    """A photo to embed."""


class MaskRequest(PhotoRequest):
    """How masks are to be written."""

    tolerance: Number = Field(
        0.0, description="Of polygons: how many pixels an outline may be off.", ge=0, le=1000
    )
    holes: bool = Field(
        False, description="Of polygons: give the outlines of holes, and parts within holes, too."
    )


class SegmentRequest(MaskRequest):
    """Prompts about one photo. Fields that are not listed are ignored."""

    format: Literal["json", "rle", "binary", "png"] = Field(
        "json",
        description="`json`: polygons; `rle`: COCO; `png`: base64 of PNG, 255 on the object; "
        "`binary`: NumPy's npz with logits, instead of JSON.",
    )
    prompts: Annotated[list[PromptField], BeforeValidator(list_prompts)] = Field(
        default_factory=list,
        max_length=MAX_PROMPTS,
        description='`{"prompts": [...]}`, or the list, or a single prompt. Without any, the most '
        "prominent object is meant.",
        examples=[[{"points": [{"x": 300, "y": 250, "positive": True}]}]],
    )
    mask_input: Any = Field(
        None, description="As in a prompt, for the only prompt, or an array of them for all."
    )
    multimask_output: bool = Field(
        True, description="Choose from three masks, by their predicted IoU; else take the one."
    )
    all_masks: bool = Field(
        False, description="Give all masks of each prompt in `candidates`, with their scores."
    )
    low_res: bool = Field(
        False,
        description="Make masks from a grid of 256x256 over the photo: quicker, for previews. "
        "`rle` and `png` are of that size, polygons are in pixels of the photo.",
    )
    save_logits_to_cache: bool = Field(
        False, description="Keep the masks for later prompts that say more about the same object."
    )
    load_logits_from_cache: bool = Field(False, description="Start from such masks.")


class AutoRequest(MaskRequest):
    """How to look for all objects of a photo; the defaults are those of SAM 2's generator."""

    format: Literal["json", "rle", "png"] = "json"
    points_per_side: int = Field(32, ge=1, le=64)
    pred_iou_thresh: Number = Field(0.8, ge=-10, le=10)
    stability_score_thresh: Number = Field(0.95, ge=0, le=1)
    stability_score_offset: Number = Field(1.0, ge=0, le=100)
    box_nms_thresh: Number = Field(0.7, ge=0, le=1)
    crop_n_layers: int = Field(0, ge=0, le=2)
    crop_nms_thresh: Number = Field(0.7, ge=0, le=1)
    crop_overlap_ratio: Number = Field(512 / 1500, ge=0, lt=1)
    crop_n_points_downscale_factor: int = Field(1, ge=1, le=8)
    min_mask_region_area: int = Field(
        0,
        description="Pixels: smaller holes in masks are filled, smaller islands left out.",
        ge=0,
        le=1_000_000_000,
    )
