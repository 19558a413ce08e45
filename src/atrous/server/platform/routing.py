"""A router whose errors have the shape that clients of the platform read."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from atrous.domain.errors import AtrousError, NotAllowed, NotFound
from atrous.server.errors import RETRY_AFTER_S, describe_error, json_response
from atrous.server.log_lines import redact
from atrous.server.platform import paths

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
NO_KEY, LACKS_SCOPE = 401, 403


class PlatformFault(BaseModel):
    """What went wrong."""

    message: str
    status: int
    type: str


class PlatformFailure(BaseModel):
    """Every failure, in both shapes that clients know."""

    error: PlatformFault
    message: str


class ServerFailure(BaseModel):
    """What is no fault of the request's content."""

    message: str


FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": PlatformFailure, "description": "Not usable, not allowed, or not there."},
    "408": {"model": ServerFailure, "description": "The body did not arrive in time."},
    "5XX": {
        "model": PlatformFailure | ServerFailure,
        "description": "Stopping, too slow, or the disk is full.",
    },
}


class PlatformRoute(APIRoute):
    """A route that answers errors as `{"error": {"message", "status", "type"}}`."""

    def get_route_handler(self) -> Handler:
        """Wrap the route, its dependencies included."""
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except AtrousError as error:
                return _explain(request, error)
            except HTTPException as error:
                headers = dict(error.headers or {})
                return failure(error.status_code, str(error.detail), "HTTPException", headers)
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part)[:100] for part in first["loc"])
                message = redact(f"Request is not valid: {where}: {str(first['msg'])[:300]}")
                return failure(400, message, "BadRequest")

        return handle_or_explain


def platform_router(tag: str) -> APIRouter:
    """Make a router of such routes."""
    paths.register_path_shapes()
    return APIRouter(tags=[tag], route_class=PlatformRoute, responses=FAILURES)


def failure(
    status: int, message: str, kind: str, headers: dict[str, str] | None = None
) -> Response:
    """Answer with an error in both shapes that clients know."""
    error = {"message": message, "status": status, "type": kind}
    return json_response({"error": error, "message": message}, status, headers)


def _explain(request: Request, error: AtrousError) -> Response:
    status, message = describe_error(error)
    if isinstance(error, NotFound):  # the table's words are those of models
        message = redact(str(error))
    if isinstance(error, NotAllowed):
        # Clients take 401 for a wrong key and give up at once; they repeat what is answered 403.
        status = NO_KEY if getattr(request.state, "api_key", None) is None else LACKS_SCOPE
    if status >= 500:
        raise error  # the app's own handler logs it
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 429 else None
    return failure(status, message, type(error).__name__, headers)
