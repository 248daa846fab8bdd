"""Running checksums of bodies, and what a request says of them.

See "Checking object integrity in Amazon S3" in the S3 user guide. A checksum is announced in a header
(`x-amz-checksum-*`, `Content-MD5`) or, by name only, in `x-amz-trailer`, and then follows the body. All are over the
decoded body. CRC32 is zlib's, the other CRCs and the XXHs are awscrt's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Buffer, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from awscrt import checksums as crt  # type: ignore[import-untyped]

from osp_gateway.s3.errors import S3Error

CONTENT_MD5: Final = "content-md5"
TRAILER: Final = "x-amz-trailer"
PREFIX: Final = "x-amz-checksum-"
"""Of the headers and trailers that are checksums, and of three headers about them."""
SDK_ALGORITHM: Final = "x-amz-sdk-checksum-algorithm"

_COMPOSITE: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}-[1-9][0-9]{0,4}\Z").match


class Checksum(Protocol):
    """A running checksum."""

    def update(self, data: Buffer) -> None:
        """Take in more octets of the body."""

    def digest(self) -> str:
        """The checksum of all octets so far, in base64; for CRCs of the big-endian value."""


class _Crc:
    __slots__ = ("_octets", "_step", "_value")

    def __init__(self, step: Callable[[Buffer, int], int], octets: int) -> None:
        self._step = step
        self._octets = octets
        self._value = 0

    def update(self, data: Buffer) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> str:
        return base64.b64encode(self._value.to_bytes(self._octets, "big")).decode()


class _Hash:
    __slots__ = ("_hash",)

    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)

    def update(self, data: Buffer) -> None:
        self._hash.update(data)

    def digest(self) -> str:
        return base64.b64encode(self._hash.digest()).decode()


class _XxHash:
    __slots__ = ("_hash",)

    def __init__(self, new: Callable[[], crt.XXHash]) -> None:
        self._hash = new()

    def update(self, data: Buffer) -> None:
        self._hash.update(bytes(data))  # awscrt takes no other buffer here

    def digest(self) -> str:
        return base64.b64encode(self._hash.finalize()).decode()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A checksum algorithm: AWS's name for it, the octets of its value, and how to start one."""

    name: str
    octets: int
    new: Callable[[], Checksum]

    def is_value(self, text: str) -> bool:
        """Whether `text` is base64 of a value of this algorithm."""
        try:
            return len(base64.b64decode(text, validate=True)) == self.octets
        except (binascii.Error, ValueError):
            return False


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "x-amz-checksum-crc32": Algorithm("CRC32", 4, lambda: _Crc(zlib.crc32, 4)),
    "x-amz-checksum-crc32c": Algorithm("CRC32C", 4, lambda: _Crc(crt.crc32c, 4)),
    "x-amz-checksum-crc64nvme": Algorithm("CRC64NVME", 8, lambda: _Crc(crt.crc64nvme, 8)),
    "x-amz-checksum-md5": Algorithm("MD5", 16, lambda: _Hash("md5")),
    "x-amz-checksum-sha1": Algorithm("SHA1", 20, lambda: _Hash("sha1")),
    "x-amz-checksum-sha256": Algorithm("SHA256", 32, lambda: _Hash("sha256")),
    "x-amz-checksum-sha512": Algorithm("SHA512", 64, lambda: _Hash("sha512")),
    "x-amz-checksum-xxhash128": Algorithm("XXHASH128", 16, lambda: _XxHash(crt.XXHash.new_xxhash3_128)),
    "x-amz-checksum-xxhash3": Algorithm("XXHASH3", 8, lambda: _XxHash(crt.XXHash.new_xxhash3_64)),
    "x-amz-checksum-xxhash64": Algorithm("XXHASH64", 8, lambda: _XxHash(crt.XXHash.new_xxhash64)),
}
"""The algorithms by the name of their header or trailer; all that S3's model knows of."""
_MD5: Final = ALGORITHMS["x-amz-checksum-md5"]
_KNOWN: Final = ALGORITHMS.keys() | {"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"}


def is_composite(value: str) -> bool:
    """Whether a value is a checksum of part checksums, `base64-N`. It says nothing of the body it comes with."""
    return _COMPOSITE(value) is not None


class BodyChecks:
    """The checksums that one body must have: those in the headers, and those that its trailer will give."""

    def __init__(self, expected: Mapping[str, str], trailers: Iterable[str] = ()) -> None:
        """Prepare the checks.

        Args:
            expected: base64 values by header name, a key of `ALGORITHMS` or `content-md5`. Composite values are left
                unchecked.
            trailers: the names that `x-amz-trailer` announces, keys of `ALGORITHMS`.

        Raises:
            S3Error: InvalidDigest or InvalidRequest, where a value cannot be one of its algorithm, an announced
                trailer is not a checksum, or there is more than one `x-amz-checksum-*`, trailers included.
        """
        self.announced: Final = frozenset(trailers)
        self._expected = {
            name: value for name, value in expected.items() if name == CONTENT_MD5 or not is_composite(value)
        }
        self._running: dict[str, Checksum] = {}
        for name, value in self._expected.items():
            if not _algorithm(name).is_value(value):
                raise _invalid(name, "header")
        for name in (*self._expected, *self.announced):
            if name not in self._running:
                self._running[name] = _algorithm(name).new()
        in_headers = expected.keys() - {CONTENT_MD5}
        if len(in_headers) > 1 or len(self.announced) > 1:
            raise S3Error.invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            )
        if in_headers and self.announced:
            raise S3Error.invalid_request("Expecting a single x-amz-checksum- header")
        # A bound list: what runs for each piece of a body.
        self._updates = [checksum.update for checksum in self._running.values()]

    @classmethod
    def of_headers(cls, fields: Mapping[str, Sequence[str]]) -> Self:
        """What a request's headers say of its body.

        Not for CompleteMultipartUpload, whose `x-amz-checksum-*` is the object's and not the body's.

        Args:
            fields: header values by lower-case name.

        Raises:
            S3Error: as the constructor; InvalidRequest for a header that is given twice, a checksum of an unknown
                algorithm, or another algorithm than `x-amz-sdk-checksum-algorithm` names.
        """
        if any(name.startswith(PREFIX) and name not in _KNOWN for name in fields):
            raise S3Error.invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid.")
        expected: dict[str, str] = {}
        for name in (CONTENT_MD5, *ALGORITHMS):
            if values := fields.get(name):
                if len(values) > 1:
                    raise S3Error.invalid_request(f"The header {name} is given more than once.")
                expected[name] = values[0].strip(" \t")
        names = [name.strip(" \t").lower() for value in fields.get(TRAILER, ()) for name in value.split(",")]
        if CONTENT_MD5 in names:
            raise _unsupported_trailer()
        if len(set(names)) != len(names):
            raise S3Error.invalid_request("The x-amz-trailer header names a trailer more than once.")
        checks = cls(expected, names)
        checks._compare_algorithm(fields.get(SDK_ALGORITHM, ()))
        return checks

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._running)

    def update(self, data: Buffer) -> None:
        """Take in more octets of the decoded body."""
        for update in self._updates:
            update(data)

    def verify_headers(self) -> None:
        """Compare with the headers' values, once the body is complete.

        Raises:
            S3Error: BadDigest.
        """
        for name, value in self._expected.items():
            self._compare(name, value)

    def verify_trailers(self, trailers: Sequence[tuple[str, str]]) -> None:
        """Compare with the trailer's values, once the body is complete.

        Args:
            trailers: lower-case names and values; exactly those that were announced.

        Raises:
            S3Error: MalformedTrailerError, InvalidRequest for a value that is none, or BadDigest.
        """
        names = [name for name, _ in trailers]
        if len(names) != len(self.announced) or set(names) != self.announced:
            raise malformed_trailer("The trailers received are not those that x-amz-trailer names.")
        for name, value in trailers:
            if not _algorithm(name).is_value(value):
                raise _invalid(name, "trailing header")
            self._compare(name, value)

    def _compare_algorithm(self, named: Sequence[str]) -> None:
        """Whether a checksum is one of the algorithm that is named, if any is."""
        given = [ALGORITHMS[name].name for name in self._running if name != CONTENT_MD5]
        if given and any(value.strip(" \t").upper() not in given for value in named):
            raise S3Error.invalid_request(f"Value for {SDK_ALGORITHM} header is invalid.")

    def _compare(self, name: str, value: str) -> None:
        computed = self._running[name].digest()
        if computed == value:
            return
        if name == CONTENT_MD5:
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                details={"ExpectedDigest": value, "CalculatedDigest": computed},
            )
        raise S3Error("BadDigest", f"The {_algorithm(name).name} you specified did not match the calculated checksum.")


def malformed_trailer(reason: str) -> S3Error:
    """MalformedTrailerError in AWS's words; `reason` is for the operator."""
    return S3Error(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
        reason=reason,
    )


def _algorithm(name: str) -> Algorithm:
    algorithm = _MD5 if name == CONTENT_MD5 else ALGORITHMS.get(name)
    if algorithm is None:
        raise _unsupported_trailer()
    return algorithm


def _unsupported_trailer() -> S3Error:
    return S3Error.invalid_request("The value specified in the x-amz-trailer header is not supported")


def _invalid(name: str, place: str) -> S3Error:
    if name == CONTENT_MD5:
        return S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return S3Error.invalid_request(f"Value for {name} {place} is invalid.")
