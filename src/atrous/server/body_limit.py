"""A limit on request bodies, counted as they arrive."""

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_TIMEOUT_S = 5.0
DRAIN_FACTOR = 4  # of the limit: so much of a body that nobody needs is still read


class BodyLimit:
    """ASGI middleware: a body over the limit becomes 413, whatever Content-Length said."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap an app."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a body that is counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Such a client sends its body only when it is asked to: it needs no draining.
        waits = Headers(scope=scope).get("expect", "").lower() == "100-continue"
        received, unread = 0, True

        async def counted_receive() -> Message:
            nonlocal received, unread
            message = await receive()
            unread = message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, f"Request body is larger than {self._max_bytes} bytes.")
            return message

        async def drain_and_send(message: Message) -> None:
            """Read on for a moment: a client cut off while it sends never sees the answer."""
            nonlocal received, unread
            if message["type"] == "http.response.start" and not (waits and not received):
                with anyio.move_on_after(DRAIN_TIMEOUT_S):
                    while unread and received <= self._max_bytes * DRAIN_FACTOR:
                        rest = await receive()
                        unread = rest.get("more_body", False)
                        received += len(rest.get("body", b""))
            await send(message)

        await self._app(scope, counted_receive, drain_and_send)
