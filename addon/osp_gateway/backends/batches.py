"""A DeleteObjects request whose body is another than the client's: only some of its keys go on."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from osp_gateway.backends.bodies import BodyPlan, BodyRecipe
from osp_gateway.sigv4.checksums import CONTENT_MD5, PREFIX, SDK_ALGORITHM, TRAILER
from osp_gateway.sigv4.chunked_codecs import DECODED_LENGTH

_OF_THE_BODY: Final = frozenset(
    {"content-encoding", "content-length", CONTENT_MD5, DECODED_LENGTH, SDK_ALGORITHM, TRAILER}
)
"""Headers that speak of the client's body; the checksum headers do, too."""


class WrittenBody:
    """A body of the gateway's own making, in the place of one that was taken and checked."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def feed(self, data: bytes) -> bytes:  # noqa: ARG002  (the client's body came to its end before)
        """See `BodyCodec`."""
        return b""

    def finish(self) -> bytes:
        """See `BodyCodec`."""
        return self._body


def written_plan(recipe: BodyRecipe, body: bytes) -> BodyPlan:
    """The recipe's request with another `body`, of which everything that is said in the head is said anew.

    S3 wants a checksum with DeleteObjects: it gets Content-MD5, which every store knows.
    """
    kept = [(name, value) for name, value in recipe.headers if name not in _OF_THE_BODY and not name.startswith(PREFIX)]
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    headers = [*kept, ("content-length", str(len(body))), (CONTENT_MD5, base64.b64encode(md5).decode())]
    payload_hash = hashlib.sha256(body).hexdigest()
    return BodyPlan(WrittenBody(body), lambda: tuple(recipe.signer(headers, payload_hash).headers), measured=True)
