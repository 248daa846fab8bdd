"""The view of an aws-chunked body: its chunks, whether their signatures were right, its trailers and checksum."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from osp_gateway.mitm.columns import listed, table, visible
from osp_gateway.mitm.showing import details_of

PRIORITY: Final = 3.0
MAX_ROWS: Final = 1000
MAX_CHUNKS: Final = 8 * MAX_ROWS
"""So many are counted. Chunks of S3's clients have 8 KiB at least, and views are rendered while requests wait."""
_LONGEST_LINE: Final = 1024
_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9A-Za-z*-]{1,200}))?").fullmatch


@dataclass(slots=True)
class _Framing:
    """What stands in a body that was kept, or in its beginning."""

    chunks: list[tuple[int, int, str]] = field(default_factory=list)
    """Where each begins, the octets of its data, its signature."""
    count: int = 0
    trailers: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""


class ChunkedView(Contentview):
    """Where each chunk begins, how long it is, and what was found out about it while it streamed."""

    @property
    def name(self) -> str:
        """As it stands in mitmproxy's list of views."""
        return "aws-chunked"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """A line for each chunk, then the trailers."""
        found = details_of(metadata.flow).get("chunks")
        noted = found if isinstance(found, Mapping) else {}
        return "\n".join(_lines(read_framing(data), noted, bool(data))) + "\n"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """For bodies in that coding, and where such a body was checked."""
        message = metadata.http_message
        if not isinstance(message, http.Request):
            return -1
        if "chunks" in details_of(metadata.flow):
            return PRIORITY
        mode = message.headers.get("x-amz-content-sha256", "")
        coding = message.headers.get("content-encoding", "")
        return PRIORITY if data and ("aws-chunked" in coding.lower() or mode.startswith("STREAMING-")) else -1


def read_framing(body: bytes) -> _Framing:
    """The framing of a body, as far as it can be followed, for `MAX_CHUNKS` at most."""
    framing = _Framing()
    position = 0
    while position < len(body):
        if framing.count == MAX_CHUNKS:
            framing.problem = f"{MAX_CHUNKS} chunks are counted, {len(body) - position} octets follow"
            break
        end = body.find(b"\r\n", position, position + _LONGEST_LINE)
        match = _HEADER(body[position:end]) if end > 0 else None
        if match is None:
            framing.problem = f"at octet {position} there is no chunk header"
            break
        size = int(match[1], 16)
        framing.count += 1
        if len(framing.chunks) < MAX_ROWS:
            framing.chunks.append((position, size, (match[2] or b"").decode()))
        if not size:
            framing.trailers = _trailers(body[end + 2 : end + 2 + 16 * 1024])
            break
        position = end + 2 + size
        if position > len(body):
            framing.problem = "the last chunk is not all here: more of the body was not kept, or it never came"
        elif body[position : position + 2] not in (b"\r\n", b"\r", b""):
            framing.problem = f"at octet {position} the chunk does not end in CRLF"
            break
        position += 2
    return framing


def _trailers(octets: bytes) -> list[tuple[str, str]]:
    lines = octets.decode("latin-1").split("\r\n")
    pairs = [line.strip("\n").partition(":") for line in lines if line.strip()]
    return [(name, value) for name, _, value in pairs]


def _lines(framing: _Framing, noted: Mapping[str, Any], kept: bool) -> Iterator[str]:
    sizes = noted.get("sizes")
    if not framing.chunks and isinstance(sizes, list):
        framing = _from_sizes(sizes, noted)
        yield "The body was not kept. What was found in it while it streamed:"
        yield ""
    elif not kept:
        yield "The body was not kept."
        return
    count = max(framing.count, _number(noted, "count"))
    data = sum(size for _, size, _ in framing.chunks)
    yield f"{count} chunks; {data} octets of data in the {len(framing.chunks)} below"
    yield ""
    rows, offset = [], 0
    for index, (start, size, signature) in enumerate(framing.chunks):
        rows.append(
            [str(index + 1), str(start) if start >= 0 else "", str(offset), str(size), _state(index, noted), signature]
        )
        offset += size
    titles = ("chunk", "at octet", "data from", "octets", "checked", "signature")
    yield from table(titles, rows, (True, True, True, True))
    if count > len(framing.chunks):
        yield f"... and {count - len(framing.chunks)} more"
    yield from _end(framing, noted)


def _from_sizes(sizes: list[Any], noted: Mapping[str, Any]) -> _Framing:
    """Of what was noted: where a chunk begins in the framing is not known then."""
    framing = _Framing(count=_number(noted, "count"))
    framing.chunks = [(-1, size, "") for size in sizes[:MAX_ROWS] if isinstance(size, int)]
    found = noted.get("trailers")
    pairs = found if isinstance(found, list) else []
    framing.trailers = [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    return framing


def _state(index: int, noted: Mapping[str, Any]) -> str:
    if not noted:
        return "not known"
    right = _number(noted, "right")
    if index < right:
        return "signature good" if noted.get("signed") is True else "complete"
    if noted.get("error") and index == right:
        return "BAD"
    return "not checked"


def _end(framing: _Framing, noted: Mapping[str, Any]) -> Iterator[str]:
    if framing.trailers:
        yield from ("", "Trailers:")
        yield from listed(framing.trailers)
    if noted.get("trailers_right") is True:
        yield "The signature of the trailers is good."
    if framing.problem:
        yield from ("", f"The framing cannot be followed further: {framing.problem}.")
    if noted.get("complete") is True:
        yield from ("", "The body is complete; signatures, length and checksums were found right.")
    elif noted.get("error"):
        yield from ("", visible(f"REFUSED: {noted['error']}"))
    elif not noted:
        yield from ("", "Nothing was checked, or what was found out is not recorded with this flow.")


def _number(noted: Mapping[str, Any], name: str) -> int:
    value = noted.get(name)
    return value if isinstance(value, int) and 0 <= value < 1 << 48 else 0
