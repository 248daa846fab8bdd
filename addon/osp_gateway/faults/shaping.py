"""A message on its way, held back and cut up as a `Way` says. No clock and no socket: `now` is given, in seconds.

What goes in are the message's head, its data, and what stands at its end, in this order; each comes out of `ready` when
its time has come. The memory it takes is that of what waits: whoever feeds it looks at `octets` and stops reading. Data
is cut into pieces as they go out: pieces of an octet each would take a hundred times as much.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from osp_gateway.faults.plan import BEFORE_THE_HEAD, Ending, Reached, Way

SECONDS_A_PIECE = 0.05
"""With a limited bandwidth, so much is let go at a time."""


@dataclass(frozen=True, slots=True)
class _Item[T]:
    """What goes out as it is."""

    arrived: float
    pause: float
    item: T


@dataclass(slots=True)
class _Data:
    """What goes out in pieces; those before `at` are gone."""

    arrived: float
    data: bytes
    at: int = 0


@dataclass(frozen=True, slots=True)
class _Next:
    """What goes out first of all, and when; of data so many octets."""

    due: float
    octets: int = 0


class Shaper[T]:
    """One direction of one request."""

    def __init__(self, way: Way, make: Callable[[bytes], T], seed: str = "") -> None:
        """`make` turns a piece of data into what comes out; `seed` is for the sizes of slices."""
        self._way = way
        self._make = make
        self._random = Random(seed)  # noqa: S311 - a fault has to be the same each time
        self._waiting: deque[_Item[T] | _Data] = deque()
        self._first: _Next | None = None
        self._last_due = 0.0
        self._passed = 0
        self._begun = False
        self._closing = way.closing
        self._ended: float | None = None
        self.octets = 0
        """Octets of data that wait."""

    @property
    def busy(self) -> bool:
        """Whether anything is held back, or the ending has yet to come."""
        return bool(self._waiting) or self.stopped

    @property
    def stopped(self) -> bool:
        """Whether nothing of what is yet to come will pass."""
        return self._ended is not None

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return self._begun

    def has(self, moment: Reached) -> bool:
        """Whether the message has been at a moment."""
        return self._begun and self._way.has(moment, self._passed)

    def head(self, item: T, now: float) -> None:
        """The message's head."""
        self._begin(now)
        self._put(_Item(now, 0.0, item))

    def data(self, data: bytes, now: float) -> None:
        """Some of its body."""
        data = self._corrupted(data)
        room = self._room()
        passes = data if room is None else data[:room]
        if passes and not self.stopped:
            self._put(_Data(now, passes))
            self.octets += len(passes)
        self._passed += len(data)
        if room is not None and len(data) > room:
            self._end(now)

    def last(self, item: T, now: float) -> None:
        """What stands at its end: there may be several, of which the first is late where closing is."""
        self._begin(now)
        closing, self._closing = self._closing, 0.0
        self._put(_Item(now, closing, item))

    def ready(self, now: float) -> Iterator[T]:
        """What is due."""
        while self._waiting and (first := self._next()).due <= now:
            self._last_due, self._first = first.due, None
            yield self._take(first.octets)

    def ending(self, now: float) -> Ending | None:
        """The end that the connection has to take now, if it is that far."""
        ends_at = self._ends_at()
        over = ends_at is not None and not self._waiting and ends_at <= now
        return self._way.ending if over else None

    def due(self) -> float | None:
        """When to look again; None: when something else comes."""
        return self._next().due if self._waiting else self._ends_at()

    def _begin(self, now: float) -> None:
        """Once: latency is before whatever comes first."""
        if self._begun:
            return
        self._begun = True
        self._last_due = now + self._way.latency
        if self._way.ending is not None and self._way.ending.after == BEFORE_THE_HEAD:
            self._end(now)

    def _end(self, now: float) -> None:
        if self._ended is None:
            self._ended = now

    def _ends_at(self) -> float | None:
        """When the connection ends, as soon as nothing waits any more."""
        if self._ended is None or self._way.ending is None:
            return None
        return max(self._ended, self._last_due) + self._way.ending.delay

    def _put(self, one: _Item[T] | _Data) -> None:
        if not self.stopped:  # else it will never arrive
            self._waiting.append(one)

    def _next(self) -> _Next:
        """Found out once: the size of a slice is random."""
        if self._first is None:
            one = self._waiting[0]
            octets = min(self._size(), len(one.data) - one.at) if isinstance(one, _Data) else 0
            pause = self._pause(octets) if isinstance(one, _Data) else one.pause
            self._first = _Next(max(one.arrived, self._last_due) + pause, octets)
        return self._first

    def _take(self, octets: int) -> T:
        one = self._waiting[0]
        if isinstance(one, _Item):
            self._waiting.popleft()
            return one.item
        piece = one.data[one.at : one.at + octets]
        one.at += octets
        self.octets -= octets
        if one.at == len(one.data):
            self._waiting.popleft()
        return self._make(piece)

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

    def _size(self) -> int:
        """Of the next piece, at most."""
        slices, rate = self._way.slices, self._way.rate
        size = sys.maxsize
        if slices is not None:
            size = slices.size + self._random.randint(-slices.variation, slices.variation)
        return size if rate is None else min(size, max(1, int(rate * SECONDS_A_PIECE)))

    def _pause(self, octets: int) -> float:
        slices, rate = self._way.slices, self._way.rate
        return (slices.delay if slices is not None else 0.0) + (octets / rate if rate is not None else 0.0)
