"""Bodies in chunks (RFC 9112, section 7.1), read strictly: hexadecimal digits, CR LF, no trailers.

Extensions are ignored as the RFC wants it, within bounds. A trailer section is refused: S3 keeps its trailers inside
the body, and a field that comes behind the verdict could not be judged any more.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from osp_gateway.protocol.syntax import bad_request
from osp_gateway.s3.errors import S3Error

MAX_LINE: Final = 1024
"""Octets in the line before a chunk."""
MAX_EXTENSIONS: Final = 16 * 1024
"""Octets of extensions in a whole body: or every chunk of one octet could bring a kilobyte that nobody counts."""

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?")


class _Expected(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    BODY_END = auto()
    NOTHING = auto()


class ChunkedReader:
    """Takes octets as they come, gives the body's; one reader reads one body.

    `complete` says that the body has ended, `rest` is what arrived behind it.
    """

    def __init__(self) -> None:
        self.complete = False
        self.rest = b""
        self._expected = _Expected.SIZE
        self._line = b""
        self._left = 0
        self._extensions = 0

    def feed(self, data: bytes) -> bytes:
        """What `data` brings of the body.

        Raises:
            S3Error: the framing is malformed, over a bound, or has trailers; the connection is of no further use.
        """
        data, self._line = self._line + data, b""
        pieces = []
        at = 0
        while at < len(data) and not self.complete:
            if self._expected is _Expected.DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._took(len(piece))
            else:
                line = self._next_line(data, at)
                if line is None:
                    break
                at += len(line) + 2
                self._took_line(line)
        if self.complete:
            self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _took(self, octets: int) -> None:
        self._left -= octets
        if not self._left:
            self._expected = _Expected.DATA_END

    def _next_line(self, data: bytes, at: int) -> bytes | None:
        """The line that begins at `at`, without its end; None where its end is not there yet."""
        end = data.find(b"\r\n", at, at + MAX_LINE + 2)
        line = data[at:end] if end >= 0 else data[at:]
        if b"\n" in line or b"\r" in line[:-1]:
            raise bad_request("A line between the body's chunks ends in LF or CR alone.")
        if end >= 0:
            return line
        if len(line) > MAX_LINE:
            raise bad_request("A line between the body's chunks is too long.")
        self._refuse_early(line)
        self._line = line
        return None

    def _refuse_early(self, line: bytes) -> None:
        """What stands where nothing but a line's end may be need not be read to its end."""
        if self._expected in (_Expected.DATA_END, _Expected.BODY_END) and line != b"\r":
            raise self._no_end()

    def _took_line(self, line: bytes) -> None:
        if self._expected is _Expected.SIZE:
            self._took_size(line)
        elif line:
            raise self._no_end()
        elif self._expected is _Expected.DATA_END:
            self._expected = _Expected.SIZE
        else:
            self._expected = _Expected.NOTHING
            self.complete = True

    def _took_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise bad_request("The size of a chunk of the body is malformed.")
        self._extensions += len(match[2] or b"")
        if self._extensions > MAX_EXTENSIONS:
            raise bad_request("The body's chunks have too many extensions.")
        self._left = int(match[1], 16)
        self._expected = _Expected.DATA if self._left else _Expected.BODY_END

    def _no_end(self) -> S3Error:
        if self._expected is _Expected.BODY_END:
            return bad_request("HTTP trailers are not accepted.")
        return bad_request("A chunk of the body is longer than its size.")
