"""`atrous serve` with a leak: the control that shows that the soak would see one.

The leak is around the app, in this file alone: the product has no switch for it.
"""

import sys

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

import atrous.server.app
from atrous.cli.main import main
from atrous.server.services import Services

LEAK_BYTES = 300  # of each request: about three times what the bar allows


class Leak:
    """ASGI middleware that keeps a little of every request for good."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app
        self._kept: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep a little, and pass the request on."""
        if scope["type"] == "http":
            self._kept.append(bytes(LEAK_BYTES))
        await self._app(scope, receive, send)


def leak_from_now_on() -> None:
    """Let every app that is built have the leak."""
    add_middleware = atrous.server.app.add_middleware

    def add_leak_too(app: FastAPI, services: Services) -> None:
        add_middleware(app, services)
        app.add_middleware(Leak)

    atrous.server.app.add_middleware = add_leak_too


if __name__ == "__main__":
    leak_from_now_on()
    sys.exit(main())
