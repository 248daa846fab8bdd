"""The aws-chunked framing: octets in, events out, in the manner of h11.

    body     = *chunk "0" [extension] CRLF ( CRLF | trailers CRLF )
    chunk    = 1*16HEXDIG [extension] CRLF data CRLF
    extension = ";chunk-signature=" signature          in the signed modes, and only there
    trailers = *( name ":" value [LF] CRLF ) [ "x-amz-trailer-signature:" signature CRLF ]

See "Signature calculations for the authorization header: transferring a payload in multiple chunks" and
"... including trailing headers" in the Amazon S3 API reference. The LF before a trailer's CRLF is minio-go's.
The parser knows where things are, not whether they are right: signatures, checksums and the total length are for
`chunked_codecs`. Data are handed on as views of what was fed; between feeds it keeps one partial line at most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.checksums import malformed_trailer

MAX_HEADER_OCTETS: Final = 256
"""A chunk's header line, without its CRLF. The longest that AWS defines has 177."""
MAX_CHUNK_OCTETS: Final = 16 * 1024 * 1024
"""A signed chunk: it is held until its signature is known to be right."""
MIN_CHUNK_OCTETS: Final = 8 * 1024
"""AWS's bound for every chunk but the last; it also bounds the work that a body's octet can cause."""
MAX_TRAILERS: Final = 8
MAX_TRAILER_OCTETS: Final = 1024
"""A trailer's line, without its CRLF."""
ECDSA_SIGNATURE_OCTETS: Final = 144
"""The length to which SigV4A signatures of chunks are padded, with asterisks on the right."""

TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"

_SIZE: Final = rb"([0-9A-Fa-f]{1,16})"
_HMAC_SIGNATURE: Final = rb"([0-9a-f]{64})"
_ECDSA_SIGNATURE: Final = rb"([0-9a-f*]{144})"
_TRAILER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_TRAILER_VALUE: Final = re.compile(r"[\t\x20-\x7e]+").fullmatch


@dataclass(frozen=True, slots=True)
class Mode:
    """A payload mode: the value of `x-amz-content-sha256`, who signs its chunks, whether trailers may follow.

    `signature` is None, "hmac" (SigV4) or "ecdsa" (SigV4A).
    """

    name: str
    signature: str | None
    trailer: bool


MODES: Final[Mapping[str, Mode]] = {
    mode.name: mode
    for mode in (
        Mode("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "ecdsa", trailer=False),
        Mode("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", "ecdsa", trailer=True),
        Mode("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "hmac", trailer=False),
        Mode("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "hmac", trailer=True),
        Mode("STREAMING-UNSIGNED-PAYLOAD-TRAILER", None, trailer=True),
    )
}
"""The five modes that AWS documents, by name."""


class ChunkHeader(NamedTuple):
    """A chunk begins. `size_text` is its size as written; `signature` is None in the unsigned mode."""

    size: int
    size_text: bytes
    signature: str | None


Data = memoryview
"""Some of a chunk's data, never empty: a view of the octets that were fed."""


class ChunkEnd(NamedTuple):
    """A chunk is complete; for the last one, of no octets, this comes straight after its header."""


class Trailers(NamedTuple):
    """All of a body is known, but for the CRLF that ends it, in a mode with trailers.

    `fields` are lower-case names with trimmed values; `raw` are their lines as received, each with its CRLF, without
    the signature's; `signature` is None in the unsigned mode.
    """

    fields: tuple[tuple[str, str], ...]
    raw: bytes
    signature: str | None


Event = ChunkHeader | Data | ChunkEnd | Trailers

_CHUNK_END: Final = ChunkEnd()

# What comes next; data come whenever `_left` is not zero.
_HEADER, _AFTER_DATA, _TRAILER, _LAST_LINE, _END = range(5)
_LIMIT: Final = (MAX_HEADER_OCTETS, 0, MAX_TRAILER_OCTETS, 0, 0)


class Parser:
    """Reads one body. After an error it must not be used again."""

    def __init__(self, mode: Mode, *, max_chunk: int = MAX_CHUNK_OCTETS, min_chunk: int = MIN_CHUNK_OCTETS) -> None:
        """Read a body of `mode`.

        Args:
            mode: one of `MODES`.
            max_chunk: octets that a signed chunk may have.
            min_chunk: octets that every chunk but the last must have.
        """
        self._mode = mode
        self._max_chunk = max_chunk if mode.signature else None
        self._min_chunk = min_chunk
        self._state = _HEADER
        self._left = 0
        self._partial = b""
        self._chunk = 0
        self._size = min_chunk
        self._trailers: list[tuple[str, str]] = []
        self._raw: list[bytes] = []
        extension = {None: b"", "hmac": _HMAC_SIGNATURE, "ecdsa": _ECDSA_SIGNATURE}[mode.signature]
        self._header = re.compile(_SIZE + (b";chunk-signature=" + extension if extension else b"")).fullmatch
        self._signature = re.compile(TRAILER_SIGNATURE.encode() + b":" + extension).fullmatch if extension else None

    @property
    def ended(self) -> bool:
        """Whether the body is complete."""
        return self._state == _END

    def feed(self, data: bytes) -> list[Event]:
        """The events that these octets complete.

        Args:
            data: the next octets of the body, split anywhere.

        Raises:
            S3Error: IncompleteBody for broken framing, InvalidChunkSizeError, EntityTooLarge for a signed chunk above
                `max_chunk`, MalformedTrailerError.
        """
        events: list[Event] = []
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            left = self._left
            if left:
                piece = view[position : position + left]
                size = len(piece)
                position += size
                self._left = left - size
                events.append(piece)
            elif self._state == _AFTER_DATA and not self._partial and data.startswith(b"\r\n", position):
                # The common case of the lines below, without their work.
                position += 2
                self._state = _HEADER
                events.append(_CHUNK_END)
            else:
                line, position = self._line(data, position)
                if line is None:
                    break
                if self._state == _HEADER:
                    self._read_header(line, events)
                else:
                    self._read_other(line, events)
        return events

    def finish(self) -> None:
        """The octets are at their end.

        Raises:
            S3Error: IncompleteBody, where the body is not.
        """
        if self._state != _END:
            raise malformed("The aws-chunked body ends too early.")

    def _line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The next line without its CRLF, or None as long as it is not complete; and where to read on."""
        if self._state == _END:
            raise malformed("Octets follow the end of the aws-chunked body.")
        limit = _LIMIT[self._state] + 2
        if not self._partial:
            cut = data.find(b"\r\n", position, position + limit)
            if cut >= 0:
                return data[position:cut], cut + 2
        known = len(self._partial)
        self._partial += data[position : position + limit - known]
        cut = self._partial.find(b"\r\n")
        if cut >= 0:
            line, self._partial = self._partial[:cut], b""
            return line, position + cut + 2 - known
        if len(self._partial) >= limit:
            if self._state == _TRAILER:
                raise malformed_trailer(f"A trailer has more than {MAX_TRAILER_OCTETS} octets.")
            raise malformed("A line of the aws-chunked framing is too long or does not end in CRLF.")
        return None, len(data)

    def _read_header(self, line: bytes, events: list[Event]) -> None:
        match = self._header(line)
        if match is None:
            raise malformed("A chunk's header is not of the form that its payload mode asks for.")
        text = match[1]
        size = int(text, 16)
        self._chunk += 1
        if size:
            if self._size < self._min_chunk:
                raise S3Error(
                    "InvalidChunkSizeError",
                    f"Only the last chunk is allowed to have a size less than {self._min_chunk} bytes",
                    details={"Chunk": str(self._chunk), "BadChunkSize": str(self._size)},
                )
            if self._max_chunk is not None and size > self._max_chunk:
                raise S3Error(
                    "EntityTooLarge",
                    "A signed chunk of your proposed upload exceeds the maximum allowed size",
                    details={"ProposedSize": str(size), "MaxSizeAllowed": str(self._max_chunk)},
                )
        self._size = self._left = size
        events.append(ChunkHeader(size, text, match[2].decode() if self._mode.signature else None))
        if size:
            self._state = _AFTER_DATA
            return
        events.append(_CHUNK_END)
        self._state = _TRAILER if self._mode.trailer else _LAST_LINE

    def _read_other(self, line: bytes, events: list[Event]) -> None:
        """A line that is not a chunk's header; where its length is limited to none, it is empty."""
        if self._state == _AFTER_DATA:
            self._state = _HEADER
            events.append(_CHUNK_END)
        elif self._state == _LAST_LINE:
            self._state = _END
        else:
            self._read_trailer(line, events)

    def _read_trailer(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._signature is not None:
                raise malformed("The trailers are not signed.")
            self._end(None, events)
        elif self._signature is not None and (match := self._signature(line)):
            self._end(match[1].decode(), events)
        else:
            self._add_trailer(line)

    def _add_trailer(self, line: bytes) -> None:
        if len(self._trailers) == MAX_TRAILERS:
            raise malformed_trailer(f"There are more than {MAX_TRAILERS} trailers.")
        text = line.removesuffix(b"\n").decode("latin-1")
        name, _, value = text.partition(":")
        name, value = name.strip(" \t").lower(), value.strip(" \t")
        if not _TRAILER_NAME(name) or not _TRAILER_VALUE(value):
            raise malformed_trailer("A trailer is not a name and a value.")
        if name == TRAILER_SIGNATURE or any(name == other for other, _ in self._trailers):
            raise malformed_trailer("A trailer is given twice, or a signature where none belongs.")
        self._trailers.append((name, value))
        self._raw.append(line + b"\r\n")

    def _end(self, signature: str | None, events: list[Event]) -> None:
        # A signature is followed by the empty line that ends the trailers; without one, it was just read.
        self._state = _END if signature is None else _LAST_LINE
        events.append(Trailers(tuple(self._trailers), b"".join(self._raw), signature))


def malformed(reason: str) -> S3Error:
    """IncompleteBody, AWS's answer to all broken framing; `reason` is for the operator."""
    return S3Error("IncompleteBody", "The request body terminated unexpectedly", reason=reason)
