"""Uploads in every payload mode, in parts that a test can change before and after they are signed.

Written from AWS's documentation, beside `support.aws_chunked`: an `Upload` is what a client wants to send, a `Payload`
what it has signed, chunk by chunk, and `Payload.request` the octets. Checksums are those of zlib, hashlib and awscrt.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from awscrt import checksums as crt

from support.aws_chunked import HMAC, HMAC_TRAILER, UNSIGNED
from support.chunked_requests import signer_for
from support.processes import CLIENT_KEY, CLIENT_SECRET
from support.signing import Headers, Raw, signed

HEX = "hex SHA-256"
"""Stands for the body's own hash as the value of x-amz-content-sha256."""
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
PLAIN = (HEX, UNSIGNED_PAYLOAD)
CHUNKED = (UNSIGNED, HMAC, HMAC_TRAILER)
SIGNED = (HMAC, HMAC_TRAILER)
TRAILED = (UNSIGNED, HMAC_TRAILER)

CHECKSUMS: Mapping[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
"""The checksum algorithms that SDKs offer."""


def checksum(algorithm: str, data: bytes) -> str:
    """The value of `checksum_name(algorithm)` for these data."""
    return base64.b64encode(CHECKSUMS[algorithm](data)).decode()


def checksum_name(algorithm: str) -> str:
    """The header, or trailer, of a checksum algorithm."""
    return f"x-amz-checksum-{algorithm.lower()}"


def checksum_field(algorithm: str, data: bytes) -> tuple[str, str]:
    """The header, or trailer, with its value."""
    return checksum_name(algorithm), checksum(algorithm, data)


def md5(data: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


class ChunkSigner(Protocol):
    """Signs one chunk after the other, and at last the trailers: `aws_chunked.Signer` or SigV4A's."""

    def chunk(self, data: bytes) -> str:
        """The next chunk's signature, as it stands in the body."""

    def trailers(self, canonical: bytes) -> str:
        """The signature of the trailers, as it stands in the body."""


@dataclass(frozen=True)
class Chunk:
    """A chunk as it is written; `size` and `after` are right by default."""

    data: bytes
    signature: str | None = None
    size: str | None = None
    after: bytes = b"\r\n"

    @property
    def octets(self) -> bytes:
        """The chunk on the wire. The last one, of no octets, is followed by trailers or the end."""
        size = f"{len(self.data):x}" if self.size is None else self.size
        extension = "" if self.signature is None else f";chunk-signature={self.signature}"
        return f"{size}{extension}\r\n".encode() + self.data + (self.after if self.data else b"")


@dataclass(frozen=True)
class Payload:
    """A signed upload. `head` has no Content-Length yet."""

    head: Raw
    mode: str
    chunks: tuple[Chunk, ...]
    trailers: Headers = ()
    trailer_signature: str | None = None
    end: bytes = b"\r\n"

    def but(self, **changes: object) -> Payload:
        """The same with other parts."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_chunk(self, index: int, **changes: object) -> Payload:
        """The same with a chunk changed."""
        chunks = list(self.chunks)
        chunks[index] = replace(chunks[index], **changes)  # type: ignore[arg-type]
        return self.but(chunks=tuple(chunks))

    @property
    def body(self) -> bytes:
        """The encoded body."""
        if self.mode in PLAIN:
            return b"".join(chunk.data for chunk in self.chunks)
        parts = [chunk.octets for chunk in self.chunks]
        parts += [f"{name}:{value}\r\n".encode() for name, value in self.trailers]
        if self.trailer_signature is not None:
            parts.append(f"x-amz-trailer-signature:{self.trailer_signature}\r\n".encode())
        return b"".join((*parts, self.end))

    @property
    def request(self) -> Raw:
        """The request with a Content-Length."""
        body = self.body
        return self.head.plus("Content-Length", str(len(body))).but(body=body)


@dataclass(frozen=True)
class Upload:
    """What a client wants to send; what is None has the right value.

    `sizes` are the chunks' sizes, again and again from the first; `announced` is x-amz-trailer; `declared` is
    x-amz-decoded-content-length; `checked` says whether the checksum goes into the trailer in a mode that has one.
    """

    mode: str
    data: bytes = field(repr=False)
    sizes: tuple[int, ...] = (8192,)
    algorithm: str = "CRC32"
    checked: bool = True
    announced: str | None = None
    trailers: Headers | None = None
    declared: str | None = None
    headers: Headers = ()

    def but(self, **changes: object) -> Upload:
        """The same with other parts."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def plus(self, *headers: tuple[str, str]) -> Upload:
        """The same with more headers."""
        return self.but(headers=(*self.headers, *headers))

    def sign(self, port: int, target: str, key: str = CLIENT_KEY, secret: str = CLIENT_SECRET, **more: str) -> Payload:
        """The upload signed for a server; `more` is for `support.signing.signed`."""
        payload_hash = hashlib.sha256(self.data).hexdigest() if self.mode == HEX else self.mode
        headers = (*self.announcement(), *self.headers)
        head = signed(port, "PUT", target, headers=headers, payload_hash=payload_hash, key=key, secret=secret, **more)  # type: ignore[arg-type]
        head = head.without("content-length")
        if self.mode in PLAIN:
            return Payload(head, self.mode, (Chunk(self.data),))
        return self.chained(head, signer_for(head, secret))

    def chained(self, head: Raw, signer: ChunkSigner) -> Payload:
        """The chunks and the trailers, signed from the signer's seed on."""
        pieces = (*self._pieces(), b"")
        if self.mode == UNSIGNED:
            return Payload(head, self.mode, tuple(Chunk(piece) for piece in pieces), self._trailers())
        chunks = tuple(Chunk(piece, signer.chunk(piece)) for piece in pieces)
        if not self.mode.endswith("TRAILER"):
            return Payload(head, self.mode, chunks)
        trailers = self._trailers()
        canonical = "".join(sorted(f"{name}:{value}\n" for name, value in trailers)).encode()
        return Payload(head, self.mode, chunks, trailers, signer.trailers(canonical))

    def announcement(self) -> Headers:
        """The headers that tell how the body is encoded."""
        if self.mode in PLAIN:
            return () if self.announced is None else (("x-amz-trailer", self.announced),)
        length = str(len(self.data)) if self.declared is None else self.declared
        fields = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", length)]
        announced = self.announced
        if announced is None and self.checked and self.mode.endswith("TRAILER"):
            announced = checksum_name(self.algorithm)
        fields.append(("x-amz-trailer", announced or ""))
        return tuple((name, value) for name, value in fields if value)

    def _trailers(self) -> Headers:
        if self.trailers is not None:
            return self.trailers
        return (checksum_field(self.algorithm, self.data),) if self.checked else ()

    def _pieces(self) -> list[bytes]:
        pieces, start = [], 0
        for size in itertools.cycle(self.sizes):
            if start >= len(self.data):
                return pieces
            pieces.append(self.data[start : start + size])
            start += size
        return pieces
