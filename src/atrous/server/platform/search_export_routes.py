"""Exports of searches: asked for, made by the worker, downloaded by a signed link."""

from typing import Any

from fastapi import Depends, Request, Response

from atrous.datasets.zip_exports import FORMATS
from atrous.domain.errors import BadRequest, Conflict
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import IdPath, NamedWorkspace, read_json, text_field
from atrous.server.platform.answer_schemas import ExportQueued, SearchExport, answered_by
from atrous.server.platform.body_schemas import SearchExportBody
from atrous.server.platform.links import Links
from atrous.server.platform.routing import platform_router
from atrous.server.platform.search_query import read_query
from atrous.server.services import services_of
from atrous.store import Store
from atrous.store.jobs import Job
from atrous.store.projects import Project, checked_text, slug_of

router = platform_router("images")
Write = Depends(needs("write"))
OVER = ("failed", "cancelled")
MEBIBYTE = 1 << 20


@router.post(
    "/{workspace:slug}/search/export",
    summary="Export what a search finds",
    dependencies=[Write],
    openapi_extra=json_body(SearchExportBody),
    status_code=202,
    responses=answered_by(ExportQueued, 202),
)
async def export_search(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `query`, `format` (coco where it is not given), `dataset` or `annotationGroup`, `name`;
    queue the zip. Answers 202 with `link`, the id to ask for.
    """
    services, body = services_of(request), await read_json(request)
    wanted = text_field(body, "format", "coco")
    if wanted not in FORMATS:
        raise BadRequest(
            f"format {wanted[:100]!r} is not offered; take one of {', '.join(FORMATS)}"
        )
    query = read_query(text_field(body, "query"))
    slug = text_field(body, "dataset", "") or query.project
    group = text_field(body, "annotationGroup", "")
    name = text_field(body, "name", "")

    def queue() -> Job:
        project = _project(services.store, workspace.id, slug, group)
        title = checked_text(name, "name") if name else f"{project.name} search"
        return services.store.search_exports.request(project, query.photos, wanted, title)

    job = await services.look_up(queue)
    return json_response({"link": job.id, "ready": False, "progress": 0.0}, 202)


def _project(store: Store, workspace_id: str, slug: str | None, group: str) -> Project:
    """The project that is named, or the only one."""
    if slug:
        return store.projects.get(workspace_id, slug)
    found = [
        project
        for project in store.projects.list(workspace_id)
        if not group or project.annotation == group
    ]
    if len(found) != 1:
        raise BadRequest(
            f"{len(found)} projects could be meant; name one, as project:roads in the query or "
            "as 'dataset'"
        )
    return found[0]


@router.get(
    "/{workspace:slug}/search/export/{export}",
    summary="How far the export of a search is",
    dependencies=[Write],
    responses=answered_by(SearchExport),
)
async def get_search_export(
    request: Request, workspace: NamedWorkspace, export: IdPath
) -> Response:
    """Answer with `ready` and `progress`, and at last with `link`, a signed one to the zip."""
    services = services_of(request)
    links = Links(request, services)

    def read() -> tuple[Job, str]:
        job = services.store.search_exports.get(workspace.id, export)
        if job.state != "finished":
            return job, ""
        return job, links.to(job.result["digest"], "application/zip", _file_name(job))

    job, link = await services.look_up(read)
    if job.state in OVER:
        raise Conflict(f"the export was not made: {job.error or job.state}; ask for a new one")
    return json_response(_describe(job, link))


def _describe(job: Job, link: str) -> dict[str, Any]:
    answer = {"id": job.id, "format": job.payload["format"], "ready": bool(link)}
    if not link:
        return {**answer, "progress": float(job.progress.get("fraction", 0.0))}
    size_mib = round(job.result["size_bytes"] / MEBIBYTE, 3)
    return {
        **answer,
        "progress": 1.0,
        "link": link,
        "size": size_mib,
        "images": job.result["images"],
    }


def _file_name(job: Job) -> str:
    return f"{slug_of(job.payload['name'])}.{job.payload['format']}.zip"
