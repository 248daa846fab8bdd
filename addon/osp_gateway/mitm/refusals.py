"""Answers to clients whose requests could not be read: there is no flow for them, only a line in the log."""

from __future__ import annotations

import logging
import os
from email.utils import formatdate
from typing import Final

from mitmproxy import http
from mitmproxy.connection import Client

from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

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
    request_id = os.urandom(8).hex().upper()
    headers = http.Headers(
        [
            (b"content-type", b"application/xml"),
            (b"date", formatdate(usegmt=True).encode()),
            (b"x-amz-request-id", request_id.encode()),
        ]
    )
    return http.Response.make(error.status, b"" if without_body else error.document("", request_id), headers)
