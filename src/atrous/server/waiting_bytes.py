"""A limit on the bytes of all requests together that are not answered yet."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atrous.domain.errors import Busy
from atrous.server.failed_keys import network_of
from atrous.server.metrics import Metrics

FULL = "Too many bytes are waiting to be worked on; try again in a second."
KEYLESS_SHARE = 4  # a quarter of all bytes may be of callers whose key is not known yet
ADDRESS_SHARE = 2  # and half of these may come from one address


class WaitingBytes:
    """Counts bodies and fetched pictures from their arrival to the answer.

    The queue's places bound the number of requests, for each model; this bounds the memory that
    requests for all models take while they wait. One event loop owns the object.
    """

    def __init__(self, max_bytes: int, metrics: Metrics, max_body_bytes: int = 0) -> None:
        """Let requests hold `max_bytes` together.

        max_body_bytes: of one request; so much the share of callers without a key has at least.
        """
        self._max_bytes = max_bytes
        self._max_keyless = max(max_bytes // KEYLESS_SHARE, max_body_bytes)
        self._max_of_address = max(self._max_keyless // ADDRESS_SHARE, max_body_bytes)
        self._metrics = metrics
        self._held = 0
        self._keyless: Counter[str] = Counter()  # bytes by address, of those held

    @contextmanager
    def account(self) -> Iterator[Callable[[int], None]]:
        """Give a function that holds more bytes until the block ends.

        It raises Busy where they are too many beside those of other requests.
        """
        account = _Account()

        def hold(count: int) -> None:
            self._hold(account, count)

        try:
            yield hold
        finally:
            self._add(-account.held)

    @contextmanager
    def body_account(self, address: str) -> Iterator["BodyAccount"]:
        """Give the account of a body until the block ends; `address` is its sender's."""
        account = BodyAccount(self, network_of(address))
        try:
            yield account
        finally:
            account.trust()
            self._add(-account.held)

    def _hold(self, account: "_Account", count: int) -> None:
        if self._held + count > self._max_bytes:
            self._refuse()
        account.held += count
        self._add(count)

    def _hold_keyless(self, account: "BodyAccount", count: int) -> None:
        of_address = self._keyless[account.address] + count
        if of_address > self._max_of_address or self._keyless.total() + count > self._max_keyless:
            self._refuse()
        self._hold(account, count)
        self._keyless[account.address] = of_address

    def _trust(self, account: "BodyAccount") -> None:
        self._keyless[account.address] -= account.held
        if not self._keyless[account.address]:  # addresses come from outside: none is kept
            del self._keyless[account.address]

    def _refuse(self) -> None:
        self._metrics.refused.inc()
        raise Busy(FULL)

    def _add(self, count: int) -> None:
        self._held += count
        self._metrics.waiting_bytes.set(self._held)


class _Account:
    """What one request holds."""

    def __init__(self) -> None:
        self.held = 0


class BodyAccount(_Account):
    """What the body of one request holds, in the smaller share until its sender's key is known.

    Keys may be in a JSON body, so it has to be read first. The share lets callers without a key
    not take the place of those who have one.
    """

    def __init__(self, waiting: WaitingBytes, address: str) -> None:
        """Hold nothing yet."""
        super().__init__()
        self.address = address
        self.is_trusted = False
        self._waiting = waiting

    def hold(self, count: int) -> None:
        """Hold more bytes; Busy where they are too many."""
        if self.is_trusted:
            self._waiting._hold(self, count)
        else:
            self._waiting._hold_keyless(self, count)

    def trust(self) -> None:
        """From now on the sender has shown a key: the smaller share is free for others."""
        if not self.is_trusted:
            self.is_trusted = True
            self._waiting._trust(self)
