"""What recordings call things: written by `recording`, read by `rereading`."""

from __future__ import annotations

from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD

METADATA: Final = "osp"
"""Where in a flow's metadata the recording is."""
SIGNED_BY: Final = "x-osp-signed-by"
"""A header of recorded requests, which is not sent again: who signed. In formats that have no room for metadata, such
as HAR, it is all that is left of them.
"""
BODY: Final = "x-osp-body"
"""A header of recorded requests and answers, `LENGTH SHA256` of the body: HAR has no place for bodies that were not
kept, and holds others decoded.
"""


def is_hash(mode: str) -> bool:
    """Whether an `x-amz-content-sha256` is no literal."""
    return mode != UNSIGNED_PAYLOAD and not mode.startswith("STREAMING-")


def expires_of(head: RequestHead) -> int:
    """The life of a presigned URL in seconds; an hour where it says nothing of use."""
    query = dict(encoding.parse_query(head.query))
    text = query.get("X-Amz-Expires", "")
    return int(text) if text.isdecimal() and len(text) < 8 else 3600
