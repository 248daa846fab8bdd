"""Body codecs for aws-chunked bodies and for checksums: verified on the way, and never completed on doubt.

    DecodingCodec        aws-chunked -> plain
    PassingCodec         aws-chunked -> the very same octets (unsigned mode)
    ResigningCodec       aws-chunked -> the same length, each chunk signed with the backend's chain
    PlainChecksumCodec   plain -> plain, with the checksums that its headers announce

All are `payload.BodyCodec`s. A signed chunk is released when its signature is right. The last octet of the data, and
for aws-chunked output the final chunk and the trailers too, are released by `finish` alone: after every signature,
the length and every checksum has been found right. A body of up to `hold` octets is released as a whole.

See "Signature calculations for the authorization header: transferring a payload in multiple chunks", "... including
trailing headers" and "Checking object integrity" in the Amazon S3 documentation.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Buffer, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4 import aws_chunked
from osp_gateway.sigv4.aws_chunked import MAX_CHUNK_OCTETS, MIN_CHUNK_OCTETS, MODES, ChunkHeader, Data, Mode, Trailers
from osp_gateway.sigv4.checksums import TRAILER, BodyChecks, malformed_trailer
from osp_gateway.sigv4.chunk_journal import ChunkJournal
from osp_gateway.sigv4.chunk_signing import ChunkChain
from osp_gateway.sigv4.payload import HOLD_OCTETS, BodyCodec, Holdback

DECODED_LENGTH: Final = "x-amz-decoded-content-length"
_CRLF: Final = b"\r\n"
_WORTH_A_VIEW: Final = 4096


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a head says of its aws-chunked body: mode, length in octets when decoded, checksums. For one body only."""

    mode: Mode
    length: int
    checks: BodyChecks

    @classmethod
    def of_headers(cls, payload_hash: str, fields: Mapping[str, Sequence[str]]) -> Self:
        """Read a head.

        Args:
            payload_hash: the value of `x-amz-content-sha256`, a name of `aws_chunked.MODES`.
            fields: header values by lower-case name.

        Raises:
            S3Error: MissingContentLength where `x-amz-decoded-content-length` is absent or no number,
                MalformedTrailerError for trailers announced in a mode that has none, and as `BodyChecks`.
            KeyError: the mode is unknown.
        """
        mode = MODES[payload_hash]
        lengths = fields.get(DECODED_LENGTH, ())
        text = lengths[0].strip(" \t") if len(lengths) == 1 else ""
        if not text.isascii() or not text.isdecimal() or len(text) > 19:
            raise S3Error(
                "MissingContentLength",
                "You must provide the Content-Length HTTP header.",
                reason=f"{DECODED_LENGTH} must be given once, as a number.",
            )
        if not mode.trailer and fields.get(TRAILER):
            raise malformed_trailer(f"{TRAILER} is given, but {mode.name} has no trailer.")
        return cls(mode, int(text), BodyChecks.of_headers(fields))


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """In octets: `hold`, up to which a body is released as a whole; what a signed chunk may have at most; what every
    chunk but the last must have.
    """

    hold: int = HOLD_OCTETS
    max_chunk: int = MAX_CHUNK_OCTETS
    min_chunk: int = MIN_CHUNK_OCTETS


DEFAULT_CHUNK_LIMITS: Final = ChunkLimits()


class _ChunkedCodec(ABC):
    """Reads and verifies an aws-chunked body; the hooks at its end decide what becomes of it.

    Held: up to `hold` octets, or one signed chunk and the last octets of the body.
    """

    def __init__(
        self,
        announcement: Announcement,
        chain: ChunkChain | None = None,
        limits: ChunkLimits = DEFAULT_CHUNK_LIMITS,
    ) -> None:
        """Check a body.

        Args:
            announcement: what the head says of it.
            chain: the client's signatures; None in the unsigned mode, and only there.
            limits: bounds on what is held and on the chunks.

        Raises:
            ValueError: a signed mode without a chain, or the other way round.
        """
        if (chain is None) != (announcement.mode.signature is None):
            raise ValueError(f"{announcement.mode.name}: a chain of signatures goes with a signed mode")
        self._mode = announcement.mode
        self._length = announcement.length
        self._checks = announcement.checks
        self._checked = bool(announcement.checks)
        self._chain = chain
        self._parser = aws_chunked.Parser(announcement.mode, max_chunk=limits.max_chunk, min_chunk=limits.min_chunk)
        self._promised = 0
        self._header = ChunkHeader(0, b"", None)
        self._chunk: list[Buffer] = []
        self._fed = 0
        self._hash = hashlib.sha256()
        self._seen_trailers: tuple[tuple[str, str], ...] = ()
        self._ready: list[Buffer] = []
        self._error: S3Error | None = None
        self.journal: Final = ChunkJournal(signed=chain is not None)

    def feed(self, data: bytes) -> bytes:
        """See `payload.BodyCodec`.

        Raises:
            S3Error: IncompleteBody, SignatureDoesNotMatch, InvalidChunkSizeError, EntityTooLarge,
                MalformedTrailerError; the same again whatever is called afterwards.
        """
        if self._error is not None:
            raise self._error
        self._fed = len(data)
        try:
            for event in self._parser.feed(data):
                if isinstance(event, Data):
                    self._take(event)
                elif isinstance(event, ChunkHeader):
                    self._open(event)
                elif isinstance(event, Trailers):
                    self._take_trailers(event)
                else:
                    self._close()
        except S3Error as error:
            self._abandon(error)
            raise
        ready, self._ready = self._ready, []
        return self._release(ready)

    def finish(self) -> bytes:
        """See `payload.BodyCodec`.

        Raises:
            S3Error: as `feed`; BadDigest; InvalidRequest for a trailer whose value cannot be a checksum.
        """
        if self._error is not None:
            raise self._error
        try:
            self._parser.finish()
            self._checks.verify_headers()
            self._checks.verify_trailers(self._seen_trailers)
        except S3Error as error:
            self._abandon(error)
            raise
        self.journal.complete = True
        return self._rest()

    def _abandon(self, error: S3Error) -> None:
        self._error = error
        self.journal.error = f"{error.code}: {error.reason}"
        self._ready, self._chunk = [], []
        self._rest()

    def _open(self, header: ChunkHeader) -> None:
        self._header = header
        self.journal.opened(header.size)
        self._promised += header.size
        if self._promised > self._length or (not header.size and self._promised < self._length):
            raise S3Error(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
                reason=f"The chunks do not add up to {DECODED_LENGTH}.",
                details={"NumberBytesExpected": str(self._length), "NumberBytesProvided": str(self._promised)},
            )
        if self._chain is None:
            self._on_header(header.size_text)

    def _take(self, piece: memoryview) -> None:
        if self._checked:
            self._checks.update(piece)
        if self._chain is None:
            self._on_data(piece)
        else:
            self._hash.update(piece)
            self._hold_piece(piece)

    def _hold_piece(self, piece: memoryview) -> None:
        """Keep a piece of a signed chunk: not copied, where it is most of what was fed and so keeps little else alive.

        Small pieces are put together: a chunk fed octet by octet must not become a million objects.
        """
        chunk = self._chunk
        if len(piece) >= _WORTH_A_VIEW and 2 * len(piece) >= self._fed:
            chunk.append(piece)
        elif chunk and isinstance(last := chunk[-1], bytearray):
            last += piece
        else:
            chunk.append(bytearray(piece))

    def _close(self) -> None:
        header = self._header
        if self._chain is not None and header.signature is not None:
            digest = self._hash.hexdigest()
            self._chain.verify(digest, header.signature)
            self._hash = hashlib.sha256()
            self._on_header(self._header_line(header, digest))
            chunk, self._chunk = self._chunk, []
            self._on_chunk(chunk, header.size)
        self.journal.right += 1
        self._on_end(header)

    def _take_trailers(self, trailers: Trailers) -> None:
        self.journal.trailers = trailers.fields
        if self._chain is not None and trailers.signature is not None:
            self._chain.verify_trailers(trailers.fields, trailers.signature)
            self.journal.trailers_right = True
        self._seen_trailers = trailers.fields
        self._on_trailers(trailers)

    def _header_line(self, header: ChunkHeader, digest: str) -> bytes:  # noqa: ARG002  (for those who sign)
        """The line that a signed chunk's header becomes, if any; `digest` is the hex SHA-256 of its data."""
        return b""

    @abstractmethod
    def _on_header(self, line: bytes) -> None:
        """A chunk begins."""

    @abstractmethod
    def _on_data(self, piece: memoryview) -> None:
        """Data of an unsigned chunk, never empty."""

    @abstractmethod
    def _on_chunk(self, pieces: list[Buffer], size: int) -> None:
        """All data of a signed chunk, `size` octets in pieces that are not empty, when it is verified."""

    @abstractmethod
    def _on_end(self, header: ChunkHeader) -> None:
        """The chunk ends."""

    @abstractmethod
    def _on_trailers(self, trailers: Trailers) -> None:
        """The trailers, their signature verified, their checksums not yet."""

    @abstractmethod
    def _release(self, ready: list[Buffer]) -> bytes:
        """Take what is ready, return what of it may go."""

    @abstractmethod
    def _rest(self) -> bytes:
        """Give up all that is held."""


class DecodingCodec(_ChunkedCodec):
    """aws-chunked in, the plain body out. Takes what `_ChunkedCodec` takes.

    `held_whole` is known from the start: whether all of the body comes from `finish`, so that its hash can be signed
    and its trailers can go as headers.
    """

    def __init__(
        self,
        announcement: Announcement,
        chain: ChunkChain | None = None,
        limits: ChunkLimits = DEFAULT_CHUNK_LIMITS,
    ) -> None:
        """See `_ChunkedCodec`."""
        super().__init__(announcement, chain, limits)
        self.held_whole: Final = announcement.length <= limits.hold
        self._body = Holdback(max(limits.hold, 1) if self.held_whole else 1, keep=1)
        self.trailers: tuple[tuple[str, str], ...] = ()
        """After `finish`: the trailers' lower-case names and values, verified."""
        self.sha256: str | None = None
        """After `finish`: the hex SHA-256 of the body, where it was held whole."""

    def finish(self) -> bytes:
        """See `_ChunkedCodec`."""
        body = super().finish()
        self.trailers = self._seen_trailers
        if self.held_whole:
            self.sha256 = hashlib.sha256(body).hexdigest()
        return body

    def _on_header(self, line: bytes) -> None:
        pass

    def _on_data(self, piece: memoryview) -> None:
        self._ready.append(piece)

    def _on_chunk(self, pieces: list[Buffer], size: int) -> None:  # noqa: ARG002  (for those who count)
        self._ready += pieces

    def _on_end(self, header: ChunkHeader) -> None:
        pass

    def _on_trailers(self, trailers: Trailers) -> None:
        pass

    def _release(self, ready: list[Buffer]) -> bytes:
        return self._body.push(ready)

    def _rest(self) -> bytes:
        return self._body.rest()


class _EncodedCodec(_ChunkedCodec):
    """aws-chunked in, aws-chunked out."""

    def __init__(self, announcement: Announcement, chain: ChunkChain | None, limits: ChunkLimits) -> None:
        """See `_ChunkedCodec`."""
        super().__init__(announcement, chain, limits)
        self._received = 0
        # An octet stays back always: a body that ends too early must not fill the Content-Length that it came with.
        self._body = Holdback(max(limits.hold, 1) if announcement.length <= limits.hold else 1, keep=1)
        # From the last octet of the data on: a store that counts octets must not think that it has them all.
        self._tail: bytearray | None = None if announcement.length else bytearray()

    def _put(self, piece: Buffer) -> None:
        if self._tail is None:
            self._ready.append(piece)
        else:
            self._tail += piece

    def _on_header(self, line: bytes) -> None:
        self._put(line + _CRLF)

    def _on_data(self, piece: memoryview) -> None:
        self._received += len(piece)
        if self._received < self._length:
            self._put(piece)
        else:
            if len(piece) > 1:
                self._ready.append(piece[:-1])
            self._tail = bytearray(piece[-1:])

    def _on_chunk(self, pieces: list[Buffer], size: int) -> None:
        if self._received + size < self._length:
            # At once and not piece by piece: 1 us less of the 42 us that 64 KiB take, 34 of them for SHA-256.
            self._received += size
            self._ready += pieces
        else:  # the last chunk with data
            for piece in pieces:
                self._on_data(memoryview(piece))

    def _on_end(self, header: ChunkHeader) -> None:
        if header.size or not self._mode.trailer:
            self._put(_CRLF)

    def _release(self, ready: list[Buffer]) -> bytes:
        return self._body.push(ready)

    def _rest(self) -> bytes:
        tail, self._tail = self._tail or b"", bytearray()
        return self._body.rest() + tail


class PassingCodec(_EncodedCodec):
    """Unsigned aws-chunked in, the very same octets out."""

    def __init__(self, announcement: Announcement, limits: ChunkLimits = DEFAULT_CHUNK_LIMITS) -> None:
        """Pass on a body; see `_ChunkedCodec`."""
        super().__init__(announcement, None, limits)

    def _on_trailers(self, trailers: Trailers) -> None:
        self._put(trailers.raw + _CRLF)


class ResigningCodec(_EncodedCodec):
    """Signed aws-chunked in, the same with other signatures out; the length stays the same.

    The signatures of both sides must be of one kind and so of one length: HMAC with HMAC, ECDSA with ECDSA.
    """

    def __init__(
        self,
        announcement: Announcement,
        chain: ChunkChain,
        backend: ChunkChain,
        limits: ChunkLimits = DEFAULT_CHUNK_LIMITS,
    ) -> None:
        """As `_ChunkedCodec`, with `backend`, the chain that signs: its seed is the signature of the new head."""
        super().__init__(announcement, chain, limits)
        self._backend = backend

    def _header_line(self, header: ChunkHeader, digest: str) -> bytes:
        return header.size_text + b";chunk-signature=" + self._backend.sign(digest).encode()

    def _on_trailers(self, trailers: Trailers) -> None:
        signature = self._backend.sign_trailers(trailers.fields).encode()
        self._put(trailers.raw + aws_chunked.TRAILER_SIGNATURE.encode() + b":" + signature + _CRLF + _CRLF)


class PlainChecksumCodec:
    """Adds the checksums of the headers to a plain body's codec. Holds as `payload.Sha256Body` does."""

    def __init__(self, inner: BodyCodec, checks: BodyChecks, hold: int = HOLD_OCTETS) -> None:
        """Check a plain body.

        Args:
            inner: what else is checked, such as its signed hash; need not hold back more than an octet itself.
            checks: the headers' checksums, for this one body.
            hold: a body of up to this many octets is released as a whole.

        Raises:
            S3Error: MalformedTrailerError, where a trailer is announced: a plain body has none.
        """
        if checks.announced:
            raise malformed_trailer(f"{TRAILER} is given, but the body is not aws-chunked.")
        self._inner = inner
        self._checks = checks
        self._body = Holdback(max(hold, 1), keep=1)

    def feed(self, data: bytes) -> bytes:
        """See `payload.BodyCodec`."""
        self._checks.update(data)
        ready = self._inner.feed(data)
        return self._body.push([ready]) if ready else b""

    def finish(self) -> bytes:
        """See `payload.BodyCodec`.

        Raises:
            S3Error: as the inner codec; BadDigest.
        """
        rest = self._inner.finish()
        self._checks.verify_headers()
        return self._body.rest() + rest
