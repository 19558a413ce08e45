"""How long a request is worked on: until it is answered, its client leaves, or its time is over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atrous.server.errors import RETRY_AFTER_S, json_response
from atrous.server.lifecycle import Lifecycle
from atrous.server.streamed_bodies import drain, is_streamed

CLIENT_LEFT = 499  # seen in the log and the metrics only
BODY_TOO_SLOW = 408
TOO_SLOW = 504
NOT_READY = 503  # its model, or the server, which ends
RETRY = {"Retry-After": str(RETRY_AFTER_S)}
WAITS_FOR_LOAD = "waits_for_load"  # in a request's state


@contextmanager
def waiting_for_load(request: Request) -> Iterator[None]:
    """Note that a request waits for a model's load: should its time end here, it is told so."""
    setattr(request.state, WAITS_FOR_LOAD, True)
    yield
    setattr(request.state, WAITS_FOR_LOAD, False)  # not where it was cancelled: that is the point


class RequestLifetime:
    """ASGI middleware: cancels work that nobody waits for any more, and what takes too long."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, timeout_s: float) -> None:
        """Wrap an app."""
        self._app = app
        self._lifecycle = lifecycle
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, inside a scope that can be cancelled."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._closing(send)
        work = anyio.CancelScope(deadline=anyio.current_time() + self._timeout_s)
        request = _Request(receive, send, work, self._timeout_s, is_streamed(scope))
        self._lifecycle.accept(work)
        try:
            await request.run(self._app, scope)
            if request.was_cancelled:
                answer = self._why(request, scope)
                if self._is_late_model(scope) and not request.body_read.is_set():
                    await drain(receive)  # the picture, which is read when its model is there
                await answer(scope, receive, send)
        finally:
            self._lifecycle.finish(work)

    def _closing(self, send: Send) -> Send:
        """Send by which a server that ends tells clients not to use their connection again."""

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.phase == "draining":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        return send_and_close

    def _why(self, request: "_Request", scope: Scope) -> Response:
        limit = f"within {self._timeout_s:g} seconds"
        if request.client_left.is_set():
            return json_response({"message": "The client left."}, CLIENT_LEFT)
        if self._lifecycle.was_cut_off:
            return json_response({"message": "The server is shutting down."}, NOT_READY, RETRY)
        if self._is_late_model(scope):
            message = (
                f"Model is temporarily not ready - retry request. It was not loaded {limit} and "
                "goes on loading; PRELOAD_MODELS loads it when the server starts."
            )
            return json_response({"message": message}, NOT_READY, RETRY)
        if _has_body(scope) and not request.body_read.is_set():
            message = f"The request body did not arrive {limit}."
            return json_response({"message": message}, BODY_TOO_SLOW, {"Connection": "close"})
        message = f"The request was not answered {limit}; try again."
        return json_response({"message": message}, TOO_SLOW, RETRY)

    def _is_late_model(self, scope: Scope) -> bool:
        waits = scope.get("state", {}).get(WAITS_FOR_LOAD, False)
        return bool(waits) and not self._lifecycle.was_cut_off


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


class _Request:
    """One request, and whether somebody still waits for its answer."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        work: anyio.CancelScope,
        timeout_s: float,
        is_streamed: bool,
    ) -> None:
        self._receive, self._send, self._work = receive, send, work
        self._timeout_s, self._is_streamed = timeout_s, is_streamed
        self.body_read, self.client_left = anyio.Event(), anyio.Event()
        self._answering = self._answered = False

    @property
    def was_cancelled(self) -> bool:
        """Whether its work was cancelled before there was an answer."""
        return self._work.cancelled_caught and not self._answering

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        watch = asyncio.create_task(self._watch())
        try:
            with self._work:
                await app(scope, self._receive_and_note, self._send_and_note)
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        await self.body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_left.set()
        if not self._answered:  # servers say that a client left after each answer, too
            self._work.cancel()

    async def _receive_and_note(self) -> Message:
        if self.body_read.is_set():  # from now on the watch alone receives
            await self.client_left.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.client_left.set()
        if not message.get("more_body", False):
            self.body_read.set()
        if self._is_streamed:  # a long upload has the time for each of its pieces
            self._work.deadline = anyio.current_time() + self._timeout_s
        return message

    async def _send_and_note(self, message: Message) -> None:
        self._answering = True
        self._answered = message["type"] == "http.response.body" and not message.get("more_body")
        if message.get("more_body"):  # a long download has the time for each of its pieces
            self._work.deadline = anyio.current_time() + self._timeout_s
        await self._send(message)
