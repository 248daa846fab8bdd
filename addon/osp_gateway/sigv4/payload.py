"""Bodies checked while they stream: sans-IO codecs with `feed(bytes) -> bytes` and `finish() -> bytes`.

A codec owns no socket and no clock. What `feed` returns may be sent on at once; whatever could complete the
body stays back until `finish` has found it right, so that a store never commits a wrong one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Buffer, Mapping, Sequence
from typing import Final, Protocol

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD

HOLD_OCTETS: Final = 64 * 1024
"""A body of up to this size is checked whole before the first octet of the request goes to the store."""

_HEX_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z").match


class BodyCodec(Protocol):
    """What stands between a client's body and the store's."""

    def feed(self, data: bytes) -> bytes:
        """Take octets from the client; return those that may go to the store.

        Raises:
            S3Error: the body is wrong; nothing more may be sent.
        """

    def finish(self) -> bytes:
        """The client's body is complete; return what is left to send.

        Raises:
            S3Error: the body is wrong; what is left must not be sent.
        """


class Holdback:
    """Keeps up to `hold` octets; once there are more, the last `keep` octets alone: one or none."""

    __slots__ = ("_held", "_hold", "_keep")

    def __init__(self, hold: int, keep: int) -> None:
        """Hold `hold` octets, `keep` or more."""
        self._hold = hold
        self._keep = keep
        # Not a list of what was fed: pieces of two octets take twenty times their size.
        self._held = bytearray()

    def push(self, pieces: Sequence[Buffer]) -> bytes:
        """Take further pieces, none of them empty; return what may go."""
        if self._hold > self._keep:
            for piece in pieces:
                self._held += piece
            if len(self._held) <= self._hold:
                return b""
            pieces, self._held, self._hold = [self._held], bytearray(), self._keep
        if not pieces:
            return b""
        if not self._keep:
            return b"".join(pieces)
        last = memoryview(pieces[-1])
        ready = b"".join((self._held, *pieces[:-1], last[:-1]))
        self._held = bytearray(last[-1:])
        return ready

    def rest(self) -> bytes:
        """All that is held, given up."""
        rest, self._held = bytes(self._held), bytearray()
        return rest


class UnsignedBody:
    """UNSIGNED-PAYLOAD: nothing is promised of the body, so it passes as it is."""

    def feed(self, data: bytes) -> bytes:
        """See `BodyCodec`."""
        return data

    def finish(self) -> bytes:
        """See `BodyCodec`."""
        return b""


class Sha256Body:
    """A body whose SHA-256 was signed. Holds back up to `hold` octets, and always the last one."""

    def __init__(self, expected: str, hold: int = HOLD_OCTETS) -> None:
        """Check against `expected`, 64 lower-case hex digits."""
        self._expected = expected
        self._hash = hashlib.sha256()
        self._body = Holdback(max(hold, 1), keep=1)

    def feed(self, data: bytes) -> bytes:
        """See `BodyCodec`."""
        if not data:
            return b""
        self._hash.update(data)
        return self._body.push((data,))

    def finish(self) -> bytes:
        """See `BodyCodec`."""
        computed = self._hash.hexdigest()
        if not hmac.compare_digest(computed, self._expected):
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                details={
                    "ClientComputedContentSHA256": self._expected,
                    "S3ComputedContentSHA256": computed,
                },
            )
        return self._body.rest()


class HeldBody:
    """A body that is decided upon as a whole: nothing is released before its end."""

    def __init__(self, inner: BodyCodec, limit: int) -> None:
        """Hold up to `limit` octets of what `inner` releases."""
        self.inner: Final = inner
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """See `BodyCodec`."""
        self._hold(self.inner.feed(data))
        return b""

    def finish(self) -> bytes:
        """See `BodyCodec`."""
        self._hold(self.inner.finish())
        return bytes(self._held)

    def _hold(self, data: bytes) -> None:
        if len(self._held) + len(data) > self._limit:
            raise S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        self._held += data


def codec_for(payload_hash: str, fields: Mapping[str, list[str]]) -> BodyCodec:
    """The codec of a body that is not aws-chunked.

    Args:
        payload_hash: the value of `x-amz-content-sha256`, or what stands for it in a presigned URL.
        fields: header values by lower-case name.

    Raises:
        S3Error: InvalidArgument for an unknown payload hash, InvalidRequest where a header says that it is aws-chunked.
    """
    if "content-encoding" in fields and any("aws-chunked" in value.lower() for value in fields["content-encoding"]):
        raise S3Error.invalid_request(f"content-encoding is aws-chunked, but x-amz-content-sha256 is {payload_hash}.")
    if payload_hash == UNSIGNED_PAYLOAD:
        return UnsignedBody()
    if _HEX_SHA256(payload_hash):
        return Sha256Body(payload_hash)
    raise S3Error(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER "
        "or a valid sha256 value.",
    )
