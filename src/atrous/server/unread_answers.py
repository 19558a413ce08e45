"""Connections whose client does not read its answer: uvicorn itself keeps both for good."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

LOOK_EVERY_S = 20.0
LEAST_BYTES_PER_S = 240  # of an answer that waits to be read; a modem was ten times as fast


class UnreadAnswers(H11Protocol):
    """HTTP/1.1 that gives a connection up when its client reads hardly anything of an answer.

    What the client has not taken lies in memory, and nothing else bounds it once the request has
    ended: closing a connection waits for the last byte to be taken.
    """

    _look: asyncio.TimerHandle | None = None
    _left_bytes = 0  # at the last look

    def pause_writing(self) -> None:
        """Begin to watch a client that does not keep up."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Watch no longer, as the client has kept up."""
        super().resume_writing()
        self._stop_watching()

    def on_response_complete(self) -> None:
        """Watch what is left of an answer whose last piece was written."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        self._stop_watching()
        self._left_bytes = self.transport.get_write_buffer_size()
        if self._left_bytes:
            self._look = self.loop.call_later(LOOK_EVERY_S, self._look_at_client)

    def _stop_watching(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_at_client(self) -> None:
        taken = self._left_bytes - self.transport.get_write_buffer_size()
        if taken < min(self._left_bytes, LEAST_BYTES_PER_S * LOOK_EVERY_S):
            self._look = None
            self.transport.abort()
        else:
            self._watch()
