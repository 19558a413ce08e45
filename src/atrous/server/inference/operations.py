"""Routes for those who run the server. None needs a key, none tells a secret."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

import atrous
from atrous.server.api_page import CSP, api_page
from atrous.server.authentication import open_to_all
from atrous.server.errors import json_response
from atrous.server.inference.answer_schemas import ServerInfo, Status
from atrous.server.services import services_of

router = APIRouter(tags=["operations"])
Endpoint = Callable[..., Coroutine[Any, Any, Response]]

LANDING = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>atrous</title>
<h1>atrous</h1>
<p>A server for semantic segmentation. <a href="docs">Its HTTP API</a>.</p>
</html>
"""


def answers(path: str, summary: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
    """Register an endpoint for GET and HEAD, which load balancers ask with, open to all.

    Servers send no body with HEAD, whatever the app answers.
    """

    def register(endpoint: Endpoint) -> Endpoint:
        open_to_all(endpoint)
        router.head(path, include_in_schema=False)(endpoint)
        return router.get(path, summary=summary, **described)(endpoint)

    return register


@answers("/", "A page for people", response_class=HTMLResponse)
async def landing_page() -> HTMLResponse:
    """Answer as soon as the server runs: scripts wait for this."""
    return HTMLResponse(LANDING)


@answers("/info", "Which server this is", responses={200: {"model": ServerInfo}})
async def info(request: Request) -> Response:
    """Name, version and an id that is new with every start."""
    return json_response(
        {
            "name": "atrous",
            "version": atrous.__version__,
            "uuid": services_of(request).server_id,
        }
    )


@answers("/healthz", "Is it alive?", responses={200: {"model": Status}})
async def healthz() -> Response:
    """Answer while the process works, whatever the load."""
    return json_response({"status": "healthy"})


@answers(
    "/readiness",
    "Does it take requests?",
    responses={200: {"model": Status}, 503: {"model": Status, "description": "Not now."}},
)
async def readiness(request: Request) -> Response:
    """Answer 200 while the server takes requests, 503 while it starts or shuts down."""
    if services_of(request).lifecycle.phase == "ready":
        return json_response({"status": "ready"})
    return json_response({"status": "not ready"}, 503, {"Retry-After": "1"})


@answers("/metrics", "Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts and times, without names of models."""
    return Response(services_of(request).metrics.as_text(), media_type="text/plain; version=0.0.4")


@answers("/docs", "The HTTP API as a page", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """The OpenAPI document for people; the page needs nothing from the internet."""
    return HTMLResponse(api_page(request.app.openapi()), headers={"Content-Security-Policy": CSP})


for register in (router.get, router.head):
    register("/redoc", include_in_schema=False)(docs)  # an old name of it
