"""`POST` and `GET /{project}/{version}`: the hosted API's route, which most clients use."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import Scope

from atrous.domain.errors import BadImage, BadRequest, NotFound
from atrous.server.authentication import needs
from atrous.server.described_bodies import picture_body
from atrous.server.errors import json_response
from atrous.server.image_input import (
    EMPTY,
    NUMPY_REFUSED,
    NUMPY_TYPES,
    TYPE_REFUSED,
    SentImage,
    read_posted,
)
from atrous.server.inference.answer_schemas import HostedSegmentation, answers_with
from atrous.server.inference.confidence import of_hosted_route
from atrous.server.inference.responses import with_flat_copies
from atrous.server.inference.segmentation import Skipped, Wishes, fetch_picture, segment
from atrous.server.platform.paths import RESERVED, register_path_shapes
from atrous.server.request_lifetime import waiting_for_load
from atrous.server.services import key_of, services_of

register_path_shapes()
router = APIRouter(tags=["inference"], dependencies=[Depends(needs("infer"))])
# Nearly all requests, and no other route's: compared first, they skip the other hundred.
numbered_router = APIRouter(dependencies=[Depends(needs("infer"))], include_in_schema=False)

MAX_STROKE = 20

BODY = picture_body(
    "The picture: base64 text under any content type (line breaks, a data-URI prefix and URL-safe "
    "letters are fine), or its raw bytes, or a form with the part `file`. Not needed with "
    "`?image=URL`."
)
ANSWERS = answers_with(
    HostedSegmentation,
    "The masks; with `format=image` a JPEG of the picture with its classes drawn over it.",
    content={"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
)


def model_of(scope: Scope) -> str | None:
    """Give the model that a request of this route is for; None for requests of others."""
    project, _, version = scope["path"][1:].partition("/")
    is_here = scope["method"] in ("GET", "POST") and project not in RESERVED
    return f"{project}/{version}" if is_here and version and "/" not in version else None


async def read_skipped(
    disable_preproc_auto_orient: Annotated[
        bool, Query(description="Take the pixels as they are stored, whatever EXIF says.")
    ] = False,
    disable_preproc_contrast: bool = False,
    disable_preproc_grayscale: bool = False,
    disable_preproc_static_crop: bool = False,
) -> Skipped:
    """Collect which steps of preprocessing are left out for this picture."""
    return Skipped(
        auto_orient=disable_preproc_auto_orient,
        contrast=disable_preproc_contrast,
        grayscale=disable_preproc_grayscale,
        static_crop=disable_preproc_static_crop,
    )


async def read_wishes(
    request: Request,
    skipped: Annotated[Skipped, Depends(read_skipped)],
    confidence: Annotated[
        str | None,
        Query(
            description="Pixels whose best class is less probable become background. 0 to 1, or "
            "1 to 100 in percent (so `1` is one percent), or `best` or `default` for the "
            "model's own. Not given: 40, as on `/infer/semantic_segmentation`."
        ),
    ] = None,
    format: Annotated[
        str,
        Query(
            description="`json`; `image`: a JPEG of the picture with its classes drawn over it; "
            "`image_and_json`: JSON with that JPEG as base64 in `visualization`."
        ),
    ] = "json",
    labels: Annotated[bool, Query(description="Draw a legend with the classes' names.")] = False,
    stroke: Annotated[int, Query(description="Width of drawn contours in pixels.")] = 1,
) -> Wishes:
    """Collect the query parameters that matter; all others are ignored."""
    if not 0 <= stroke <= MAX_STROKE:
        raise BadRequest(f"stroke={stroke} can't be drawn; take 0 to {MAX_STROKE}")
    try:
        lowest = services_of(request).settings.confidence_lower_bound_oom_prevention
        threshold = of_hosted_route(confidence, lowest)
    except BadRequest as error:  # 422, as for other parameters of the wrong type
        fault = {"type": "confidence", "loc": ("query", "confidence"), "msg": str(error)}
        raise RequestValidationError([fault]) from None
    return Wishes(
        confidence=threshold,
        inference_id=str(uuid.uuid4()),
        skipped=skipped,
        draw=format in ("image", "image_and_json"),
        draw_labels=labels,
        stroke=stroke,
    )


@numbered_router.api_route("/{project:free}/{version:digits}", methods=["GET", "POST"])
@router.get("/{project}/{version}", summary="Segment one picture, given by URL", responses=ANSWERS)
@router.post(
    "/{project}/{version}",
    summary="Segment one picture",
    openapi_extra=BODY,
    responses=ANSWERS,
)
async def segment_picture(
    request: Request,
    project: str,
    version: str,
    wishes: Annotated[Wishes, Depends(read_wishes)],
    image: Annotated[
        str | None,
        Query(description="URL of the picture, instead of a body; https only by default."),
    ] = None,
    image_type: Annotated[
        str, Query(description="Of the body: `base64`, or `url` where it is the picture's URL.")
    ] = "base64",
) -> Response:
    """Answer with the mask in both shapes that clients know: at the top level, as the hosted API
    documents it, and under `predictions`, as inference servers send it.
    """
    if project in RESERVED:
        raise NotFound(f"{project} is not a project")
    services = services_of(request)
    model_id = f"{project}/{version}"
    request.state.model_id = model_id
    with services.work.place(model_id), services.waiting_bytes.account() as hold:
        with waiting_for_load(request):
            segmenter = await services.load_model(model_id, key_of(request))
        sent = await _read_picture(request, image, image_type, hold)
        work = partial(segment, services, segmenter, sent, wishes)
        answer = await services.work.run(model_id, work)
    if request.query_params.get("format") == "image":
        return Response(answer.overlay, media_type="image/jpeg")
    return json_response(with_flat_copies(answer.body))


async def _read_picture(
    request: Request, url: str | None, image_type: str, hold: Callable[[int], None]
) -> SentImage:
    services, kind = services_of(request), image_type.lower()
    if url:
        await request.body()  # some clients post the URL once more; nothing is read from it
        return await fetch_picture(services, url, hold)
    if kind == "url":
        text = (await request.body()).decode("utf-8", "replace").strip()
        if not text:
            raise BadImage(EMPTY)
        return await fetch_picture(services, text, hold)
    if kind in NUMPY_TYPES:
        raise BadImage(NUMPY_REFUSED)
    if kind not in ("base64", "multipart"):
        raise BadImage(TYPE_REFUSED)
    return await read_posted(request)
