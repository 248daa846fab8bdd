"""An aws-chunked encoder for tests, written from AWS's documentation and not from the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
HMAC = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
HMAC_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
MODES = (UNSIGNED, HMAC, HMAC_TRAILER)
CRC32 = "x-amz-checksum-crc32"

AMZ_DATE = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY = hashlib.sha256(b"").hexdigest()


def signing_key(secret: str, scope: str = SCOPE) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


@dataclass
class Signer:
    """Signs chunks as a client does: one string to sign after the other."""

    secret: str = "fake-client-secret"
    previous: str = "c1" * 32
    amz_date: str = AMZ_DATE
    scope: str = SCOPE
    seed: str = field(init=False)

    def __post_init__(self):
        self.seed = self.previous

    def _sign(self, *lines: str) -> str:
        text = "\n".join(lines).encode()
        self.previous = hmac.new(signing_key(self.secret, self.scope), text, hashlib.sha256).hexdigest()
        return self.previous

    def chunk(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        return self._sign("AWS4-HMAC-SHA256-PAYLOAD", self.amz_date, self.scope, self.previous, EMPTY, digest)

    def trailers(self, canonical: bytes) -> str:
        digest = hashlib.sha256(canonical).hexdigest()
        return self._sign("AWS4-HMAC-SHA256-TRAILER", self.amz_date, self.scope, self.previous, digest)


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def encode(
    mode: str,
    chunks: Sequence[bytes],
    *,
    trailers: Sequence[tuple[str, str]] | None = None,
    signer: Signer | None = None,
    trailer_end: bytes = b"\r\n",
) -> bytes:
    """A body. `trailers` default to the right CRC32 in the modes that have any."""
    signer = signer or Signer()
    signed = mode != UNSIGNED
    if trailers is None:
        trailers = [(CRC32, crc32(b"".join(chunks)))] if mode.endswith("TRAILER") else []
    body = b""
    for chunk in (*chunks, b""):
        body += f"{len(chunk):x}".encode()
        if signed:
            body += b";chunk-signature=" + signer.chunk(chunk).encode()
        body += b"\r\n" + chunk
        if chunk:
            body += b"\r\n"
    for name, value in trailers:
        body += f"{name}:{value}".encode() + trailer_end
    if mode == HMAC_TRAILER:
        canonical = "".join(f"{name}:{value}\n" for name, value in trailers).encode()
        body += b"x-amz-trailer-signature:" + signer.trailers(canonical).encode() + b"\r\n"
    return body + b"\r\n"


def headers(mode: str, length: int, **more: str) -> dict[str, list[str]]:
    """The headers that announce a body of `length` octets; `more` with underscores for dashes."""
    fields = {"x-amz-content-sha256": [mode], "x-amz-decoded-content-length": [str(length)]}
    if mode.endswith("TRAILER"):
        fields["x-amz-trailer"] = [CRC32]
    fields.update({name.replace("_", "-"): [value] for name, value in more.items()})
    return fields
