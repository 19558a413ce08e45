"""Putting projects and versions into the trash, listing it, and taking things out again."""

import time
from typing import Any, get_args

from fastapi import Depends, Request, Response

from atrous.domain.errors import BadRequest
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    NamedProject,
    NamedVersion,
    NamedWorkspace,
    read_json,
    text_field,
)
from atrous.server.platform.answer_schemas import Restored, answered_by
from atrous.server.platform.body_schemas import RestoreBody
from atrous.server.platform.project_schemas import ProjectPutAway, TrashAnswer, VersionPutAway
from atrous.server.platform.routing import platform_router
from atrous.server.services import services_of
from atrous.store.emptying import KEPT_DAYS, SECONDS_PER_DAY
from atrous.store.trash import Kind, Trashed

router = platform_router("trash")
Write = Depends(needs("write"))
SECTIONS = {"project": "datasets", "version": "versions", "training": "trainings"}


@router.delete(
    "/{workspace:slug}/{project:slug}",
    summary="Put a project into the trash",
    dependencies=[Write],
    responses=answered_by(ProjectPutAway),
)
async def delete_project(request: Request, owned: NamedProject) -> Response:
    """Take a project out of sight; its models stop serving, its jobs that run are cancelled."""
    services = services_of(request)
    await services.look_up(lambda: services.store.trash.put_project(owned.project.id))
    about = {"id": owned.project.id, "slug": owned.project.slug}
    return json_response({"deleted": True, "type": "project", "trash": True, **about})


@router.delete(
    "/{workspace:slug}/{project:slug}/{version:number}",
    summary="Put a version into the trash",
    dependencies=[Write],
    responses=answered_by(VersionPutAway),
)
async def delete_version(request: Request, owned: NamedVersion) -> Response:
    """Take a version out of sight; its models stop serving, its jobs that run are cancelled."""
    services = services_of(request)
    await services.look_up(lambda: services.store.trash.put_version(owned.version.id))
    about = {"id": str(owned.version.number), "parentId": owned.project.id}
    return json_response({"deleted": True, "type": "version", "trash": True, **about})


@router.get("/{workspace:slug}/trash", summary="The trash", responses=answered_by(TrashAnswer))
async def list_trash(request: Request, workspace: NamedWorkspace) -> Response:
    """Answer with what lies in the trash, newest first, and when it is deleted for good."""
    services = services_of(request)
    found = await services.look_up(lambda: services.store.trash.list(workspace.id))
    items = [_describe(item) for item in found]
    sections = {
        section: [item for item in items if item["type"] == kind]
        for kind, section in SECTIONS.items()
    }
    sections["projects"] = sections["datasets"]  # clients document one name, and read the other
    return json_response({"items": items, "sections": {**sections, "workflows": []}})


@router.post(
    "/{workspace:slug}/trash/restore",
    summary="Restore",
    dependencies=[Write],
    openapi_extra=json_body(RestoreBody),
    responses=answered_by(Restored),
)
async def restore(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `type` (project, version or training), `id`, and of a version `parentId`, its project.

    Models serve again; trainings that were cancelled stay so.
    """
    services, body = services_of(request), await read_json(request)
    kind, item_id = text_field(body, "type"), body.get("id")
    parent = text_field(body, "parentId", "").rpartition("/")[2] or None
    kinds: dict[str, Kind] = {name: name for name in get_args(Kind)}
    if kind not in kinds:
        raise BadRequest(f"type {kind[:100]!r} can't be restored; give one of {', '.join(kinds)}")
    if isinstance(item_id, bool) or not isinstance(item_id, (str, int)):
        raise BadRequest(f"'id' is {str(item_id)[:100]!r}; send the id that the trash lists")
    wanted = str(item_id).rpartition("/")[2]
    item = await services.look_up(
        lambda: services.store.trash.restore(workspace.id, kinds[kind], wanted, parent)
    )
    return json_response({"restored": True, "type": item.kind, "id": item.id, "name": item.name})


def _describe(item: Trashed) -> dict[str, Any]:
    parent = {
        "parentId": item.project_id,
        "parentUrl": item.project,
        "parentName": item.project_name,
    }
    return {
        "type": item.kind,
        "id": item.id,
        "name": item.name,
        "url": item.project,
        "deletedAt": _as_text(item.trashed_at),
        "scheduledCleanupAt": _as_text(item.trashed_at + KEPT_DAYS * SECONDS_PER_DAY),
        **(parent if item.kind != "project" else {}),
    }


def _as_text(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
