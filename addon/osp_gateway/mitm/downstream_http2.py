"""HTTP/2 with clients: mitmproxy's side of it, with bounds.

A head over a limit, or one that HTTP/1.1 could not carry, gets an S3 error on its own stream. What concerns the
connection (header blocks without end, streams opened only to be reset, frames that ask for nothing) ends it with
ENHANCE_YOUR_CALM. The flow of PING and SETTINGS answers needs no bound of its own: mitmproxy reads no further while a
client does not read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from typing import Any, Final

import h2.errors
import h2.events
import h2.exceptions
from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._events import ResponseEndOfMessage, ResponseHeaders
from mitmproxy.proxy.layers.http._http2 import Http2Server, StreamState

from osp_gateway.mitm.backlog import Backlogs, Throttle, nobody_to_throttle
from osp_gateway.mitm.clock import ClockTick
from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.refusals import note_end, note_refusal, refusal, request_of, shown
from osp_gateway.protocol.http2 import check_head
from osp_gateway.s3.errors import S3Error

Commands = Generator[commands.Command, Any, None]

MAX_CANCELLED: Final = 100
"""Requests given up before they were answered, less those that were answered: as many as may be open at once."""
UNLIMITED: Final = 2**31 - 1
EXCESS_REFUSED: Final = 8
"""With this many times the streams that a client may open at once, its connection is over."""
MAX_IDLE_FRAMES: Final = 1000
"""Frames in a row that bring no request and no body."""
DECODED_PER_HEAD: Final = 4
"""A header list this many times over the limit is not even decoded to its end, and the connection is over."""
ENCODED_PER_HEAD: Final = 2
"""The same for the octets of a header block that has not come to its end."""
_HEADERS, _CONTINUATION = 0x1, 0x9

_WORDS: Final = re.compile(r"(?:[A-Za-z0-9 ,./_-](?!['\"]))*").match
_IDLE_FRAMES: Final = (
    h2.events.PingReceived,
    h2.events.RemoteSettingsChanged,
    h2.events.PriorityUpdated,
    h2.events.UnknownFrameReceived,
)


class AnsweredEarly(ResponseEndOfMessage):
    """A response is complete, and what the client may still send of its request is of no interest."""


class ClientHttp2(Http2Server):
    """HTTP/2 with one client."""

    def __init__(self, context: Context, desk: Desk, throttle: Throttle = nobody_to_throttle) -> None:
        """`throttle` learns which streams' clients are slower than their backends."""
        super().__init__(context)
        self.desk = desk
        self.backlogs = Backlogs(self.h2_conn, throttle)
        self.unanswered: set[int] = set()
        self.cancelled = 0
        self.idle_frames = 0
        self.served_any = False
        self.idle_since = time.monotonic()
        self.block_since: float | None = None
        self.over = False
        octets = desk.limits.head_octets
        self.h2_conn.local_settings.max_header_list_size = octets
        self.h2_conn.local_settings.max_concurrent_streams = desk.limits.requests_per_connection or UNLIMITED
        self.h2_conn.local_settings.acknowledge()
        self.h2_conn.decoder.max_header_list_size = DECODED_PER_HEAD * octets

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, ClockTick):
            yield from self.look_at_the_clock(event.busy)
            return
        if isinstance(event, ResponseHeaders) and event.response.status_code >= 200:
            self.unanswered.discard(event.stream_id)
            self.cancelled = max(0, self.cancelled - 1)
        yield from super()._handle_event(event)
        if isinstance(event, events.Start):
            self.take_more_than_is_said()
        self.backlogs.after(event)
        if isinstance(event, AnsweredEarly):
            yield from self.stop_request(event.stream_id)
        if isinstance(event, events.DataReceived) and not self.over:
            yield from self.watch_header_block()

    def take_more_than_is_said(self) -> None:
        """Requests in excess are refused one by one, within bounds: not every client waits for our settings."""
        said = self.h2_conn.local_settings.max_concurrent_streams
        self.h2_conn.local_settings.max_concurrent_streams = min(EXCESS_REFUSED * said, UNLIMITED)
        self.h2_conn.local_settings.acknowledge()

    def stop_request(self, stream_id: int) -> Commands:
        """Ask the client to stop sending: RFC 9113, section 8.1.

        Not while part of the answer waits for the client's flow-control window: a reset would throw that away.
        """
        if not self.is_closed(stream_id) and not self.h2_conn.stream_buffers.get(stream_id):
            self.h2_conn.reset_stream(stream_id, h2.errors.ErrorCodes.NO_ERROR)
            self.streams.pop(stream_id, None)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def handle_h2_event(self, event: h2.events.Event) -> Generator[commands.Command, Any, bool]:
        """See the base class."""
        if isinstance(event, h2.events.RequestReceived):
            if (yield from self.refused(event)):
                return False
        elif isinstance(event, h2.events.StreamReset):
            if event.stream_id in self.unanswered:
                # mitmproxy forgets a request whose end and reset come in one piece, and would see it through.
                self.streams[event.stream_id] = StreamState.HEADERS_RECEIVED
            if self.gave_up_too_often(event.stream_id):
                yield from self.end("requests are opened only to be reset")
                return True
        elif isinstance(event, h2.events.DataReceived) and event.data:
            self.idle_frames = 0
        elif isinstance(event, (*_IDLE_FRAMES, h2.events.DataReceived)):
            self.idle_frames += 1
            if self.idle_frames > MAX_IDLE_FRAMES:
                yield from self.end("frames come that ask for nothing")
                return True
        return (yield from super().handle_h2_event(event))

    def refused(self, event: h2.events.RequestReceived) -> Generator[commands.Command, Any, bool]:
        """Answer a head that is not taken; whether that was so."""
        self.served_any = True
        self.idle_since = time.monotonic()
        self.idle_frames = 0
        self.block_since = None
        fields = _fields(event)
        try:
            check_head(fields, self.desk.limits)
        except S3Error as error:
            note_refusal(self.context.client, error)
            response = refusal(error, without_body=(b":method", b"HEAD") in fields)
            yield from shown(self.context, _request(fields), error, response, self.desk.showing)
            self.desk.watch.unreadable(self.context.client, error.code, response)
            yield from self.answer(event.stream_id, response, event.stream_ended is not None)
            return True
        self.unanswered.add(event.stream_id)
        return False

    def answer(self, stream_id: int, response: http.Response, request_complete: bool) -> Commands:
        """Answer without a flow, and stop a body that nobody wants (RFC 9113, section 8.1)."""
        body = response.raw_content or b""
        head = [(b":status", b"%d" % response.status_code), *response.headers.fields]
        self.h2_conn.send_headers(stream_id, [(n.lower(), v) for n, v in head], end_stream=not body)
        if body:
            self.h2_conn.send_data(stream_id, body, end_stream=True)
        waits = self.h2_conn.stream_buffers.get(stream_id)  # for the flow-control window: a reset would throw it away
        if not request_complete and not waits and not self.is_closed(stream_id):
            self.h2_conn.reset_stream(stream_id, h2.errors.ErrorCodes.NO_ERROR)
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def gave_up_too_often(self, stream_id: int) -> bool:
        """Count a request that was reset before it was answered."""
        if stream_id in self.unanswered:
            self.unanswered.discard(stream_id)
            self.cancelled += 1
        return self.cancelled > MAX_CANCELLED

    def watch_header_block(self) -> Commands:
        """A header block that has not come to its end: since when, and whether it is too long already."""
        octets = self.octets_of_open_block()
        if not octets:
            self.block_since = None
        elif octets > ENCODED_PER_HEAD * self.desk.limits.head_octets:
            yield from self.end("a header block is too long")
        elif self.block_since is None:
            self.block_since = time.monotonic()

    def octets_of_open_block(self) -> int:
        """What hyper-h2 holds of a head that is not complete."""
        incoming = self.h2_conn.incoming_buffer
        held = sum([len(frame.data) for frame in incoming._headers_buffer])
        partial = incoming._data
        if len(partial) > 3 and partial[3] in (_HEADERS, _CONTINUATION):
            held += len(partial)
        return held

    def look_at_the_clock(self, busy: bool) -> Commands:
        """End a connection whose client takes too long over a head, or sends none."""
        if self.over:
            return
        now, limits = time.monotonic(), self.desk.limits
        if self.block_since is not None and now - self.block_since > limits.head_timeout:
            yield from self.end("a head was not complete in time")
        elif busy:
            self.idle_since = now
        elif now - self.idle_since > (self.desk.read_timeout if self.served_any else limits.head_timeout):
            reason = "" if self.served_any else "no request came"
            self.desk.abort_if_behind(self.context.client)
            yield from self.end(reason, h2.errors.ErrorCodes.NO_ERROR)

    def end(self, reason: str, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM) -> Commands:
        """Close the connection, and say so where there is a `reason`."""
        if reason:
            note_end(self.context.client, reason)
        self.h2_conn.close_connection(code)
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        yield from self.close_connection(reason or "idle")

    def protocol_error(self, message: str, error_code: int = h2.errors.ErrorCodes.PROTOCOL_ERROR) -> Commands:
        """See the base class. What hyper-h2 quotes of a header may be a secret, and is told neither in logs nor again
        to the client.
        """
        yield from super().protocol_error(_unquoted(message), error_code)

    def close_connection(self, msg: str) -> Commands:
        """See the base class."""
        self.over = True
        yield from super().close_connection(msg)


def _unquoted(message: str) -> str:
    """mitmproxy's words and hyper-h2's, up to what it quotes or puts behind a colon."""
    about, colon, words = message.partition(": ")
    known = _WORDS(words)
    return (about + colon + (known[0] if known is not None else "")).strip()


def _fields(event: h2.events.RequestReceived) -> Sequence[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in event.headers]


def _request(fields: Sequence[tuple[bytes, bytes]]) -> http.Request:
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    plain = [(name, value) for name, value in fields if not name.startswith(b":")]
    return request_of(pseudo.get(b":method", b""), pseudo.get(b":path", b""), plain)
