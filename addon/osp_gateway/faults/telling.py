"""Whether a store can find out what was done to a body on its way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from osp_gateway.sigv4.checksums import ALGORITHMS, CONTENT_MD5, TRAILER, is_composite

UNTOLD: Final = "; the store cannot tell: no hash or checksum goes with it"
_HASH: Final = "x-amz-content-sha256"
_UNSIGNED_CHUNKS: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SAYS: Final = re.compile(r"[0-9a-f]{64}|STREAMING-AWS4-[A-Z0-9-]+").fullmatch


def store_can_tell(headers: Mapping[str, str]) -> bool:
    """Whether a request's head, as the store gets it, says something of its body that would not be true any more.

    Args:
        headers: by lower-case name.
    """
    if CONTENT_MD5 in headers or any(name in headers and not is_composite(headers[name]) for name in ALGORITHMS):
        return True
    kind = headers.get(_HASH, "")
    return _SAYS(kind) is not None or (kind == _UNSIGNED_CHUNKS and TRAILER in headers)
