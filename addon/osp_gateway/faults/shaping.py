"""A message on its way, held back and cut up as a `Way` says. No clock and no socket: `now` is given, in seconds.

What goes in are the message's head, its data, and what stands at its end, in this order; each comes out of `ready` when
its time has come. The memory it takes is that of what waits: whoever feeds it looks at `octets` and stops reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from osp_gateway.faults.plan import BEFORE_THE_HEAD, Ending, Way

SECONDS_A_PIECE = 0.05
"""With a limited bandwidth, so much is let go at a time."""


@dataclass(frozen=True, slots=True)
class _Waiting[T]:
    due: float
    item: T
    octets: int = 0


class Shaper[T]:
    """One direction of one request."""

    def __init__(self, way: Way, make: Callable[[bytes], T], seed: str = "") -> None:
        """`make` turns a piece of data into what comes out; `seed` is for the sizes of slices."""
        self._way = way
        self._make = make
        self._random = Random(seed)  # noqa: S311 - a fault has to be the same each time
        self._waiting: deque[_Waiting[T]] = deque()
        self._last_due = 0.0
        self._passed = 0
        self._begun = False
        self._closing = way.closing
        self._ends_at: float | None = None
        self.octets = 0
        """Octets of data that wait."""

    @property
    def busy(self) -> bool:
        """Whether anything is held back, or the ending has yet to come."""
        return bool(self._waiting) or self._ends_at is not None

    @property
    def stopped(self) -> bool:
        """Whether nothing of what is yet to come will pass."""
        return self._ends_at is not None

    def head(self, item: T, now: float) -> None:
        """The message's head."""
        self._begin(now)
        self._put(item, 0.0, now)

    def data(self, data: bytes, now: float) -> None:
        """Some of its body."""
        data = self._corrupted(data)
        room = self._room()
        for piece in self._pieces(data if room is None else data[:room]):
            self._put(self._make(piece), self._pause(piece), now, len(piece))
        self._passed += len(data)
        if room is not None and len(data) > room:
            self._end(now)

    def last(self, item: T, now: float) -> None:
        """What stands at its end: there may be several, of which the first is late where closing is."""
        self._begin(now)
        closing, self._closing = self._closing, 0.0
        self._put(item, closing, now)

    def ready(self, now: float) -> Iterator[T]:
        """What is due."""
        while self._waiting and self._waiting[0].due <= now:
            one = self._waiting.popleft()
            self.octets -= one.octets
            yield one.item

    def ending(self, now: float) -> Ending | None:
        """The end that the connection has to take now, if it is that far."""
        over = self._ends_at is not None and not self._waiting and self._ends_at <= now
        return self._way.ending if over else None

    def due(self) -> float | None:
        """When to look again; None: when something else comes."""
        return self._waiting[0].due if self._waiting else self._ends_at

    def _begin(self, now: float) -> None:
        """Once: latency is before whatever comes first."""
        if self._begun:
            return
        self._begun = True
        self._last_due = now + self._way.latency
        if self._way.ending is not None and self._way.ending.after == BEFORE_THE_HEAD:
            self._end(now)

    def _end(self, now: float) -> None:
        if self._ends_at is None and self._way.ending is not None:
            self._ends_at = max(now, self._last_due) + self._way.ending.delay

    def _put(self, item: T, pause: float, now: float, octets: int = 0) -> None:
        if self._ends_at is not None:  # it will never arrive
            return
        self._last_due = max(now, self._last_due) + pause
        self._waiting.append(_Waiting(self._last_due, item, octets))
        self.octets += octets

    def _room(self) -> int | None:
        """How much of the body may still pass."""
        ending = self._way.ending
        return None if ending is None else max(0, ending.after - self._passed)

    def _corrupted(self, data: bytes) -> bytes:
        inside = [at - self._passed for at in self._way.corrupt if 0 <= at - self._passed < len(data)]
        if not inside:
            return data
        changed = bytearray(data)
        for at in inside:
            changed[at] ^= 1
        return bytes(changed)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        slices, rate, at = self._way.slices, self._way.rate, 0
        while at < len(data):
            size = len(data)
            if slices is not None:
                size = slices.size + self._random.randint(-slices.variation, slices.variation)
            if rate is not None:
                size = min(size, max(1, int(rate * SECONDS_A_PIECE)))
            yield data[at : at + size]
            at += size

    def _pause(self, piece: bytes) -> float:
        slices, rate = self._way.slices, self._way.rate
        return (slices.delay if slices is not None else 0.0) + (len(piece) / rate if rate is not None else 0.0)
