"""`/model/*` and `/start/*`: which networks are in memory."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, Field

from atrous.server.authentication import needs
from atrous.server.errors import json_response
from atrous.server.inference.answer_schemas import Registry, Started, answers_with
from atrous.server.inference.responses import registry_body
from atrous.server.json_bodies import JsonRoute
from atrous.server.request_lifetime import waiting_for_load
from atrous.server.services import key_of, services_of

router = APIRouter(tags=["models"], route_class=JsonRoute)
registry_router = APIRouter(tags=["models"])  # of the one route that can be switched off
LISTED = answers_with(Registry, "The networks in memory.")
Infer = Depends(needs("infer"))
# The official client sends no key with remove and clear unless it is told to use headers
# (`api_key_transport="both"`). They need one all the same: whoever may drop networks from memory
# can make every request slow.
Admin = Depends(needs("admin"))


class ModelRequest(BaseModel):
    """A model by its id."""

    model_id: str = Field(description="As `shapes/1`.", max_length=200, examples=["shapes/1"])
    api_key: str | None = Field(None, description="Unless it is in the header or the query.")


@registry_router.get(
    "/model/registry",
    summary="List the networks in memory",
    dependencies=[Infer],
    responses=LISTED,
)
async def list_models(request: Request) -> Response:
    """Answer with the loaded models.

    `task_type` is what the official client needs to hear before it sends pictures in its default
    mode; `true_task_type` is the truth.
    """
    return await _registry(request)


@router.post("/model/add", summary="Load a network", dependencies=[Infer], responses=LISTED)
async def add_model(request: Request, wanted: Annotated[ModelRequest, Body()]) -> Response:
    """Load a model, if it is not in memory, and answer with the loaded models."""
    request.state.model_id = wanted.model_id
    with waiting_for_load(request):
        await services_of(request).load_any(wanted.model_id, key_of(request))
    return await _registry(request)


@router.post(
    "/model/remove",
    summary="Drop a network from memory",
    dependencies=[Admin],
    responses=LISTED,
)
async def remove_model(request: Request, wanted: Annotated[ModelRequest, Body()]) -> Response:
    """Unload a model, which stays published; one that is not loaded is no error."""
    services = services_of(request)
    await services.look_up(lambda: services.drop(wanted.model_id, key_of(request)))
    return await _registry(request)


@router.post(
    "/model/clear",
    summary="Drop all networks from memory",
    dependencies=[Admin],
    responses=LISTED,
)
async def clear_models(request: Request) -> Response:
    """Unload all models. The body is ignored."""
    services = services_of(request)
    await services.look_up(partial(services.drop_all, key_of(request)))
    return await _registry(request)


@router.get(
    "/clear_cache",
    summary="Drop all networks from memory",
    dependencies=[Admin],
    responses=answers_with(str),
)
async def clear_cache(request: Request) -> Response:
    """Unload all models; an old name of `/model/clear`."""
    services = services_of(request)
    await services.look_up(partial(services.drop_all, key_of(request)))
    return json_response("Cache Cleared")


@router.get(
    "/start/{project}/{version}",
    summary="Load a network",
    dependencies=[Infer],
    responses=answers_with(Started),
)
async def start_model(request: Request, project: str, version: str) -> Response:
    """Load a model before the first picture comes."""
    request.state.model_id = f"{project}/{version}"
    with waiting_for_load(request):
        await services_of(request).load_any(request.state.model_id, key_of(request))
    return json_response({"status": 200, "message": "inference session started from local memory."})


async def _registry(request: Request) -> Response:
    services = services_of(request)
    return json_response(
        registry_body(await services.look_up(partial(services.described, key_of(request))))
    )
