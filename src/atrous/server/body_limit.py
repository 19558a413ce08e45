"""A limit on request bodies, counted as they arrive."""

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_TIMEOUT_S = 5.0
DRAIN_FACTOR = 4  # of the limit: so much of a body that is too large is still read


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
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._max_bytes:
                    await _drain(message, receive, self._max_bytes * DRAIN_FACTOR)
                    raise HTTPException(
                        413, f"Request body is larger than {self._max_bytes} bytes."
                    )
            return message

        await self._app(scope, counted_receive, send)


async def _drain(message: Message, receive: Receive, max_bytes: int) -> None:
    """Read on for a moment: a client that is cut off while it sends never sees the answer."""
    drained = 0
    with anyio.move_on_after(DRAIN_TIMEOUT_S):
        while message.get("more_body", False) and drained < max_bytes:
            message = await receive()
            drained += len(message.get("body", b""))
