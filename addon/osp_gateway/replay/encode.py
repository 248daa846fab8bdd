"""Bodies as clients send them: plain, or framed as aws-chunked, with checksums of what is really sent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from osp_gateway.replay.exchange import Content
from osp_gateway.sigv4.aws_chunked import ECDSA_SIGNATURE_OCTETS, TRAILER_SIGNATURE, Mode
from osp_gateway.sigv4.checksums import ALGORITHMS, CONTENT_MD5, is_composite
from osp_gateway.sigv4.chunk_signing import ChunkChain

CHUNK_OCTETS: Final = 64 * 1024
_SIGNATURE_OCTETS: Final = {None: 0, "hmac": 64, "ecdsa": ECDSA_SIGNATURE_OCTETS}
_EXTENSION: Final = b";chunk-signature="


def checksum(name: str, content: Content) -> str:
    """The value of a checksum header or trailer, base64.

    Args:
        name: `x-amz-checksum-...` or `content-md5`.
        content: the octets.
    """
    if name == CONTENT_MD5:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in content.pieces():
            digest.update(piece)
        return base64.b64encode(digest.digest()).decode()
    running = ALGORITHMS[name].new()
    for piece in content.pieces():
        running.update(piece)
    return running.digest()


def checksum_of_parts(name: str, recorded: str, parts: Sequence[Content]) -> str:
    """The checksum header of an object that is made of parts: of all its octets, or, in the form `base64-N`, of the
    checksums of its parts; see "Checking object integrity in Amazon S3".

    Args:
        name: a key of `ALGORITHMS`.
        recorded: the header as it was recorded, which tells the form.
        parts: in their order.
    """
    if not is_composite(recorded):
        return checksum(name, Content(tuple(stretch for part in parts for stretch in part.stretches)))
    running = ALGORITHMS[name].new()
    for part in parts:
        running.update(base64.b64decode(checksum(name, part)))
    return f"{running.digest()}-{len(parts)}"


def speaks_of_body(name: str, value: str) -> bool:
    """Whether a header is a checksum of the body that it comes with."""
    return name == CONTENT_MD5 or (name in ALGORITHMS and not is_composite(value))


def chunked_length(length: int, mode: Mode, trailers: Sequence[str]) -> int:
    """Octets of a framed body, for its Content-Length.

    Args:
        length: of the decoded body.
        mode: how its chunks are signed.
        trailers: names of checksum trailers.
    """
    extension = len(_EXTENSION) + _SIGNATURE_OCTETS[mode.signature] if mode.signature else 0
    sizes = [CHUNK_OCTETS] * (length // CHUNK_OCTETS) + ([length % CHUNK_OCTETS] if length % CHUNK_OCTETS else [])
    total = sum(len(f"{size:x}") + extension + size + 4 for size in sizes) + 1 + extension + 2
    for name in trailers:
        total += len(name) + 1 + 4 * -(-ALGORITHMS[name].octets // 3) + 2
    if trailers and mode.signature:
        total += len(TRAILER_SIGNATURE) + 1 + _SIGNATURE_OCTETS[mode.signature] + 2
    return total + 2


def chunked(content: Content, trailers: Sequence[str], chain: ChunkChain | None) -> Iterator[bytes]:
    """The framed body, chunk by chunk; see `sigv4.aws_chunked` for its grammar.

    Args:
        content: the decoded body.
        trailers: names of checksum trailers.
        chain: signs the chunks, where they are.
    """
    for chunk in _chunks(content):
        yield _header(chunk, chain) + chunk + b"\r\n"
    end = _header(b"", chain)
    values = [(name, checksum(name, content)) for name in trailers]
    for name, value in values:
        end += f"{name}:{value}\r\n".encode()
    if values and chain is not None:
        end += f"{TRAILER_SIGNATURE}:{chain.sign_trailers(values)}\r\n".encode()
    yield end + b"\r\n"


def _header(chunk: bytes, chain: ChunkChain | None) -> bytes:
    extension = b""
    if chain is not None:
        extension = _EXTENSION + chain.sign(hashlib.sha256(chunk).hexdigest()).encode()
    return b"%x%b\r\n" % (len(chunk), extension)


def _chunks(content: Content) -> Iterator[bytes]:
    held = b""
    for piece in content.pieces():
        held += piece
        while len(held) >= CHUNK_OCTETS:
            yield held[:CHUNK_OCTETS]
            held = held[CHUNK_OCTETS:]
    if held:
        yield held
