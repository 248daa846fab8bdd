"""Bounds on what clients may send and how slowly; an operator sets them in `limits`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds. Sizes are in octets, times in seconds.

    Args:
        head_octets: a request's head, request line and all.
        head_fields: header fields in it.
        url_octets: its target.
        head_timeout: for a head to be complete, from its first octet or the connection's start on.
        min_rate: octets a second that an upload must make on average, once it is older than `rate_grace`; 0: any.
        rate_grace: for how long an upload may be as slow as it likes.
        requests_per_connection: requests in flight at once on one connection.
        requests: requests in flight at once in all.
        connections_per_address: connections open at once from one client address; 0: any number.
        max_chunk: a signed aws-chunked chunk.
        hold: decoded bodies of up to this size are held whole, so that checksum and hash go ahead of them.
    """

    head_octets: int = 64 * KIB
    head_fields: int = 200
    url_octets: int = 16 * KIB
    head_timeout: float = 15.0
    min_rate: float = 256.0
    rate_grace: float = 60.0
    requests_per_connection: int = 128
    requests: int = 4096
    connections_per_address: int = 1024
    max_chunk: int = 16 * MIB
    hold: int = MIB


DEFAULT_LIMITS: Final = Limits()
