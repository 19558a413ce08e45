"""Whether the server starts, takes requests, or drains; and how many it still has to answer."""

from typing import Literal

import anyio

Phase = Literal["starting", "ready", "draining"]


class Lifecycle:
    """One per app. The event loop owns it."""

    def __init__(self) -> None:
        """Begin as starting."""
        self._phase: Phase = "starting"
        self._in_work: set[anyio.CancelScope] = set()
        self._late: set[anyio.CancelScope] = set()  # of those: came while draining
        self.was_cut_off = False

    @property
    def phase(self) -> Phase:
        """What the server does now."""
        return self._phase

    @property
    def in_flight(self) -> int:
        """How many requests were accepted and are not answered yet."""
        return len(self._in_work)

    @property
    def to_be_answered(self) -> int:
        """The same without those that came while draining, and are refused."""
        return len(self._in_work - self._late)

    def ready(self) -> None:
        """Start taking requests, unless the end has already begun."""
        if self._phase == "starting":
            self._phase = "ready"

    def drain(self) -> None:
        """Refuse new requests from now on."""
        self._phase = "draining"

    def accept(self, work: anyio.CancelScope) -> None:
        """Note a request, by the scope that its work runs in."""
        self._in_work.add(work)
        if self._phase == "draining":
            self._late.add(work)

    def finish(self, work: anyio.CancelScope) -> None:
        """Note that a request is answered."""
        self._in_work.discard(work)
        self._late.discard(work)

    def cut_off(self) -> None:
        """Cancel what is still to be answered: the grace time is over."""
        self.was_cut_off = True
        for work in self._in_work - self._late:
            work.cancel()
