"""Paths that begin with two slashes: the URL that the client was given ends with one."""

from starlette.types import ASGIApp, Receive, Scope, Send


class LeadingSlashes:
    """ASGI middleware: `//shapes/1` is `/shapes/1`, for all that lies inside."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["path"].startswith("//"):
            scope = {**scope, "path": "/" + scope["path"].lstrip("/")}
        await self._app(scope, receive, send)
