"""The one table from errors to HTTP answers. Every answer is a JSON object with `message`."""

import logging
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from atrous.domain.errors import (
    AtrousError,
    BadImage,
    BadInput,
    BadModelId,
    BadPackage,
    BadRequest,
    Busy,
    Conflict,
    DiskFull,
    KeyMissing,
    MissingDependency,
    NotAllowed,
    NotFound,
    NotInstalled,
    Unavailable,
)
from atrous.server.log_lines import redact

logger = logging.getLogger(__name__)

NOT_AUTHORIZED = "User is not authorized to access this resource"
UNKNOWN_MODEL = (
    "Requested Roboflow resource not found. Make sure that workspace, project or model you "
    "referred in request exists."  # the words that clients of this API look for
)
INTERNAL_ERROR = {"message": "Internal error."}
RETRY_AFTER_S = 1

# The most special class first. None: the error's own message is fit for the outside.
STATUSES: tuple[tuple[type[AtrousError], int, str | None], ...] = (
    (BadImage, 400, "Could not load input image. Cause: {error}"),
    (BadModelId, 400, "Invalid Model ID sent in request. {error}"),
    (BadPackage, 500, "Model package is broken."),  # the message has paths: for the log alone
    (BadRequest, 400, None),
    (BadInput, 400, None),
    (NotInstalled, 404, None),
    (NotFound, 404, UNKNOWN_MODEL),
    # As the hosted API's gateway has it: no key is 401, one that is not right 403.
    (KeyMissing, 401, None),
    (NotAllowed, 403, None),
    (Conflict, 409, None),
    (Busy, 429, None),
    (Unavailable, 503, None),
    (MissingDependency, 501, None),
    (DiskFull, 507, None),
    (AtrousError, 500, "Internal error."),
)


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(content), status, headers=headers, media_type="application/json")


def describe_error(error: AtrousError) -> tuple[int, str]:
    """Give the status and the message that the outside sees."""
    for kind, status, template in STATUSES:
        if isinstance(error, kind):
            return status, redact((template or "{error}").format(error=error))
    raise AssertionError("the table ends with the root of all errors")


def add_error_answers(app: FastAPI) -> None:
    """Make the app answer every error by the table."""
    app.add_exception_handler(AtrousError, _answer_known)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_unexpected)


async def _answer_known(request: Request, error: Exception) -> Response:
    assert isinstance(error, AtrousError)
    status, message = describe_error(error)
    if status >= 500:
        logger.error("%s: %s", type(error).__name__, error)
    body = {"message": message}
    if status == 403:
        body = {"Message": NOT_AUTHORIZED, "message": message}
    return json_response(body, status, _headers_of(status))


def _headers_of(status: int) -> dict[str, str] | None:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None


async def _answer_invalid(request: Request, error: Exception) -> Response:
    # Only these three: what pydantic adds would send the input, a whole picture, back.
    assert isinstance(error, RequestValidationError)
    detail = [
        {
            "type": fault["type"],
            "loc": [str(part)[:100] for part in fault["loc"]],
            "msg": redact(str(fault["msg"])[:300]),
        }
        for fault in error.errors()[:20]
    ]
    first = detail[0] if detail else {"loc": [], "msg": "not understood"}
    message = f"Request is not valid: {'.'.join(first['loc'])}: {first['msg']}"
    return json_response({"message": message, "detail": detail}, 422)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {**(_headers_of(error.status_code) or {}), **(error.headers or {})}
    return json_response({"message": str(error.detail)}, error.status_code, headers)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return json_response({"message": "The client left."}, 499)  # for the log


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return json_response(INTERNAL_ERROR, 500)
