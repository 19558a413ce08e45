"""Limits on request bodies, of each and of all together, counted as they arrive."""

from collections.abc import Awaitable, Callable

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atrous.domain.errors import Busy
from atrous.server.errors import json_response
from atrous.server.streamed_bodies import is_streamed
from atrous.server.waiting_bytes import WaitingBytes

DRAIN_TIMEOUT_S = 5.0
BODY_ACCOUNT = "body_account"  # in a request's state
DRAIN_FACTOR = 4  # of the limit: so much of a body that nobody needs is still read


class BodyLimit:
    """ASGI middleware: a body over the limit becomes 413, whatever Content-Length said.

    One that is too much beside those of other requests becomes 429. The account that its bytes
    are held in is in the request's state, for who finds the key in the body itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        waiting: WaitingBytes,
        is_trusted: Callable[[Scope], Awaitable[bool]],
    ) -> None:
        """Wrap an app; `is_trusted` tells of a request by its head that it may send a body."""
        self._app = app
        self._max_bytes = max_bytes
        self._too_large = f"Request body is larger than {max_bytes} bytes."
        self._waiting = waiting
        self._is_trusted = is_trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a body that is counted."""
        if scope["type"] != "http" or is_streamed(scope):
            await self._app(scope, receive, send)
            return
        # Such a client sends its body only when it is asked to: it needs no draining.
        waits = Headers(scope=scope).get("expect", "").lower() == "100-continue"
        received, unread = 0, True

        async def counted_receive() -> Message:
            nonlocal received, unread
            message = await receive()
            unread = message.get("more_body", False)
            first = not received and bool(message.get("body"))
            if first and not account.is_trusted and await self._is_trusted(scope):
                account.trust()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._too_large)
            try:
                account.hold(len(message.get("body", b"")))
            except Busy as error:  # who reads JSON bodies lets no other kind pass
                raise HTTPException(429, str(error)) from None
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

        address = (scope.get("client") or ("", 0))[0]
        with self._waiting.body_account(address) as account:
            scope.setdefault("state", {})[BODY_ACCOUNT] = account
            if _declared_bytes(scope) > self._max_bytes:  # at once: nothing waits for its model
                answer = json_response({"message": self._too_large}, 413)
                await answer(scope, receive, drain_and_send)
            else:
                await self._app(scope, counted_receive, drain_and_send)


def _declared_bytes(scope: Scope) -> int:
    """What Content-Length says, which may be less than what comes."""
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared) if declared.isdecimal() else 0
