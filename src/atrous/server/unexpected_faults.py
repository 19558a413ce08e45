"""Faults of ours, answered where the answer still passes what adds ids and CORS headers."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atrous.server.errors import INTERNAL_ERROR, json_response

logger = logging.getLogger(__name__)


class UnexpectedFaults:
    """ASGI middleware, the innermost: an exception that nobody foresaw is logged and becomes 500.

    The framework's own handler of these stands outside all middleware: its answer would have no
    request id, and web pages of other origins could not read it.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; raise on what breaks an answer that has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            if has_begun:
                raise
            logger.exception("A request ended with a fault of atrous")
            await json_response(INTERNAL_ERROR, 500)(scope, receive, send)
