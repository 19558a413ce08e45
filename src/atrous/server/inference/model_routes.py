"""`/model/*` and `/start/*`: which networks are in memory."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, Field

from atrous.server.authentication import needs
from atrous.server.errors import json_response
from atrous.server.inference.responses import registry_body
from atrous.server.services import services_of

router = APIRouter(tags=["models"])
Infer = Depends(needs("infer"))
# The official client sends no key with remove and clear unless it is told to use headers
# (`api_key_transport="both"`). They need one all the same: whoever may drop networks from memory
# can make every request slow.
Admin = Depends(needs("admin"))


class ModelRequest(BaseModel):
    """A model by its id."""

    model_id: str = Field(description="As `shapes/1`.", max_length=200)
    api_key: str | None = Field(None, description="Unless it is in the header or the query.")


@router.get("/model/registry", summary="List the networks in memory", dependencies=[Infer])
async def list_models(request: Request) -> Response:
    """Answer with the loaded models.

    `task_type` is what the official client needs to hear before it sends pictures in its default
    mode; `true_task_type` is the truth.
    """
    return await _registry(request)


@router.post("/model/add", summary="Load a network", dependencies=[Infer])
async def add_model(request: Request, wanted: Annotated[ModelRequest, Body()]) -> Response:
    """Load a model, if it is not in memory, and answer with the loaded models."""
    await services_of(request).load_model(wanted.model_id)
    return await _registry(request)


@router.post("/model/remove", summary="Drop a network from memory", dependencies=[Admin])
async def remove_model(request: Request, wanted: Annotated[ModelRequest, Body()]) -> Response:
    """Unload a model, which stays published; one that is not loaded is no error."""
    services = services_of(request)
    await services.look_up(lambda: services.models.remove(wanted.model_id))
    return await _registry(request)


@router.post("/model/clear", summary="Drop all networks from memory", dependencies=[Admin])
async def clear_models(request: Request) -> Response:
    """Unload all models. The body is ignored."""
    services = services_of(request)
    await services.look_up(services.models.clear)
    return await _registry(request)


@router.get("/clear_cache", summary="Drop all networks from memory", dependencies=[Admin])
async def clear_cache(request: Request) -> Response:
    """Unload all models; an old name of `/model/clear`."""
    services = services_of(request)
    await services.look_up(services.models.clear)
    return json_response("Cache Cleared")


@router.get("/start/{project}/{version}", summary="Load a network", dependencies=[Infer])
async def start_model(request: Request, project: str, version: str) -> Response:
    """Load a model before the first picture comes."""
    await services_of(request).load_model(f"{project}/{version}")
    return json_response({"status": 200, "message": "inference session started from local memory."})


async def _registry(request: Request) -> Response:
    services = services_of(request)
    return json_response(registry_body(await services.look_up(services.models.listed)))
