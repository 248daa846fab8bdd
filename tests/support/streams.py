"""Bodies too large to be held: sent and received piece by piece, in every payload mode."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from support import aws_chunked
from support.chunked_requests import signer_for
from support.signing import Raw, signed
from support.upstream import Peer, Seen, Upstream, response

PIECE = bytes(range(256)) * 4096
"""A MiB, which every large body here consists of."""
CHUNK = len(PIECE)
MODES = ("signed hash", "UNSIGNED-PAYLOAD", *aws_chunked.MODES)


def pieces(octets: int) -> Iterator[bytes]:
    """That many octets, a whole number of MiB."""
    for _ in range(octets // CHUNK):
        yield PIECE


def sha256_of(octets: int) -> str:
    digest = hashlib.sha256()
    for piece in pieces(octets):
        digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True)
class LargeUpload:
    """A PUT of `octets` in a mode: its head, and its body piece by piece."""

    mode: str
    octets: int

    def head(self, port: int, path: str, plain_hash: str = "") -> Raw:
        if self.mode not in aws_chunked.MODES:
            payload_hash = plain_hash if self.mode == "signed hash" else self.mode
            return signed(port, "PUT", path, payload_hash=payload_hash, length=self.octets)
        headers = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(self.octets))]
        if self.mode.endswith("TRAILER"):
            headers.append(("x-amz-trailer", aws_chunked.CRC32))
        return signed(port, "PUT", path, headers=tuple(headers), payload_hash=self.mode, length=self.framed_length)

    def body(self, head: Raw) -> Iterator[bytes]:
        if self.mode not in aws_chunked.MODES:
            yield from pieces(self.octets)
            return
        signer = signer_for(head)
        crc = 0
        for piece in pieces(self.octets):
            crc = zlib.crc32(piece, crc)
            yield self._chunk(piece, signer)
        yield self._last_chunk(signer) + self._trailers(base64.b64encode(crc.to_bytes(4, "big")).decode(), signer)

    @property
    def framed_length(self) -> int:
        signer = aws_chunked.Signer()
        end = len(self._last_chunk(signer)) + len(self._trailers("AAAAAA==", signer))
        return self.octets // CHUNK * len(self._chunk(PIECE, signer)) + end

    def _chunk(self, data: bytes, signer: aws_chunked.Signer) -> bytes:
        return self._header(data, signer) + data + b"\r\n"

    def _last_chunk(self, signer: aws_chunked.Signer) -> bytes:
        return self._header(b"", signer)

    def _header(self, data: bytes, signer: aws_chunked.Signer) -> bytes:
        signature = b"" if self.mode == aws_chunked.UNSIGNED else b";chunk-signature=" + signer.chunk(data).encode()
        return b"%x%b\r\n" % (len(data), signature)

    def _trailers(self, crc: str, signer: aws_chunked.Signer) -> bytes:
        if not self.mode.endswith("TRAILER"):
            return b"\r\n"
        end = f"{aws_chunked.CRC32}:{crc}\r\n".encode()
        if self.mode == aws_chunked.HMAC_TRAILER:
            canonical = f"{aws_chunked.CRC32}:{crc}\n".encode()
            end += b"x-amz-trailer-signature:" + signer.trailers(canonical).encode() + b"\r\n"
        return end + b"\r\n"


@dataclass
class CountingStore:
    """A store that counts and hashes what it gets, and sends as much as a path says: `/demo/send/OCTETS`."""

    received: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __call__(self, upstream: Upstream, peer: Peer, seen: Seen) -> bool:
        if seen.method == "GET":
            octets = int(seen.target.rpartition("/")[2])
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % octets)
            for piece in pieces(octets):
                peer.send(piece)
            return True
        digest, count = hashlib.sha256(), 0
        view = memoryview(bytearray(1 << 18))
        while count < seen.length:
            if peer.buffer:
                data, peer.buffer = memoryview(peer.buffer), b""
            else:
                size = peer.connection.recv_into(view)
                if not size:
                    return False
                data = view[:size]
            digest.update(data)
            count += len(data)
        self.received[seen.target] = count, digest.hexdigest()
        peer.send(response(200, etag='"e"'))
        return True
