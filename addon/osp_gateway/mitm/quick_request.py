"""Requests made without mitmproxy's check of every field's type: of the 34 us that one takes, that check is 31.

A request through the gateway is two of mitmproxy's, the client's and the one for the store. What they are made of is
typed here, and checked when this code is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from mitmproxy import http

Field = tuple[bytes, bytes]


def quick_request(
    *,
    method: bytes,
    path: bytes,
    fields: Iterable[Field],
    host: str = "",
    port: int = 0,
    scheme: bytes = b"",
    http_version: bytes = b"HTTP/1.1",
) -> http.Request:
    """A request that begins now, without an authority of its own and without a body yet.

    Args:
        method, path, http_version: as in the request line; `path` is the whole target.
        fields: header names and values.
        host, port, scheme: of the server, where it is known.
    """
    data = http.RequestData.__new__(http.RequestData)
    vars(data).update(
        http_version=http_version,
        headers=http.Headers(fields),
        content=None,
        trailers=None,
        timestamp_start=time.time(),
        timestamp_end=None,
        host=host,
        port=port,
        method=method,
        scheme=scheme,
        authority=b"",
        path=path,
    )
    request = http.Request.__new__(http.Request)
    request.data = data
    return request
