"""Routes for those who run the server. None needs a key, none tells a secret."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

import atrous
from atrous.server.authentication import open_to_all
from atrous.server.errors import json_response
from atrous.server.services import services_of

router = APIRouter(tags=["operations"])

LANDING = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>atrous</title>
<h1>atrous</h1>
<p>A server for semantic segmentation. <a href="docs">Its HTTP API</a>.</p>
</html>
"""


@router.get("/", summary="A page for people", response_class=HTMLResponse)
@open_to_all
async def landing_page() -> HTMLResponse:
    """Answer as soon as the server runs: scripts wait for this."""
    return HTMLResponse(LANDING)


@router.get("/info", summary="Which server this is")
@open_to_all
async def info(request: Request) -> Response:
    """Name, version and an id that is new with every start."""
    return json_response(
        {
            "name": "atrous",
            "version": atrous.__version__,
            "uuid": services_of(request).server_id,
        }
    )


@router.get("/healthz", summary="Is it alive?")
@open_to_all
async def healthz() -> Response:
    """Answer while the process works, whatever the load."""
    return json_response({"status": "healthy"})


@router.get("/readiness", summary="Does it take requests?")
@open_to_all
async def readiness(request: Request) -> Response:
    """Answer 200 while the server takes requests, 503 while it starts or shuts down."""
    if services_of(request).lifecycle.phase == "ready":
        return json_response({"status": "ready"})
    return json_response({"status": "not ready"}, 503, {"Retry-After": "1"})


@router.get("/metrics", summary="Metrics for Prometheus")
@open_to_all
async def metrics(request: Request) -> Response:
    """Counts and times, without names of models."""
    return Response(services_of(request).metrics.as_text(), media_type="text/plain; version=0.0.4")
