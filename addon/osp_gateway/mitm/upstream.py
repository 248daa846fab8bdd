"""Connections to backends: which one a request may ride on, and what is read from it."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from h11._readers import ChunkedReader as LenientChunks
from mitmproxy import connection, http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpClient, RegisterHttpConnection
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client

from osp_gateway.backends.routes import Destination
from osp_gateway.mitm.desk import Desk, UpstreamTrust
from osp_gateway.mitm.quick_request import quick_request
from osp_gateway.outcomes import Forward
from osp_gateway.protocol.chunked import ChunkedReader
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

Commands = Generator[commands.Command, Any, None]

MAX_HEAD_OCTETS: Final = 64 * 1024
MAX_INTERIM: Final = 16
_STATUS_LINE_OCTETS: Final = 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n").match
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}[ \r\n]").match


@dataclass
class GetUpstream(GetHttpConnection):
    """A connection to a backend, shared only among requests that judge its certificate alike."""

    trust: UpstreamTrust | None = None
    desk: Desk | None = None
    fresh: bool = False
    """Whether it must be a connection that nobody has used before."""

    def __hash__(self) -> int:
        return id(self)

    def connection_spec_matches(self, connection: connection.Connection) -> bool:
        """Whether an open connection will do."""
        return (
            super().connection_spec_matches(connection)
            and self.desk is not None
            and self.desk.trust.get(connection) == self.trust  # type: ignore[call-overload]
        )


class ClosedUnanswered(ResponseProtocolError):
    """The connection's end came before a single octet of the response.

    On a connection that had been `used` before, the backend most likely had closed it while it was idle.
    """

    def __init__(self, stream_id: int, used: bool) -> None:
        super().__init__(stream_id, "server closed connection", ErrorCode.GENERIC_SERVER_ERROR)
        self.used = used


class GatewayFailed(ResponseProtocolError):
    """It is our own code that failed while a response was read."""


class UpstreamHttp1(Http1Client):
    """HTTP/1.1 with a backend, whose interim responses (100, 103) are not taken for the answer.

    The gateway has answered its client's `Expect` itself and S3 has no use for early hints: they are dropped, as
    RFC 9110, section 15.2, lets a proxy do with what it did not ask for. 101 is none of them, see `GatewayStream`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests = 0
        self.response_octets = False
        self.interim = 0
        self.chunks: ChunkedReader | None = None

    def _handle_event(self, event: events.Event) -> Commands:
        try:
            yield from super()._handle_event(event)
        except Exception as error:
            log.exception("a response could not be read")
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            if self.stream_id:
                reason = f"{type(error).__name__} in the transport"
                yield ReceiveHttp(GatewayFailed(self.stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR))

    def send(self, event: HttpEvent) -> Commands:
        """Send a part of a request; after its abandonment nothing that comes on this connection is its answer."""
        if isinstance(event, RequestHeaders):
            self.requests += 1
            self.response_octets = False
            self.interim = 0
        yield from super().send(event)
        if isinstance(event, RequestProtocolError):
            self.state = self.done

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """Skip interim heads, then read the response's, within bounds and in HTTP/1 only."""
        if isinstance(event, events.ConnectionClosed) and self.stream_id and not self.response_octets:
            yield commands.CloseConnection(self.conn)
            yield ReceiveHttp(ClosedUnanswered(self.stream_id, self.requests > 1))
            return
        if isinstance(event, events.DataReceived) and self.request is not None:
            self.response_octets = True
            while interim := self.interim <= MAX_INTERIM and _INTERIM(bytes(self.buf)) is not None:
                if self.buf.maybe_extract_lines() is None:
                    break  # the rest of the interim head has yet to come
                self.interim += 1
            if problem := self.problem_with_head(bytes(self.buf)):
                yield from self.unreadable(problem)
                return
            if interim or not self.buf:
                return
        yield from super().read_headers(event)

    def problem_with_head(self, received: bytes) -> str:
        """What is wrong with what has come of a response's head; empty where it may become one."""
        if self.interim > MAX_INTERIM:
            return f"more than {MAX_INTERIM} interim answers"
        if b"\n" in received[:_STATUS_LINE_OCTETS] and not _STATUS_LINE(received):
            return "its first line is no status line of HTTP/1"
        if len(received) > MAX_HEAD_OCTETS and b"\n\r\n" not in received[: MAX_HEAD_OCTETS + 3]:
            return f"its head is longer than {MAX_HEAD_OCTETS} octets"
        return ""

    def read_body(self, event: events.Event) -> Commands:
        """See the base class; chunks are read by `protocol.chunked`, as those of clients are."""
        if not isinstance(self.body_reader, LenientChunks):
            yield from super().read_body(event)
            return
        assert self.stream_id is not None
        if self.chunks is None:
            self.chunks = ChunkedReader()
        if not isinstance(event, events.DataReceived):
            yield from self.unreadable("its chunks end early")
            return
        try:
            data = self.chunks.feed(bytes(self.buf.maybe_extract_at_most(len(self.buf)) or b""))
        except S3Error as error:
            yield from self.unreadable(error.reason)
            return
        if data:
            yield ReceiveHttp(ResponseData(self.stream_id, data))
        if self.chunks.complete:
            self.buf += self.chunks.rest
            self.chunks = None
            yield ReceiveHttp(ResponseEndOfMessage(self.stream_id))
            yield from self.mark_done(response=True)

    def unreadable(self, problem: str) -> Commands:
        """The store's answer is not one."""
        assert self.stream_id is not None
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        reason = f"the backend's answer cannot be read: {problem}"
        yield ReceiveHttp(ResponseProtocolError(self.stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR))


class UpstreamClient(HttpClient):
    """Opens the connection; S3 is spoken over HTTP/1.1."""

    def _handle_event(self, event: events.Event) -> Commands:
        problem: str | None = yield commands.OpenConnection(self.context.server)
        if not problem:
            self.child_layer = UpstreamHttp1(self.context)
            self._handle_event = self.child_layer.handle_event  # type: ignore[method-assign]
            yield from self.child_layer.handle_event(event)
        yield RegisterHttpConnection(self.context.server, problem)


def upstream_request(forward: Forward) -> http.Request:
    """The request as the backend gets it."""
    endpoint = forward.destination.endpoint
    return quick_request(
        method=forward.method.encode("latin-1"),
        path=forward.target.encode("latin-1"),
        fields=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in forward.headers],
        host=endpoint.host,
        port=endpoint.port,
        scheme=b"https" if endpoint.tls else b"http",
    )


def server_name(destination: Destination) -> str:
    """The name that the backend's certificate must carry."""
    authority = destination.authority
    if authority.startswith("["):
        return authority[1 : authority.index("]")]
    return authority.partition(":")[0]


def dial_host(name: str) -> str:
    """The address to connect to: `localhost` and names below it are loopback (RFC 6761, section 6.3)."""
    return "127.0.0.1" if name == "localhost" or name.endswith(".localhost") else name
