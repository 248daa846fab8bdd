"""What waits for HTTP/2 clients that read slowly: mitmproxy would buffer a response for them without a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http._events import ResponseData
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

MAX_BACKLOG_OCTETS: Final = 256 * 1024
"""What may wait for a stream's flow-control window (RFC 9113, section 5.2) before its backend is read no further."""
READ_ON_OCTETS: Final = MAX_BACKLOG_OCTETS // 4

Throttle = Callable[[int, bool], None]
"""Called with a stream's number and whether its client is behind its backend."""


def nobody_to_throttle(_stream_id: int, _behind: bool) -> None:
    """For connections without backends."""


class Backlogs:
    """Tells when a stream's client falls behind its backend, and when it has caught up."""

    def __init__(self, connection: BufferedH2Connection, throttle: Throttle) -> None:
        self._buffers = connection.stream_buffers
        self._throttle = throttle
        self._behind: set[int] = set()

    def octets(self, stream_id: int) -> int:
        """How much of a response waits for the client to take it."""
        return sum([len(piece.data) for piece in self._buffers.get(stream_id, ())])

    def after(self, event: events.Event) -> None:
        """Look at the streams that an event may have concerned, once it has been handled."""
        if isinstance(event, ResponseData):
            self._look_at(event.stream_id)
        elif isinstance(event, events.DataReceived):
            for stream_id in tuple(self._behind):
                self._look_at(stream_id)

    def _look_at(self, stream_id: int) -> None:
        waiting = self.octets(stream_id)
        if waiting > MAX_BACKLOG_OCTETS and stream_id not in self._behind:
            self._behind.add(stream_id)
            self._throttle(stream_id, True)
        elif waiting <= READ_ON_OCTETS and stream_id in self._behind:
            self._behind.discard(stream_id)
            self._throttle(stream_id, False)
