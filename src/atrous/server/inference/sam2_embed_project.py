"""`/sam2/embed_project`: embed all photos of a project before anybody clicks, as a job."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, Field

from atrous.domain.errors import NotFound, NotInstalled
from atrous.sam2.models import find_by_name, state_of
from atrous.server.authentication import needs
from atrous.server.errors import json_response
from atrous.server.inference.answer_schemas import answers_with
from atrous.server.json_bodies import JsonRoute
from atrous.server.loaded_sam2 import PREFIX
from atrous.server.platform.access import KeyWorkspace
from atrous.server.services import Services, services_of
from atrous.store.jobs import EMBED_PROJECT, Job

router = APIRouter(
    prefix="/sam2",
    tags=["sam2"],
    dependencies=[Depends(needs("infer"))],
    route_class=JsonRoute,
)
COUNTS = ("total", "there", "embedded", "unreadable")


class EmbedProjectRequest(BaseModel):
    """Which project, and for which model."""

    project: str = Field(description="Its short name.", max_length=63, examples=["roads"])
    sam2_version_id: str | None = Field(
        None, description="As in the other routes of SAM 2.", max_length=100
    )
    api_key: str | None = Field(None, description="Unless it is in the header or the query.")


class EmbedJob(BaseModel):
    """How far it is, in photos; the numbers are there once the work has begun."""

    job_id: str
    state: str = Field(description="`queued`, `running`, `finished`, `failed` or `cancelled`.")
    fraction: float = Field(description="0 to 1.")
    total: int | None = None
    there: int | None = Field(None, description="Embedded before.")
    embedded: int | None = None
    unreadable: int | None = None
    error: str | None = None


@router.post(
    "/embed_project",
    summary="Embed all photos of a project, as a job",
    responses=answers_with(EmbedJob),
)
async def start_embedding(
    request: Request, workspace: KeyWorkspace, wanted: Annotated[EmbedProjectRequest, Body()]
) -> Response:
    """Queue the job, or tell of the one that is queued; a worker does the work.

    One that runs does not count: it has its list of photos, and others may have come since.
    """
    services = services_of(request)
    name = (wanted.sam2_version_id or services.settings.sam2_version_id).removeprefix(PREFIX)
    work = partial(_request_job, services, workspace.id, wanted.project, name)
    return json_response(_described(await services.look_up(work)))


@router.get(
    "/embed_project/{job}",
    summary="How far the embedding of a project is",
    responses=answers_with(EmbedJob),
)
async def embedding_progress(
    request: Request, workspace: KeyWorkspace, job: Annotated[str, fastapi.Path(max_length=100)]
) -> Response:
    """Answer for a job of the key's workspace."""
    services = services_of(request)
    found = await services.look_up(partial(_find, services, workspace.id, job))
    return json_response(_described(found))


def _request_job(services: Services, workspace_id: str, slug: str, model: str) -> Job:
    store, settings = services.store, services.settings
    project = store.projects.get(workspace_id, slug)
    _refuse_absent(store.home.sam2_models, model)
    payload = {
        "project_id": project.id,
        "model": model,
        "engine": settings.engine,
        "precision": settings.precision,
        "cache_folder": settings.model_cache_dir,
        "max_disk_bytes": settings.sam2_embedding_disk_bytes,
    }
    for job in store.jobs.list(kind=EMBED_PROJECT):
        if (job.state, job.workspace_id, job.payload) == ("queued", workspace_id, payload):
            return job
    return store.jobs.enqueue(EMBED_PROJECT, payload, workspace_id=workspace_id)


def _refuse_absent(folder: Path, model: str) -> None:
    if state_of(folder, model) is None:
        try:
            find_by_name(folder, model)
        except NotFound as error:  # it names the command that adds the model
            raise NotInstalled(str(error)) from None


def _find(services: Services, workspace_id: str, job_id: str) -> Job:
    job = services.store.jobs.get(job_id)
    if job.kind != EMBED_PROJECT or job.workspace_id != workspace_id:
        raise NotFound(f"there is no job {job_id[:100]!r} that this key opens")
    return job


def _described(job: Job) -> dict[str, Any]:
    counts = job.result or job.progress
    fraction = 1.0 if job.state == "finished" else float(job.progress.get("fraction", 0.0))
    described = {"job_id": job.id, "state": job.state, "fraction": fraction, "error": job.error}
    described |= {name: counts.get(name) for name in COUNTS}
    return {name: value for name, value in described.items() if value is not None}
