"""Bodies that are JSON under whatever content type they come: to curl, all is a form."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

CONTENT_TYPE, JSON = b"content-type", b"application/json"


class JsonRoute(APIRoute):
    """A route that reads its body, if it has one, as JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Tell the framework that the body is JSON, as it reads no other."""
        handle = super().get_route_handler()

        async def handle_as_json(request: Request) -> Response:
            others = [pair for pair in request.scope["headers"] if pair[0] != CONTENT_TYPE]
            scope = {**request.scope, "headers": [*others, (CONTENT_TYPE, JSON)]}
            return await handle(Request(scope, request.receive))

        return handle_as_json
