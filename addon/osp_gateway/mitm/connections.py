"""How many connections each client address has open."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES: Final = 60.0
IPV6_PREFIX: Final = 64
"""Whoever has one IPv6 address has all of a network of this size."""


class ConnectionCounter:
    """Counts connections by address; what is over the limit is reported once a minute, not once each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._entered: dict[str, str] = {}
        self._last_line = -SECONDS_BETWEEN_LINES
        self._unreported = 0
        self.entered = 0
        self.refused = 0

    @property
    def open(self) -> int:
        """How many there are now."""
        return len(self._entered)

    def enter(self, connection_id: str, address: str, limit: int) -> bool:
        """Whether one more connection from `address` may stay; `limit` 0 lets any number in."""
        network = network_of(address)
        if limit and self._counts[network] >= limit:
            self.refused += 1
            self._report(address, limit)
            return False
        self.entered += 1
        self._counts[network] += 1
        self._entered[connection_id] = network
        return True

    def leave(self, connection_id: str) -> None:
        """A connection has ended, whether or not it was let in."""
        network = self._entered.pop(connection_id, None)
        if network is None:
            return
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]

    def _report(self, address: str, limit: int) -> None:
        self._unreported += 1
        now = self._clock()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            log.warning(
                "%s has %d connections open, further ones are closed (%d since the last such line)",
                address,
                limit,
                self._unreported,
            )
            self._last_line, self._unreported = now, 0


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
