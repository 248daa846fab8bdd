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
        connections_per_address: connections open at once from one client address; 0: any number.
        requests_per_connection: requests under way at once on one connection of HTTP/2; 0: any number.
        requests_in_flight: requests under way at once in all; 0: any number.
        min_rate: octets in a second that a body must bring, over each `read_timeout` seconds; 0: any.
        max_chunk: a signed aws-chunked chunk.
        hold: decoded bodies of up to this size are held whole, so that checksum and hash go ahead of them.
    """

    head_octets: int = 64 * KIB
    head_fields: int = 200
    url_octets: int = 16 * KIB
    head_timeout: float = 15.0
    connections_per_address: int = 1024
    requests_per_connection: int = 100
    requests_in_flight: int = 4096
    min_rate: int = 512
    max_chunk: int = 16 * MIB
    hold: int = MIB


DEFAULT_LIMITS: Final = Limits()
