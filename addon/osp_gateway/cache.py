"""A bounded cache with a time to live per entry that computes a missing entry once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple, Protocol

from cachetools import TLRUCache

from osp_gateway.tallies import CacheTally


class Entry[V](NamedTuple):
    """A computed value and how long it may be kept, in seconds; 0 keeps it not at all."""

    value: V
    ttl: float


class SecondLevel[K: Hashable, V](Protocol):
    """Where a cache looks for what it does not have. Never raises."""

    async def load(self, key: K) -> Entry[V] | None:
        """An entry with the time that is left to it."""

    async def save(self, key: K, entry: Entry[V]) -> None:
        """Keep an entry."""


class SingleFlightCache[K: Hashable, V]:
    """Values by key. However many ask for a missing one at the same time, it is computed once.

    Errors are not kept: all who waited get the error, the next one asks again.
    """

    def __init__(
        self,
        size: int,
        timer: Callable[[], float] = time.monotonic,
        second: SecondLevel[K, V] | None = None,
        *,
        tally: CacheTally | None = None,
    ) -> None:
        """Hold up to `size` entries.

        `timer` gives seconds; `second` is asked before anything is computed; `tally` counts what is found.
        """
        self._second = second
        self._tally = tally or CacheTally()
        self._entries: TLRUCache[K, Entry[V]] = TLRUCache(size, _time_to_use, timer)
        self._flights: dict[K, asyncio.Task[Entry[V]]] = {}

    def peek(self, key: K) -> V | None:
        """The value if it is there and fresh, without waiting."""
        value = self.glance(key)
        if value is not None:
            self._tally.hits += 1
        return value

    def glance(self, key: K) -> V | None:
        """See `peek`; it is not counted."""
        # Not `.get`, which looks a key up three times: 4 us against 1.2 us.
        try:
            entry: Entry[V] = self._entries[key]
        except KeyError:
            return None
        return entry.value

    async def get(self, key: K, compute: Callable[[], Awaitable[Entry[V]]], *, share: bool = True) -> V:
        """The value of `key`, computed if need be.

        Args:
            key: what to look up.
            compute: makes the entry; runs in a task of its own, so that one waiter's end is not the others'.
            share: False asks anew for every caller (a time to live of 0), kept or not.
        """
        if not share:
            self._tally.misses += 1
            return (await compute()).value
        found = self.peek(key)
        if found is not None:
            return found
        self._tally.misses += 1
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._fly(key, compute))
            flight.add_done_callback(_retrieve)
            if not flight.done():
                self._flights[key] = flight
        return (await asyncio.shield(flight)).value

    def clear(self) -> None:
        """Forget all entries; computations under way go on for those who wait."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    async def _fly(self, key: K, compute: Callable[[], Awaitable[Entry[V]]]) -> Entry[V]:
        try:
            entry = await self._second.load(key) if self._second is not None else None
            found = entry is not None
            if entry is None:
                entry = await compute()
            if entry.ttl > 0:
                self._entries[key] = entry
                if self._second is not None and not found:
                    await self._second.save(key, entry)
            return entry
        finally:
            self._flights.pop(key, None)


def _retrieve(flight: asyncio.Task[Entry[Any]]) -> None:
    """Mark an error as seen: every waiter may have gone before it came."""
    if not flight.cancelled():
        flight.exception()


def _time_to_use[K, V](_key: K, entry: Entry[V], now: float) -> float:
    return now + entry.ttl
