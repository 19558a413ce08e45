"""`roboflow auth login`: the page that tells which token to paste, and the check of the token."""

from typing import Annotated

from fastapi import HTTPException, Path, Request, Response
from starlette.responses import HTMLResponse

from atrous.server.authentication import RETRY_LATER, open_to_all
from atrous.server.errors import json_response
from atrous.server.platform.answer_schemas import answered_by
from atrous.server.platform.project_schemas import KeyWorkspace
from atrous.server.platform.routing import platform_router
from atrous.server.services import services_of

router = platform_router("platform")
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Log in from the command line</title></head>
<body style="font-family: sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em">
<h1>Log in from the command line</h1>
<p>The token that <code>roboflow auth login</code> asks for is an API key of this server.
Make one where the server runs, and paste it:</p>
<pre>atrous keys create my-laptop</pre>
<p>Or let <code>atrous connect --write</code> do all of it.</p>
</body>
</html>
"""


@router.get("/auth-cli", include_in_schema=False)
@router.get("/auth-cli/", include_in_schema=False)
@open_to_all
async def show_page() -> Response:
    """Say which token the client wants."""
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(PAGE, headers=policy)


@router.get(
    "/query/cliAuthToken/{token}",
    summary="Log in from the command line",
    responses=answered_by(
        dict[str, KeyWorkspace] | None, description="The workspace of the key, under its id."
    ),
)
@open_to_all  # the token is the key
async def check_token(request: Request, token: Annotated[str, Path(max_length=200)]) -> Response:
    """Answer with the workspace of an API key, under its id; null for what is no active key."""
    services = services_of(request)
    key = await services.verify_key(token)
    if key is None:
        services.metrics.wrong_keys.inc()
        if services.failed_keys.add(request.client.host if request.client else ""):
            raise HTTPException(429, "Too many wrong tokens; wait a minute.", RETRY_LATER)
        return json_response(None)
    workspace = await services.look_up(lambda: services.store.workspaces.by_id(key.workspace_id))
    entry = {"url": workspace.slug, "name": workspace.name, "apiKey": token}
    return json_response({workspace.id: entry})
