"""Requests for a model whose queue is full: refused before anything else is done for them."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from atrous.domain.errors import Busy
from atrous.server.errors import RETRY_AFTER_S, describe_error, json_response
from atrous.server.work_queue import WorkQueue


class FullQueues:
    """ASGI middleware: refuses by the path alone what the route would refuse.

    Under overload most requests are refused, and what that costs is missing to those in work: to
    find the route and to read its parameters takes a quarter of it.
    """

    def __init__(
        self,
        app: ASGIApp,
        work: WorkQueue,
        model_of: Callable[[Scope], str | None],
        is_welcome: Callable[[Scope], Awaitable[bool]],
    ) -> None:
        """Wrap an app.

        model_of: the model that a request is for by its path, None where the path names none.
        is_welcome: whether the sender may ask models. Who may not is left to the app, which says
            so: nobody else learns whether a queue is full.
        """
        self._app = app
        self._work = work
        self._model_of = model_of
        self._is_welcome = is_welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        model = self._model_of(scope) if scope["type"] == "http" else None
        if model and self._work.is_full(model) and await self._is_welcome(scope):
            try:
                with self._work.place(model):
                    pass  # one became free meanwhile
            except Busy as error:
                status, message = describe_error(error)
                headers = {"Retry-After": str(RETRY_AFTER_S)}
                await json_response({"message": message}, status, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)
