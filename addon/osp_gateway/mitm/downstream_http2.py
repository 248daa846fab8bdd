"""HTTP/2 with clients: a stream that is answered early ends there and then, its connection lives."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from h2.errors import ErrorCodes
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http._events import ResponseEndOfMessage
from mitmproxy.proxy.layers.http._http2 import Http2Server

Commands = Generator[commands.Command, Any, None]


class AnsweredEarly(ResponseEndOfMessage):
    """A response is complete, and what the client may still send of its request is of no interest."""


class ClientHttp2(Http2Server):
    """HTTP/2 with a client."""

    def _handle_event(self, event: events.Event) -> Commands:
        yield from super()._handle_event(event)
        if isinstance(event, AnsweredEarly):
            yield from self.stop_request(event.stream_id)

    def stop_request(self, stream_id: int) -> Commands:
        """Ask the client to stop sending: RFC 9113, section 8.1.

        Not while part of the answer waits for the client's flow-control window: a reset would throw that away.
        """
        if not self.is_closed(stream_id) and not self.h2_conn.stream_buffers.get(stream_id):
            self.h2_conn.reset_stream(stream_id, ErrorCodes.NO_ERROR)
            self.streams.pop(stream_id, None)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())
