"""`POST /infer/semantic_segmentation`: pictures and model in a JSON body."""

import math
import uuid
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, Field, field_validator

from atrous.domain.errors import BadRequest
from atrous.server.authentication import needs
from atrous.server.errors import json_response
from atrous.server.image_input import DeclaredImage, read_declared
from atrous.server.inference.answer_schemas import Segmentation, answers_with
from atrous.server.inference.confidence import OMITTED, Named
from atrous.server.inference.segmentation import Skipped, Wishes, fetch_picture, segment
from atrous.server.json_bodies import JsonRoute
from atrous.server.request_lifetime import waiting_for_load
from atrous.server.services import key_of, services_of

router = APIRouter(
    prefix="/infer",
    tags=["inference"],
    dependencies=[Depends(needs("infer"))],
    route_class=JsonRoute,
)

ANSWERS = answers_with(
    Segmentation | list[Segmentation], "The masks of one picture, or of each of an array."
)


class ImageField(BaseModel):
    """One picture."""

    type: str = Field(description="`base64` or `url`.", max_length=100)
    value: Any = Field(None, description="The base64 text, or the URL.")


class SegmentationRequest(BaseModel):
    """What to segment, and with which model. Fields that are not listed are ignored."""

    model_id: str = Field(description="As `shapes/1`.", max_length=200, examples=["shapes/1"])
    image: ImageField | list[ImageField] = Field(
        description="One picture, answered by an object, or an array, answered by an array.",
        examples=[{"type": "base64", "value": "/9j/4AAQSkZJRg..."}],
    )
    api_key: str | None = Field(None, description="Unless it is in the header or the query.")
    confidence: float | Named = Field(
        OMITTED,
        description="0 to 1: pixels whose best class is less probable become background; or "
        "`best` or `default` for the model's own.",
    )
    disable_preproc_auto_orient: bool | None = False
    disable_preproc_contrast: bool | None = False
    disable_preproc_grayscale: bool | None = False
    disable_preproc_static_crop: bool | None = False
    response_mask_format: Literal["base64_png", "numpy"] = Field(
        "base64_png", description="Masks are PNG files in base64 whichever is given."
    )
    id: str | None = Field(None, description="Comes back as `inference_id`.", max_length=200)

    @field_validator("confidence")
    @classmethod
    def _finite(cls, value: float | Named) -> float | Named:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("confidence must be a finite number")
        return value


@router.post("/semantic_segmentation", summary="Segment pictures", responses=ANSWERS)
@router.post(
    "/instance_segmentation",
    summary="Segment pictures (the same; here the official client comes in its default mode)",
    responses=ANSWERS,
)
async def segment_pictures(
    request: Request, wanted: Annotated[SegmentationRequest, Body()]
) -> Response:
    """Answer with a mask per picture, each of the picture's own size."""
    services = services_of(request)
    images = wanted.image if isinstance(wanted.image, list) else [wanted.image]
    limit = services.settings.max_batch_size
    if not 1 <= len(images) <= limit:
        raise BadRequest(f"{len(images)} images were sent; send 1 to {limit} in one request")
    wishes = Wishes(
        confidence=wanted.confidence,
        inference_id=wanted.id or str(uuid.uuid4()),
        skipped=Skipped(
            auto_orient=bool(wanted.disable_preproc_auto_orient),
            contrast=bool(wanted.disable_preproc_contrast),
            grayscale=bool(wanted.disable_preproc_grayscale),
            static_crop=bool(wanted.disable_preproc_static_crop),
        ),
    )
    request.state.model_id = wanted.model_id
    answers = []
    with services.work.place(wanted.model_id):
        with waiting_for_load(request):
            segmenter = await services.load_model(wanted.model_id, key_of(request))
        for image in images:
            with services.waiting_bytes.account() as hold:
                fetch = partial(fetch_picture, services, hold=hold)
                sent = await read_declared(DeclaredImage(image.type, image.value), fetch)
                work = partial(segment, services, segmenter, sent, wishes)
                answers.append((await services.work.run(wanted.model_id, work)).body)
    return json_response(answers if isinstance(wanted.image, list) else answers[0])
