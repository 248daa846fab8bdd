"""Whole aws-chunked requests, signed by botocore, with chunks signed by the tests' own encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from support import aws_chunked
from support.processes import CLIENT_SECRET
from support.signing import Raw, signed


@dataclass(frozen=True)
class Upload:
    """A body to be sent in chunks; the attributes that tests change have the right values by default."""

    mode: str
    data: bytes
    chunk: int = 8192
    trailers: tuple[tuple[str, str], ...] | None = None
    declared: int | None = None
    coding: str = "aws-chunked"
    more: tuple[tuple[str, str], ...] = ()

    def request(self, port: int, path: str, **signing: object) -> Raw:
        """The request with a Content-Length."""
        length = len(self.data) if self.declared is None else self.declared
        headers = [("Content-Encoding", self.coding), ("x-amz-decoded-content-length", str(length)), *self.more]
        if self.mode.endswith("TRAILER"):
            headers.append(("x-amz-trailer", aws_chunked.CRC32))
        head = signed(port, "PUT", path, headers=tuple(headers), payload_hash=self.mode, **signing)  # type: ignore[arg-type]
        body = self.body(signer_for(head))
        return head.with_changed("Content-Length", lambda _: str(len(body))).but(body=body)

    def body(self, signer: aws_chunked.Signer) -> bytes:
        """The encoded body."""
        chunks: Sequence[bytes] = aws_chunked.split(self.data, self.chunk)
        return aws_chunked.encode(self.mode, chunks, trailers=self.trailers, signer=signer)


def signer_for(head: Raw, secret: str = CLIENT_SECRET) -> aws_chunked.Signer:
    """Chunk signatures start with the head's."""
    found = re.search(r"Credential=[^/]+/([^,]+),.*Signature=([0-9a-f]{64})", head.header("authorization"))
    assert found is not None
    return aws_chunked.Signer(secret, found[2], head.header("x-amz-date"), found[1])


def in_http_chunks(request: Raw, size: int = 1000) -> Raw:
    """The same with HTTP's own chunked coding around the body, as the C++ SDK sends it."""
    pieces = aws_chunked.split(request.body, size)
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return request.without("content-length").plus("Transfer-Encoding", "chunked").but(body=body)
