"""Answers to clients whose requests could not be read, and the flows in which a person sees them.

Nothing waits for what an addon does with such a flow: the client has its answer already.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from typing import Final

from mitmproxy import http
from mitmproxy.connection import Client
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpResponseHook

from osp_gateway.mitm.columns import visible
from osp_gateway.mitm.showing import Showing
from osp_gateway.mitm.wire import REFUSED_MARK, head_of
from osp_gateway.s3.errors import S3Error, new_request_id

log = logging.getLogger(__name__)

MAX_SHOWN_OCTETS: Final = 2048
_ILLEGIBLE: Final = re.compile(rb"[^\x21-\x7e]")
TIMED_OUT: Final = (
    "Your socket connection to the server was not read from or written to within the timeout period. "
    "Idle connections will be closed."
)


def timed_out() -> S3Error:
    """A head that does not come to its end."""
    return S3Error("RequestTimeout", TIMED_OUT, reason="the head was not complete in time")


def address_of(client: Client) -> str:
    """The client's address, for people."""
    return str(client.peername[0])


def note_refusal(client: Client, error: S3Error) -> None:
    """A line for the operator."""
    log.info("%s: a request that cannot be read is refused: %s", address_of(client), error.reason)


def note_end(client: Client, reason: str) -> None:
    """A line for the operator, where a connection is closed without an answer."""
    log.info("%s: connection closed: %s", address_of(client), reason)


def refusal(error: S3Error, *, without_body: bool) -> http.Response:
    """The error as S3 would send it; the answer to HEAD has no body."""
    request_id = new_request_id()
    headers = http.Headers(
        [
            (b"content-type", b"application/xml"),
            (b"date", formatdate(usegmt=True).encode()),
            (b"x-amz-request-id", request_id.encode()),
        ]
    )
    return http.Response.make(error.status, b"" if without_body else error.document("", request_id), headers)


def unreadable(octets: bytes, most: int) -> http.Request:
    """As much as can be said of a head that could not be read; its first `most` octets are the request's body."""
    line, *lines = octets.split(b"\r\n\r\n")[0].split(b"\n")
    method, _, rest = line.strip().partition(b" ")
    fields = [(name.strip(), value.strip()) for name, colon, value in (each.partition(b":") for each in lines) if colon]
    return request_of(method, rest.split(b" ")[0], fields, octets[:most] if most else None)


def request_of(
    method: bytes, path: bytes, fields: Sequence[tuple[bytes, bytes]], content: bytes | None = None
) -> http.Request:
    """A request that nobody but a person will look at: no terminal may take its first line for commands."""
    now = time.time()
    method, path = (_ILLEGIBLE.sub(b"?", text[:MAX_SHOWN_OCTETS]) for text in (method, path))
    return http.Request("", 0, method, b"", b"", path, b"HTTP/1.1", http.Headers(fields), content, None, now, now)


def _make_addressable(flow: http.HTTPFlow) -> None:
    """One flow without an address that can be read makes all of a HAR file unreadable for mitmproxy."""
    data, host = flow.request.data, flow.client_conn.sockname[:2]
    data.scheme = b"https" if flow.client_conn.tls else b"http"
    data.host, data.port = str(host[0]), int(host[1])
    if not data.path.startswith(b"/"):
        data.path = b"/" + data.path
    if data.method.upper() == b"CONNECT":
        data.method += b"?"
    host_header = _HOST(",".join(flow.request.headers.get_all("host")))
    if host_header is None or int(host_header[1] or 0) > _HIGHEST_PORT:
        renamed = [(_UNREADABLE_HOST if n.lower() == b"host" else n, value) for n, value in data.headers.fields]
        data.headers = http.Headers(renamed)


_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}(?::([0-9]{1,5}))?)?").fullmatch
_HIGHEST_PORT: Final = 65535
_UNREADABLE_HOST: Final = b"x-unreadable-host"


def shown(
    context: Context, request: http.Request, error: S3Error, response: http.Response, showing: Showing
) -> Iterator[StartHook]:
    """The commands that let addons see a refused request, masked: for nothing of it does the connection wait."""
    flow = http.HTTPFlow(context.client, context.server)
    flow.request, flow.response = request, response
    response.timestamp_start = response.timestamp_end = request.timestamp_start
    flow.marked = REFUSED_MARK
    scrub = showing.scrubber(head_of(flow))
    flow.comment = scrub(visible(f"REFUSED, the request cannot be read: {error.reason}"))
    showing.unreadable(flow)
    _make_addressable(flow)
    for hook in (HttpRequestHeadersHook(flow), HttpResponseHook(flow)):
        hook.blocking = False
        yield hook
