"""Names that a store makes up: upload ids, version ids, entity tags, continuation tokens, checksums of made-up bodies.

Those of the recording stand in its requests; wherever one does, the name that the store has given this time is put.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace
from threading import Lock
from typing import Final
from urllib.parse import unquote

from osp_gateway.replay.exchange import Answer, RecordedRequest
from osp_gateway.replay.xml import leaves
from osp_gateway.s3 import encoding

NAMING_HEADERS: Final = frozenset(
    {"etag", "x-amz-version-id", "x-amz-copy-source-version-id", "x-amz-abort-rule-id", "x-amz-restore-request-id"}
)
NAMING_ELEMENTS: Final = frozenset(
    {
        "ETag",
        "UploadId",
        "VersionId",
        "CopySourceVersionId",
        "DeleteMarkerVersionId",
        "NextContinuationToken",
        "ContinuationToken",
        "NextUploadIdMarker",
        "UploadIdMarker",
        "NextVersionIdMarker",
        "VersionIdMarker",
    }
)
"""What a store makes up, in the documents that it answers with."""
_PARAMETERS: Final = frozenset({"continuation-token", "upload-id-marker", "uploadId", "version-id-marker", "versionId"})
_HEADERS: Final = frozenset(
    {
        "if-match",
        "if-none-match",
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-none-match",
        "x-amz-if-match-initiated-time",
    }
)
_COPY_SOURCE: Final = "x-amz-copy-source"
_IN_BODIES: Final = re.compile(rb"<(ETag|VersionId|Checksum[A-Z0-9]+)>([^<]*)</\1>")
CHECKSUM: Final = "x-amz-checksum-"


class Names:
    """Which name of this run stands for which of the recording. Safe to be used by several threads."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}
        self._lock = Lock()

    def learn(self, recorded: str | None, new: str | None) -> None:
        """What was called `recorded` is called `new` now; the first name that is learned stays."""
        if recorded and new:
            with self._lock:
                self._new.setdefault(plain(recorded), plain(new))

    def current(self, recorded: str) -> str:
        """What a name is now, in the quotes that it had; itself where nothing else was learned."""
        bare = plain(recorded)
        return recorded.replace(bare, self._new.get(bare, bare), 1) if bare else recorded

    def knows(self, recorded: str) -> bool:
        """Whether a name of the recording has been learned."""
        return plain(recorded) in self._new

    def learn_from(self, recorded: Answer, new: Answer) -> None:
        """Learn the names in two answers to the same request."""
        for name, value in recorded.headers:
            if name in NAMING_HEADERS or name.startswith(CHECKSUM):
                self.learn(value, new.header(name))
        if recorded.is_xml and new.is_xml:
            found = _named(new)
            for path, names in _named(recorded).items():
                for old, value in zip(names, found.get(path, ()), strict=False):
                    self.learn(old, value)

    def in_request(self, request: RecordedRequest) -> RecordedRequest:
        """The request with the names of this run."""
        query = tuple((name, self._in_parameter(name, value)) for name, value in request.query)
        headers = tuple((name, self._in_header(name, value)) for name, value in request.headers)
        return replace(request, query=query, headers=headers)

    def in_body(self, content: bytes) -> bytes:
        """An XML document that a client sends, with the names of this run."""
        return _IN_BODIES.sub(self._in_element, content)

    def _in_parameter(self, name: str, value: str) -> str:
        return encoding.encode(self.current(unquote(value)).encode()) if name in _PARAMETERS else value

    def _in_header(self, name: str, value: str) -> str:
        if name in _HEADERS:
            return ",".join(self.current(piece) for piece in value.split(","))
        if name == _COPY_SOURCE and "?versionId=" in value:
            path, mark, version = value.partition("?versionId=")
            return path + mark + encoding.encode(self.current(unquote(version)).encode())
        return value

    def _in_element(self, match: re.Match[bytes]) -> bytes:
        text = html.escape(self.current(html.unescape(match[2].decode())), quote=False)
        return b"<%b>%b</%b>" % (match[1], text.encode(), match[1])


def plain(name: str) -> str:
    """An entity tag without its quotes; whatever else is the same."""
    return name.strip().removeprefix("W/").strip('"')


def _named(answer: Answer) -> dict[str, list[str]]:
    """The names in a document, by their path."""
    found: dict[str, list[str]] = {}
    for path, text in leaves(answer.payload):
        if is_name(path.rpartition("/")[2]):
            found.setdefault(path, []).append(text)
    return found


def is_name(element: str) -> bool:
    """Whether an element holds what a store makes up."""
    return element in NAMING_ELEMENTS or (element.startswith("Checksum") and element not in _OF_ALGORITHMS)


_OF_ALGORITHMS: Final = frozenset({"ChecksumAlgorithm", "ChecksumType", "ChecksumMode"})
