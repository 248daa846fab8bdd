"""Time limits on heads: one timer for a connection, however many requests come on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mitmproxy.proxy import events

from osp_gateway.mitm.desk import Desk

ROUNDS_PER_TIMEOUT: Final = 4


@dataclass
class ClockTick(events.Event):
    """Time for a client's connection to see whether the client keeps its time limits.

    `busy` says whether requests are in flight.
    """

    busy: bool


def round_length(desk: Desk) -> float:
    """Seconds from one look at the clock to the next: what is over its limit lasts a quarter longer at most."""
    return min(desk.read_timeout, desk.limits.head_timeout) / ROUNDS_PER_TIMEOUT
