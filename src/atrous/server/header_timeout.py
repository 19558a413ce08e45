"""Connections whose request never comes: uvicorn itself waits for a header without an end."""

import asyncio

from atrous.server.unread_answers import UnreadAnswers

HEADER_TIMEOUT_S = 20.0  # from the connection, or the first byte of a later request, to its header


class PatientProtocol(UnreadAnswers):
    """HTTP/1.1 that closes a connection when a request's header takes too long.

    From then on the request has its own time (`RequestLifetime`).
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first header."""
        super().connection_made(transport)
        self._await_header()

    def data_received(self, data: bytes) -> None:
        """Stop waiting where a header is complete; start where another one has begun."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()
        elif self.cycle is not None and self.cycle.response_complete and self._deadline is None:
            self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limit."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_header(self) -> None:
        self._deadline = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.close()
