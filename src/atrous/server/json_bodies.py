"""Bodies that are JSON under whatever content type they come: to curl, all is a form."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

CONTENT_TYPE, JSON = b"content-type", b"application/json"
# Three bytes of JSON may become a hundred of objects, and nothing else runs while they are made.
MAX_CONTAINERS = 300_000  # arrays and objects: three times as many as 256 prompts with all fields
MAX_COMMAS = 3_000_000  # so about values: 45 masks of 256x256 numbers, or 100,000 polygons
TOO_MANY_VALUES = (
    f"Request body is JSON of more than {MAX_CONTAINERS} arrays and objects, or {MAX_COMMAS} "
    "commas; send less at once, masks as base64, and the key in the query or the header."
)


class JsonRoute(APIRoute):
    """A route that reads its body, if it has one, as JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Tell the framework that the body is JSON, as it reads no other."""
        handle = super().get_route_handler()

        async def handle_as_json(request: Request) -> Response:
            others = [pair for pair in request.scope["headers"] if pair[0] != CONTENT_TYPE]
            scope = {**request.scope, "headers": [*others, (CONTENT_TYPE, JSON)]}
            return await handle(_JsonRequest(scope, request.receive))

        return handle_as_json


class _JsonRequest(Request):
    """A request whose body is counted before the framework reads it."""

    async def json(self) -> Any:
        """Give the body as objects; 413 where they would be too many."""
        refuse_many_values(await self.body())
        return await super().json()


def refuse_many_values(body: bytes) -> None:
    """Raise 413 for JSON that would take far more memory and time than its bytes.

    To be asked before it is read, as the key may not be known yet. A thread would not help: the
    readers of JSON let no other thread run. Texts within the JSON are counted like the rest.
    """
    containers = body.count(b"[") + body.count(b"{")
    if containers > MAX_CONTAINERS or body.count(b",") > MAX_COMMAS:
        raise HTTPException(413, TOO_MANY_VALUES)
