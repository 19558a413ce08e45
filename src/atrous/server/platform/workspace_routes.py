"""`POST /` and `GET /{workspace}`: whose key this is, and what the workspace holds."""

from fastapi import Request, Response

from atrous.server.errors import json_response
from atrous.server.platform.access import KeyWorkspace, NamedWorkspace
from atrous.server.platform.answer_schemas import WhoseKey, answered_by
from atrous.server.platform.descriptions import describe_projects, describe_workspace
from atrous.server.platform.project_schemas import WorkspaceAnswer
from atrous.server.platform.routing import platform_router
from atrous.server.services import services_of

router = platform_router("platform")


@router.post("/", summary="Whose key is this?", responses=answered_by(WhoseKey))
async def check_key(workspace: KeyWorkspace) -> Response:
    """Answer with the slug of the key's workspace; 401 for a key that opens nothing."""
    return json_response(
        {
            "welcome": "This is an atrous server.",
            "instructions": "Use the slug in 'workspace' as the first part of paths.",
            "docs": "/docs",
            "workspace": workspace.slug,
        }
    )


@router.get(
    "/{workspace:slug}",
    summary="A workspace and its projects",
    responses=answered_by(WorkspaceAnswer),
)
async def get_workspace(request: Request, workspace: NamedWorkspace) -> Response:
    """Answer with the workspace and all of its projects."""
    services = services_of(request)

    def read() -> dict[str, object]:
        projects = describe_projects(services.store, workspace)
        return {"workspace": {**describe_workspace(workspace), "projects": projects}}

    return json_response(await services.look_up(read))
