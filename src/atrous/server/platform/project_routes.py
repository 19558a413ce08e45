"""`POST /{workspace}/projects` and `GET /{workspace}/{project}`."""

from typing import Any

from fastapi import Depends, Request, Response
from starlette.routing import Match

from atrous.domain.errors import BadRequest
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import NamedProject, NamedWorkspace, read_json, text_field
from atrous.server.platform.answer_schemas import answered_by
from atrous.server.platform.body_schemas import ProjectBody
from atrous.server.platform.descriptions import (
    KIND,
    describe_project,
    describe_versions,
    describe_workspace,
)
from atrous.server.platform.links import Links
from atrous.server.platform.paths import AFTER_WORKSPACE, RESERVED
from atrous.server.platform.project_schemas import Project, ProjectAnswer
from atrous.server.platform.routing import PlatformRoute, platform_router
from atrous.server.services import services_of
from atrous.store.projects import slug_of

router = platform_router("platform")
DEFAULT_GROUP = "objects"


class NotForPictures(PlatformRoute):
    """A route that leaves `GET /{workspace}/{model}?image=URL` to inference."""

    def matches(self, scope: Any) -> Any:
        """Match as any route, but no request that names a picture."""
        if any(part.startswith(b"image=") for part in scope.get("query_string", b"").split(b"&")):
            return Match.NONE, {}
        return super().matches(scope)


@router.post(
    "/{workspace:slug}/projects",
    summary="Create a project",
    dependencies=[Depends(needs("write"))],
    openapi_extra=json_body(ProjectBody),
    responses=answered_by(Project),
)
async def create_project(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `name`, `type`, `license` and `annotation` (the name of the group of its classes).

    A name that is taken is answered 409.
    """
    services, body = services_of(request), await read_json(request)
    name, kind = text_field(body, "name"), text_field(body, "type", KIND)
    if kind != KIND:
        raise BadRequest(
            f"project type {kind[:100]!r} is not offered; this server trains '{KIND}' alone"
        )
    if slug_of(name) in AFTER_WORKSPACE | RESERVED:
        raise BadRequest(f"a project can't be called {name[:100]!r}; choose another name")

    def create() -> dict[str, Any]:
        project = services.store.projects.create(
            workspace.id,
            name,
            kind=kind,
            annotation=text_field(body, "annotation", "") or DEFAULT_GROUP,
            license_name=text_field(body, "license", ""),
        )
        return describe_project(services.store, workspace, project)

    return json_response(await services.look_up(create))


async def get_project(request: Request, owned: NamedProject) -> Response:
    """Answer with the project, its counts, and all of its versions, newest first."""
    services = services_of(request)
    origin = Links(request, services).origin

    def read() -> dict[str, Any]:
        store, workspace, project = services.store, owned.workspace, owned.project
        versions = store.versions.list(project)
        return {
            "workspace": describe_workspace(workspace),
            "project": describe_project(store, workspace, project),
            "versions": describe_versions(store, workspace, project, versions, origin),
        }

    return json_response(await services.look_up(read))


router.add_api_route(
    "/{workspace:slug}/{project:slug}",
    get_project,
    methods=["GET"],
    summary="A project and its versions",
    responses=answered_by(ProjectAnswer),
    route_class_override=NotForPictures,
)
