"""Counts wrong keys by address: who tries many is told to wait."""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_S = 60.0
MAX_ADDRESSES = 10_000  # the one that failed longest ago is forgotten first
IPV6_NETWORK = 64  # bits: one customer has so many addresses that single ones say nothing


class FailedKeys:
    """At most so many failures in a minute from one address. The event loop owns it."""

    def __init__(self, max_failures: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `max_failures` in a minute; 0 allows any number. `clock` gives seconds."""
        self._max_failures = max_failures
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, address: str) -> bool:
        """Count one more failure; True where it is one too many."""
        if not self._max_failures:
            return False
        network = network_of(address)
        times = self._failures.setdefault(network, deque(maxlen=self._max_failures))
        self._failures.move_to_end(network)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        now = self._clock()
        too_many = len(times) == self._max_failures and now - times[0] < WINDOW_S
        times.append(now)
        return too_many


def network_of(address: str) -> str:
    """What one customer has: an IPv4 address, or the network of an IPv6 address.

    >>> network_of("192.0.2.1"), network_of("2001:db8::1")
    ('192.0.2.1', '2001:db8::/64')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed.packed, IPV6_NETWORK), strict=False))
