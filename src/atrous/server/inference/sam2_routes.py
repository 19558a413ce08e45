"""`/sam2/*`: embed a photo once, prompt it many times."""

import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from atrous.server.authentication import needs
from atrous.server.errors import json_response
from atrous.server.inference.answer_schemas import answers_with
from atrous.server.inference.sam2_answer_schemas import (
    NPZ,
    EmbeddedAnswer,
    FoundMasksAnswer,
    MasksAnswer,
)
from atrous.server.inference.sam2_photos import EmbeddedPhoto, PhotoFinder
from atrous.server.inference.sam2_requests import (
    AutoRequest,
    EmbedRequest,
    PhotoRequest,
    SegmentRequest,
)
from atrous.server.inference.sam2_search import read_settings, search_photo
from atrous.server.inference.sam2_segmentation import segment_prompts
from atrous.server.json_bodies import JsonRoute
from atrous.server.loaded_sam2 import PREFIX, is_sam2
from atrous.server.request_lifetime import waiting_for_load
from atrous.server.services import Services, services_of

router = APIRouter(
    prefix="/sam2",
    tags=["sam2"],
    dependencies=[Depends(needs("infer"))],
    route_class=JsonRoute,
)


@router.post(
    "/embed_image",
    summary="Embed a photo, so that prompts are answered at once",
    responses=answers_with(EmbeddedAnswer),
)
async def embed_image(request: Request, wanted: Annotated[EmbedRequest, Body()]) -> Response:
    """Answer when the photo is embedded, with the id by which prompts find it."""
    start = time.perf_counter()
    finder = await _finder(request, wanted)
    photo = await finder.find(wanted)
    return json_response({"image_id": photo.image_id, "time": time.perf_counter() - start})


@router.post(
    "/segment_image",
    summary="Give the masks that prompts mean",
    responses=answers_with(
        MasksAnswer, "The masks, as NumPy's npz for the format `binary`.", content=NPZ
    ),
)
async def segment_image(request: Request, wanted: Annotated[SegmentRequest, Body()]) -> Response:
    """Answer with one prediction per prompt, in their order."""
    start = time.perf_counter()
    services = services_of(request)
    finder = await _finder(request, wanted)
    photo = await finder.find(wanted)
    with services.sam2.decoders.place(finder.owner):
        work = partial(segment_prompts, services, finder.segmenter, photo, wanted)
        answer = await services.sam2.decoders.run(photo.key, work)
    if isinstance(answer, bytes):
        return Response(answer, media_type="application/octet-stream")
    return json_response(_body(photo, answer, start))


@router.post(
    "/auto",
    summary="Give the masks of all objects of a photo",
    responses=answers_with(FoundMasksAnswer),
)
async def find_all(request: Request, wanted: Annotated[AutoRequest, Body()]) -> Response:
    """Answer with one prediction per object that the model is sure of."""
    start = time.perf_counter()
    services = services_of(request)
    read_settings(wanted)  # refused before the photo is encoded
    finder = await _finder(request, wanted)
    photo = await finder.find(wanted)
    with services.sam2.searchers.place(finder.owner), services.waiting_bytes.account() as hold:
        file_bytes = await finder.read(wanted, photo, hold) if wanted.crop_n_layers else None
        work = partial(search_photo, services, finder.segmenter, photo, file_bytes, wanted)
        predictions = await services.sam2.searchers.run(finder.owner, work)
    return json_response(_body(photo, predictions, start))


async def _finder(request: Request, wanted: PhotoRequest) -> PhotoFinder:
    services = services_of(request)
    name = _model_name(wanted, services)
    request.state.model_id = PREFIX + name
    with waiting_for_load(request):
        segmenter = await services.sam2.load(name)
    return PhotoFinder(services, segmenter, await _workspace_id(request))


def _model_name(wanted: PhotoRequest, services: Services) -> str:
    named = wanted.sam2_version_id
    if not named and wanted.model_id and is_sam2(wanted.model_id):
        named = wanted.model_id
    return (named or services.settings.sam2_version_id).removeprefix(PREFIX)


async def _workspace_id(request: Request) -> str:
    """Whose key this is; without keys, all is the default workspace's."""
    if request.state.api_key is not None:
        return str(request.state.api_key.workspace_id)
    services = services_of(request)
    return await services.look_up(lambda: services.store.workspaces.default().id)


def _body(photo: EmbeddedPhoto, predictions: list[dict[str, Any]], start: float) -> dict[str, Any]:
    size = photo.embedding.photo_size
    return {
        "predictions": predictions,
        "time": time.perf_counter() - start,
        "image_id": photo.image_id,
        "image": {"width": size.width, "height": size.height},
    }
