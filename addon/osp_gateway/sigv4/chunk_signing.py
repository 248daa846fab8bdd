"""Signatures of chunks and trailers, each chained to the one before.

See "Signature calculations for the authorization header: transferring a payload in multiple chunks" and
"... including trailing headers" in the Amazon S3 API reference. The chain starts from the signature of the request
itself, the seed; every chunk signs the one before it, so none can be left out, repeated or moved.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final, Protocol

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.canonical import EMPTY_SHA256

PAYLOAD_ALGORITHM: Final = "AWS4-HMAC-SHA256-PAYLOAD"
TRAILER_ALGORITHM: Final = "AWS4-HMAC-SHA256-TRAILER"


class ChunkChain(Protocol):
    """A chain of chunk signatures under one key; of use either to verify or to sign, from its seed on, once."""

    def sign(self, digest: str) -> str:
        """The next chunk's signature, as it stands after `chunk-signature=`.

        Args:
            digest: hex SHA-256 of the chunk's data.
        """

    def sign_trailers(self, trailers: Iterable[tuple[str, str]]) -> str:
        """The signature of the trailers, as it stands after `x-amz-trailer-signature:`.

        Args:
            trailers: names and values.
        """

    def verify(self, digest: str, signature: str) -> None:
        """Compare the next chunk's signature.

        Args:
            digest: hex SHA-256 of the chunk's data.
            signature: as received.

        Raises:
            S3Error: SignatureDoesNotMatch (403).
        """

    def verify_trailers(self, trailers: Iterable[tuple[str, str]], signature: str) -> None:
        """Compare the signature of the trailers; arguments and errors as above."""


class HmacChain:
    """STREAMING-AWS4-HMAC-SHA256-PAYLOAD and -TRAILER. About 3 us a chunk, beside the hash of its data."""

    __slots__ = ("_chunk_end", "_chunk_start", "_key", "_previous", "_trailer_start")

    def __init__(self, signing_key: bytes, amz_date: str, scope: str, seed: str) -> None:
        """Start a chain.

        Args:
            signing_key: as `keys.derive_signing_key` gives it.
            amz_date: the request's `x-amz-date`, `YYYYMMDDTHHMMSSZ`.
            scope: the credential scope, `date/region/service/aws4_request`.
            seed: the request's own signature, 64 lower-case hex digits.
        """
        self._key = signing_key
        self._previous = seed
        self._chunk_start = f"{PAYLOAD_ALGORITHM}\n{amz_date}\n{scope}\n"
        self._chunk_end = f"\n{EMPTY_SHA256}\n"
        self._trailer_start = f"{TRAILER_ALGORITHM}\n{amz_date}\n{scope}\n"

    def sign(self, digest: str) -> str:
        """See `ChunkChain`."""
        text = self._chunk_start + self._previous + self._chunk_end + digest
        return self._advance(text)

    def sign_trailers(self, trailers: Iterable[tuple[str, str]]) -> str:
        """See `ChunkChain`."""
        digest = hashlib.sha256(canonical_trailers(trailers)).hexdigest()
        return self._advance(f"{self._trailer_start}{self._previous}\n{digest}")

    def verify(self, digest: str, signature: str) -> None:
        """See `ChunkChain`."""
        if not hmac.compare_digest(self.sign(digest), signature):
            raise chunk_mismatch("a chunk")

    def verify_trailers(self, trailers: Iterable[tuple[str, str]], signature: str) -> None:
        """See `ChunkChain`."""
        if not hmac.compare_digest(self.sign_trailers(trailers), signature):
            raise chunk_mismatch("the trailers")

    def _advance(self, text: str) -> str:
        self._previous = hmac.digest(self._key, text.encode("latin-1"), "sha256").hex()
        return self._previous


def canonical_trailers(trailers: Iterable[tuple[str, str]]) -> bytes:
    """What a trailer signature hashes: `name:value` lines, lower-case and trimmed, in the order of their names."""
    lines = sorted(f"{name.lower()}:{value.strip()}\n" for name, value in trailers)
    return "".join(lines).encode("latin-1")


def chunk_mismatch(what: str) -> S3Error:
    """SignatureDoesNotMatch for a chunk or the trailers; `what` is for the operator."""
    return S3Error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        reason=f"The signature of {what} in the aws-chunked body does not match.",
    )
