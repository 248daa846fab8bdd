"""HTTP/1.1 with clients: what mitmproxy reads without a limit is bounded here."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any, Final

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import ResponseHeaders
from mitmproxy.proxy.layers.http._http1 import Http1Server

from osp_gateway.s3.errors import S3Error

Commands = Generator[commands.Command, Any, None]

MAX_HEAD_OCTETS: Final = 64 * 1024
"""A request's head, and what a client may send ahead of the answer to its last request."""


class ClientHttp1(Http1Server):
    """HTTP/1.1 with a client whose heads, and whose requests sent ahead, have a bound.

    Where `last` is set, the connection ends with the response that is sent next.
    """

    last = False

    @property
    def idle(self) -> bool:
        """Whether nothing has come of a next request."""
        return self.state == self.read_headers and not len(self.buf)

    def send(self, event: HttpEvent) -> Commands:
        """Tell the client about the end of the connection (RFC 9112, section 9.6)."""
        if self.last and isinstance(event, ResponseHeaders) and event.response.status_code >= 200:
            event.response.headers["connection"] = "close"
        yield from super().send(event)

    def _handle_event(self, event: events.Event) -> Commands:
        yield from super()._handle_event(event)
        if isinstance(event, events.DataReceived) and len(self.buf) > MAX_HEAD_OCTETS:
            if self.state == self.read_headers:
                yield commands.SendData(self.conn, _too_large())
                yield from self.hang_up()
            elif self.state == self.wait:
                yield from self.hang_up()

    def hang_up(self) -> Commands:
        """Read nothing more from this client."""
        self.state = self.done
        yield commands.CloseConnection(self.conn)


def _too_large() -> bytes:
    error = S3Error(
        "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed request header size."
    )
    document = error.document("", os.urandom(8).hex().upper())
    headers = http.Headers([(b"content-type", b"application/xml"), (b"connection", b"close")])
    raw: bytes = http1.assemble_response(http.Response.make(error.status, document, headers))
    return raw
