"""Answers to clients whose requests could not be read: a line in the log, and a flow with what is known of them."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Generator
from email.utils import formatdate
from typing import Any, Final

from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpResponseHook

from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

REFUSED_MARK: Final = ":no_entry:"
MAX_SHOWN_OCTETS: Final = 1024
_LEGIBLE: Final = re.compile(rb"[^\x21-\x7e]")
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


def flow_of(
    client: Client, server: Server, asked: tuple[bytes, bytes], error: S3Error, response: http.Response
) -> http.HTTPFlow:
    """A flow for people, of a request that nobody could read.

    Args:
        client: who sent it.
        server: of the connection's context.
        asked: its method and target, as far as they can be told; neither is believed.
        error: why it is refused.
        response: what the client gets.
    """
    method, target = (_LEGIBLE.sub(b"?", text[:MAX_SHOWN_OCTETS]) for text in asked)
    flow = http.HTTPFlow(client, server)
    now = time.time()
    flow.request = http.Request(
        host="",
        port=0,
        method=method or b"?",
        scheme=b"https" if client.tls_established else b"http",
        authority=b"",
        path=target or b"?",
        http_version=b"HTTP/1.1",
        headers=http.Headers(),
        content=None,
        trailers=None,
        timestamp_start=now,
        timestamp_end=now,
    )
    flow.response = response
    flow.comment = f"a request that cannot be read: REFUSED: {error.reason}"
    flow.marked = REFUSED_MARK
    return flow


def show(flow: http.HTTPFlow) -> Generator[commands.Command, Any, None]:
    """Let mitmproxy's views and files have it."""
    yield HttpRequestHeadersHook(flow)
    yield HttpResponseHook(flow)


def refusal(error: S3Error, *, without_body: bool) -> http.Response:
    """The error as S3 would send it; the answer to HEAD has no body."""
    request_id = os.urandom(8).hex().upper()
    headers = http.Headers(
        [
            (b"content-type", b"application/xml"),
            (b"date", formatdate(usegmt=True).encode()),
            (b"x-amz-request-id", request_id.encode()),
        ]
    )
    return http.Response.make(error.status, b"" if without_body else error.document("", request_id), headers)
