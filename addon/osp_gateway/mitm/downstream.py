"""HTTP/1.1 with clients: heads and chunks are read by `protocol`, within limits; the rest is mitmproxy's.

A request that cannot be read gets an S3 error, and the connection ends: where the next request would begin is no
longer certain. It ends in the manner of RFC 9112, section 9.6: our side is closed, and what the client still sends is
thrown away for a while, so that a reset does not overtake the answer.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseHeaders,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server, make_body_reader

from osp_gateway.mitm.clock import ClockTick
from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.quick_request import quick_request
from osp_gateway.mitm.refusals import note_end, note_refusal, refusal, shown, timed_out, unreadable
from osp_gateway.protocol.chunked import ChunkedReader
from osp_gateway.protocol.http1 import Head, HeadReader
from osp_gateway.s3.errors import S3Error

Commands = Generator[commands.Command, Any, None]

LINGER_SECONDS: Final = 2.0
LINGER_OCTETS: Final = 4 * 1024 * 1024
"""How long, and how much, is read and thrown away when our side of a connection has been closed."""


@dataclass
class BodyRefused(HttpEvent):
    """A request's body cannot be read on."""

    error: S3Error


class ClientHttp1(Http1Server):
    """HTTP/1.1 with one client. Where `last` is set, the connection ends with the response that is sent next."""

    def __init__(self, context: Context, desk: Desk) -> None:
        super().__init__(context)
        self.desk = desk
        self.head = HeadReader(desk.limits)
        self.head_since: float | None = None
        self.idle_since = time.monotonic()
        self.served_any = False
        self.persistent = True
        self.chunks: ChunkedReader | None = None
        self.body_broken = False
        self.lingered = 0
        self.behind = False
        self.last = False

    @property
    def idle(self) -> bool:
        """Whether nothing has come of a next request."""
        return self.state == self.read_headers and not self.head.started and not len(self.buf)

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, ClockTick):
            yield from self.look_at_the_clock()
            return
        if isinstance(event, events.Wakeup):  # the one that `hang_up` asks for
            yield commands.CloseConnection(self.conn)
            return
        yield from super()._handle_event(event)
        self.hold_back()

    def hold_back(self) -> None:
        """Read no further while requests that were sent ahead wait for their turn."""
        behind = self.state == self.wait and len(self.buf) > self.desk.limits.head_octets
        if behind == self.behind:
            return
        self.behind = behind
        gate = self.desk.gates.get(self.context.client)
        if gate is not None:
            gate.close() if behind else gate.open()

    # Heads

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """See the base class; mitmproxy's own reader takes what two servers would read differently."""
        if not isinstance(event, events.DataReceived):
            yield commands.CloseConnection(self.conn)
            return
        try:
            head = self.head.feed(self.received())
        except S3Error as error:
            yield from self.refuse(error)
            return
        if head is not None:
            yield from self.begin(head)
        elif self.head.started and self.head_since is None:
            self.head_since = time.monotonic()

    def begin(self, head: Head) -> Commands:
        """A request's head is complete."""
        self.buf += self.head.rest()
        self.head, self.head_since = HeadReader(self.desk.limits), None
        self.served_any = True
        self.persistent = head.persistent
        self.request = quick_request(
            method=head.method, path=head.target, fields=head.fields, http_version=head.version
        )
        self.chunks = ChunkedReader() if head.length is None else None
        self.body_reader = make_body_reader(head.length)
        self.state = self.read_body
        yield ReceiveHttp(RequestHeaders(self.stream_id, self.request, head.length == 0))
        yield from self.state(events.DataReceived(self.conn, b""))

    def received(self) -> bytes:
        """What has arrived and not been read."""
        return bytes(self.buf.maybe_extract_at_most(len(self.buf)) or b"")

    def refuse(self, error: S3Error) -> Commands:
        """Answer a request that cannot be read, and end the connection."""
        note_refusal(self.context.client, error)
        response = refusal(error, without_body=self.head.is_head_request)
        response.headers["connection"] = "close"
        yield from shown(
            self.context, unreadable(self.head.rest(), self.desk.preview), error, response, self.desk.showing
        )
        self.desk.watch.unreadable(self.context.client, error.code, response)
        yield commands.SendData(self.conn, http1.assemble_response(response))
        yield from self.hang_up()

    # Bodies

    def read_body(self, event: events.Event) -> Commands:
        """See the base class; chunks are read by `protocol.chunked`."""
        if self.chunks is None or not isinstance(event, events.DataReceived):
            yield from super().read_body(event)
            return
        try:
            data = self.chunks.feed(self.received())
        except S3Error as error:
            self.body_broken = True
            self.state = self.linger
            yield ReceiveHttp(BodyRefused(self.stream_id, error))
            return
        if data:
            yield ReceiveHttp(RequestData(self.stream_id, data))
        if self.chunks.complete:
            self.buf += self.chunks.rest
            yield ReceiveHttp(RequestEndOfMessage(self.stream_id))
            yield from self.mark_done(request=True)

    # Answers

    def send(self, event: HttpEvent) -> Commands:
        """See the base class; the connection's own fields, and what HTTP/1.0 does not know, are seen to here."""
        if isinstance(event, ResponseHeaders) and self.request is not None:
            old = self.request.data.http_version == b"HTTP/1.0"
            if self.last and event.response.status_code >= 200:
                self.persistent = False
            if event.response.status_code < 200:
                if old:  # RFC 9110, section 15.2
                    return
            elif old or not self.persistent:
                event = ResponseHeaders(event.stream_id, self.adapted(event.response, old), event.end_stream)
        yield from super().send(event)

    def adapted(self, response: http.Response, old: bool) -> http.Response:
        """A copy for a client of HTTP/1.0, or one that wants the connection closed."""
        adapted = response.copy()
        assert self.request is not None
        if old and "transfer-encoding" in adapted.headers:
            del adapted.headers["transfer-encoding"]
        if old and http1.expected_http_body_size(self.request, adapted) == -1:
            self.persistent = False
        if not self.persistent:
            adapted.headers["connection"] = "close"
        elif "connection" not in adapted.headers:
            adapted.headers["connection"] = "keep-alive"
        return adapted

    def mark_done(self, *, request: bool = False, response: bool = False) -> Commands:
        """See the base class."""
        both = (self.request_done or request) and (self.response_done or response)
        if (response and self.body_broken) or (both and not self.persistent):
            yield from self.hang_up()
            return
        if both and self.request is not None and not self.request.is_http11:
            # The base class knows no Keep-Alive with capitals; that the client wants it has been found out already.
            self.request = self.request.copy()
            self.request.http_version = "HTTP/1.1"
        yield from super().mark_done(request=request, response=response)
        if both:
            self.idle_since = time.monotonic()

    # Ends

    def look_at_the_clock(self) -> Commands:
        """End a connection whose client takes too long over a head, or sends none."""
        if self.state != self.read_headers:
            return
        now, limits = time.monotonic(), self.desk.limits
        if self.head_since is not None:
            if now - self.head_since > limits.head_timeout:
                yield from self.refuse(timed_out())
        elif now - self.idle_since > (self.desk.read_timeout if self.served_any else limits.head_timeout):
            if not self.served_any:
                note_end(self.context.client, "no request came")
            self.desk.abort_if_behind(self.context.client)
            yield commands.CloseConnection(self.conn)

    def hang_up(self) -> Commands:
        """Send nothing more, and read for a while what nobody wants."""
        self.state = self.linger
        self.received()
        yield commands.CloseTcpConnection(self.conn, half_close=True)
        yield commands.RequestWakeup(LINGER_SECONDS)

    def linger(self, event: events.Event) -> Commands:
        """What a client sends that is not listened to any more."""
        self.lingered += len(self.received())
        if isinstance(event, events.ConnectionClosed) or self.lingered > LINGER_OCTETS:
            yield commands.CloseConnection(self.conn)
