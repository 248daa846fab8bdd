"""A recorded exchange: the request as the client sent it, and the answer that it got."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.form import KEY, Fields
from osp_gateway.s3.head import Header
from osp_gateway.sigv4.policy import AUTHENTICATION, POLICY, SECURITY_TOKEN

OF_AUTHENTICATION: Final = frozenset({*AUTHENTICATION, SECURITY_TOKEN, "awsaccesskeyid", "signature"})
"""Fields of forms that are neither recorded nor sent again."""

PIECE_OCTETS: Final = 256 * 1024
_BLOCK_OCTETS: Final = 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """Octets that may be many: those of `content`, or, where that is None, made up from a seed, from `offset` on.

    The same seed gives the same octets on each machine: those of AES-128 in counter mode, whose key is the SHA-256 of
    the seed, cut to 16 octets.
    """

    length: int
    content: bytes | None = field(default=None, repr=False)
    seed: str = ""
    offset: int = 0

    def pieces(self) -> Iterator[bytes]:
        """The octets, a quarter of a MiB at a time."""
        if self.content is not None:
            yield from (self.content[at : at + PIECE_OCTETS] for at in range(0, len(self.content), PIECE_OCTETS))
            return
        block, skipped = divmod(self.offset, _BLOCK_OCTETS)
        key = hashlib.sha256(self.seed.encode()).digest()[:_BLOCK_OCTETS]
        stream = Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(_BLOCK_OCTETS, "big"))).encryptor()
        stream.update(bytes(skipped))
        for at in range(0, self.length, PIECE_OCTETS):
            yield stream.update(bytes(min(PIECE_OCTETS, self.length - at)))

    def cut(self, start: int, end: int) -> Stretch:
        """Its octets from `start` to before `end`, both within it."""
        if self.content is not None:
            return Stretch(end - start, self.content[start:end])
        return Stretch(end - start, seed=self.seed, offset=self.offset + start)


@dataclass(frozen=True)
class Content:
    """An object's octets, as the stretches that they were uploaded in.

    `whole` is False where others belong to it that nobody knows: copied from an object that was there before.
    """

    stretches: tuple[Stretch, ...] = ()
    whole: bool = True

    @cached_property
    def length(self) -> int:
        """In octets."""
        return sum(stretch.length for stretch in self.stretches)

    @property
    def made_up(self) -> bool:
        """Whether any of it is not what was recorded."""
        return any(stretch.content is None for stretch in self.stretches)

    def pieces(self) -> Iterator[bytes]:
        """The octets."""
        for stretch in self.stretches:
            yield from stretch.pieces()

    def cut(self, start: int, end: int) -> Content:
        """The octets from `start` to before `end`; what lies beyond its length is left out."""
        kept, at = [], 0
        for stretch in self.stretches:
            first, last = max(start - at, 0), min(end - at, stretch.length)
            if first < last:
                kept.append(stretch.cut(first, last))
            at += stretch.length
        return Content(tuple(kept), self.whole)

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Payload:
    """A body: its length in octets, its hexadecimal SHA-256, and its octets where they were few enough to be kept.

    That of an aws-chunked body is decoded.
    """

    length: int
    sha256: str
    content: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, content: bytes) -> Payload:
        """The payload of octets at hand."""
        return cls(len(content), hashlib.sha256(content).hexdigest(), content)

    @property
    def again(self) -> Content:
        """What is uploaded in its place: itself, or as many octets made up from its digest."""
        if self.content is None:
            return Content((Stretch(self.length, seed=self.sha256),))
        return Content((Stretch(self.length, self.content),)) if self.content else Content()


EMPTY: Final = Payload.of(b"")


@dataclass(frozen=True, slots=True)
class Form:
    """A POST form without its file and without what authenticates it; `signed`: it had that."""

    pairs: tuple[Pair, ...]
    filename: str
    signed: bool = True

    @classmethod
    def of(cls, fields: Fields) -> Form:
        """Of the fields as they were received."""
        pairs = tuple((name, value) for name, value in fields.pairs if name.lower() not in OF_AUTHENTICATION)
        # Quotes and line ends as browsers write them: HTML, "multipart/form-data encoding algorithm".
        filename = (fields.filename or "").translate({0x22: "%22", 0xD: "%0D", 0xA: "%0A"})
        return cls(pairs, filename, POLICY in fields.values)

    @property
    def key(self) -> str:
        """The object's, as it stands there."""
        return next((value for name, value in self.pairs if name.lower() == KEY), "")


Object = tuple[str, str]
"""A bucket, and a key as it is encoded in paths."""
COPY_SOURCE: Final = "x-amz-copy-source"


def path_style(bucket: str, key_path: str) -> str:
    """The path of an object, or, without a key, of its bucket.

    Args:
        bucket: as it is called.
        key_path: as it is encoded in paths.
    """
    encoded = encoding.encode(bucket.encode("utf-8", "surrogatepass"))
    return f"/{encoded}/{key_path}" if key_path else f"/{encoded}"


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request, of which the signature was left out.

    `path` and `query` are canonically encoded, without the parameters of a signature; `bucket` is what its path begins
    with in path style, empty for the root; `headers` are lower-case names and their values as they came; `mode` is the
    `x-amz-content-sha256` where it is a literal (`UNSIGNED-PAYLOAD`, `STREAMING-...`), else empty. `expires` is the
    life of a presigned URL in seconds. `signed` is False for anonymous requests. Of a POST form, whose file is the
    payload, there is the `form`.
    """

    method: str
    bucket: str
    key_path: str
    query: tuple[Pair, ...]
    headers: tuple[Header, ...]
    payload: Payload
    mode: str = ""
    expires: int | None = None
    signed: bool = True
    form: Form | None = None

    @property
    def path(self) -> str:
        """In path style."""
        if not self.bucket:
            return "/"
        return path_style(self.bucket, self.key_path if self.form is None else "")

    @property
    def object(self) -> Object:
        """What it is about."""
        return self.bucket, self.key_path

    @property
    def copy_source(self) -> tuple[Object, str] | None:
        """The object that is copied, and its version, empty for the newest."""
        written = self.header(COPY_SOURCE)
        if written is None:
            return None
        path, _, version = written.partition("?versionId=")
        bucket, _, key = unquote_to_bytes(path).removeprefix(b"/").partition(b"/")  # clients encode more, or less
        return (bucket.decode("latin-1"), encoding.encode(key, "/")), unquote(version)

    @property
    def values(self) -> Mapping[str, str]:
        """Its query parameters, encoded."""
        return dict(self.query)

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for field, value in self.headers if field == name), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `headers` are lower-case names and their values."""

    status: int
    headers: tuple[Header, ...]
    payload: Payload

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for field, value in self.headers if field == name), None)

    @property
    def is_xml(self) -> bool:
        """Whether its body is an XML document that is at hand."""
        return bool(self.payload.content) and "xml" in (self.header("content-type") or "")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. `identity` is who sent it, by name; times are in seconds since the epoch."""

    operation: str
    identity: str
    request: RecordedRequest
    answer: Answer
    began: float = 0.0
    ended: float = 0.0

    @property
    def title(self) -> str:
        """`GetObject bucket/key`, for people."""
        where = f"{self.request.bucket}/{self.request.key_path}".strip("/")
        return f"{self.operation} {where or '/'}"
