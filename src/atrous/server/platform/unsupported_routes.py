"""Paths of the hosted platform that this server has nothing behind: JSON 501, and why."""

from fastapi import Depends, Response

from atrous.server.errors import json_response
from atrous.server.platform.access import key_workspace, named_workspace
from atrous.server.platform.routing import failure, platform_router

router = platform_router("platform")
NOT_IMPLEMENTED = 501
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
# What follows a workspace, and what it is called.
OF_WORKSPACES = {
    "api-keys": "keys over HTTP; make them with `atrous keys create`",
    "autolabel": "automatic labelling",
    "batch": "batch jobs",
    "createWorkflow": "workflows",
    "devices": "devices",
    "folders": "folders of projects",
    "groups": "folders of projects",
    "vision-events": "vision events",
    "workflows": "workflows",
}
AT_TOP = {
    "universe": "a public collection of projects",
    "videoinfer": "video",
}


def _add(path: str, what: str) -> None:
    async def refuse() -> Response:
        return failure(NOT_IMPLEMENTED, f"not supported by this server: {what}", "NotSupported")

    behind_wall = [Depends(named_workspace)] if "{workspace:slug}" in path else []
    router.add_api_route(
        path, refuse, methods=METHODS, dependencies=behind_wall, include_in_schema=False
    )


@router.get("/list", include_in_schema=False, dependencies=[Depends(key_workspace)])
async def list_deployments() -> Response:
    """Answer `roboflow deployment list`: there are no dedicated deployments."""
    return json_response([])


for word, meaning in AT_TOP.items():
    _add(f"/{word}", meaning)
    _add(f"/{word}/{{rest:path}}", meaning)
for word, meaning in OF_WORKSPACES.items():
    _add(f"/{{workspace:slug}}/{word}", meaning)
    _add(f"/{{workspace:slug}}/{word}/{{rest:path}}", meaning)
_add(
    "/{workspace:slug}/models/prepareUpload",
    "models of no version; upload one to a version (`uploadModel`), or add a package with "
    "`atrous models add`",
)
