"""Clients that send too slowly, do not read, or wait for a store from which nothing comes.

The connection's clock looks at each request now and then (`PacedStream.stalled`); what it finds is told to the request
as an event, so that it ends there as any other error does. Only time in which the client could have done better counts
against it: while a store is behind, mitmproxy reads no further from the client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._events import RequestData

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.refusals import TIMED_OUT, note_end
from osp_gateway.mitm.sending import SendingStream
from osp_gateway.s3.errors import S3Error

Commands = Generator[commands.Command, Any, None]


@dataclass
class Stalled(events.Event):
    """Nothing has moved on a request for too long, or its body comes too slowly."""

    too_slow: bool = False
    store_is_behind: bool = False


class PacedStream(SendingStream):
    """What a request knows of its pace."""

    def __init__(self, context: Context, stream_id: int, desk: Desk, backlog: Callable[[int], int]) -> None:
        """`backlog` says how much of a stream's response waits for the client's window."""
        super().__init__(context, stream_id, desk)
        self.backlog = backlog
        self.request_complete = False
        self.answered = False
        self.last_progress = time.monotonic()
        self.counted_since = self.last_progress
        self.counted_octets = 0
        self.untaken = -1
        self.untaken_since = 0.0
        self.store_untaken = -1
        self.store_untaken_since = 0.0

    def note_progress(self, event: events.Event) -> None:
        """Something has come."""
        if isinstance(event, Stalled):
            return
        self.last_progress = time.monotonic()
        if isinstance(event, RequestData):
            self.counted_octets += len(event.data)

    def count_anew(self, now: float) -> None:
        """From here on the client's rate is measured."""
        self.counted_since, self.counted_octets = now, 0

    def stalled(self, now: float, *, reading: bool) -> Stalled | None:
        """What the request is to be told, if anything.

        Args:
            now: `time.monotonic`.
            reading: whether everything that the client sends is taken.
        """
        if self._paused:  # for a verdict or a connection, each of which has a limit of its own
            self.count_anew(now)
            return None
        if now - self.last_progress > self.desk.read_timeout:
            return None if self.store_takes_something(now) else Stalled(store_is_behind=not reading)
        if self.request_complete or self.answered or not reading:
            self.count_anew(now)
            return None
        seconds = now - self.counted_since
        if seconds < self.desk.read_timeout:
            return None
        too_slow = self.counted_octets < self.desk.limits.min_rate * seconds
        self.count_anew(now)
        return Stalled(too_slow=True) if too_slow else None

    def store_takes_something(self, now: float) -> bool:
        """Whether the store has taken any of what waits for it within the time that it has for that."""
        gate = self.desk.gates.get(self.context.server) if self.upstream_open else None
        untaken = gate.unsent() if gate is not None else 0
        if untaken != self.store_untaken:
            self.store_untaken, self.store_untaken_since = untaken, now
        return untaken > 0 and now - self.store_untaken_since < self.desk.read_timeout

    def give_up(self, event: Stalled) -> Commands:
        """End a request on which nothing moves any more, unless the client is still taking what there is for it.

        Raises:
            S3Error: RequestTimeout (400) where the client is to blame, else ServiceUnavailable (503).
        """
        if event.too_slow:
            raise S3Error("RequestTimeout", TIMED_OUT, reason="the body comes too slowly")
        if self.answered:
            yield from self.stop_draining()
        elif self.response_begun and self.client_is_behind():
            if not self.client_takes_something():
                yield from self.client_does_not_read()
        elif self.request_complete:
            raise S3Error.unavailable("The backend did not answer in time. Please try again.")
        elif event.store_is_behind:
            raise S3Error.unavailable("The backend takes no more of the request. Please try again.")
        else:
            raise S3Error("RequestTimeout", TIMED_OUT)

    def client_is_behind(self) -> bool:
        """Whether the client has yet to take what there is for it: then nobody waits for the backend."""
        gate = self.desk.gates.get(self.context.client)
        return self.backlog(self.stream_id) > 0 or (gate is not None and gate.is_behind())

    def client_takes_something(self) -> bool:
        """Whether the client has taken anything within the time that it has for it."""
        now, gate = time.monotonic(), self.desk.gates.get(self.context.client)
        untaken = self.backlog(self.stream_id) or (gate.unsent() if gate else 0)
        if untaken != self.untaken:
            self.untaken, self.untaken_since = untaken, now
        return now - self.untaken_since < self.desk.read_timeout

    def client_does_not_read(self) -> Commands:
        """Cut the client off. Where the connection itself is stuck, nothing that is sent would arrive."""
        gate = self.desk.gates.get(self.context.client)
        note_end(self.context.client, "the client does not read its answer")
        if gate is not None and gate.is_behind():
            gate.abort()
        else:
            yield from self.break_off(
                S3Error("RequestTimeout", TIMED_OUT, reason="the client does not read its answer")
            )

    def stop_draining(self) -> Commands:
        """Listen no longer to what nobody wants."""
        raise NotImplementedError

    def break_off(self, error: S3Error) -> Commands:
        """End the request with an error."""
        raise NotImplementedError
