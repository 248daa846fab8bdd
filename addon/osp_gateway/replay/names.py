"""Names that a store makes up: upload ids, version ids, continuation tokens, entity tags, checksums of made-up bodies.

Those of the recording stand in its requests; wherever one does, the name that the store has given this time is put.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from threading import Lock
from typing import Final
from urllib.parse import unquote

from osp_gateway.replay.exchange import COPY_SOURCE, Answer, Exchange, Object, RecordedRequest
from osp_gateway.replay.xml import leaves
from osp_gateway.s3 import encoding


class Kind(Enum):
    """Names of one kind are told from those of another, and where they belong to an object, from another object's."""

    ID = auto()
    """What a store calls an upload, a version, the next page: anything, and nowhere else the same."""
    TAG = auto()
    """An entity tag: mostly made of the content, so that two objects may have the same."""
    CHECKSUM = auto()
    """Made of the content alone."""


CHECKSUM: Final = "x-amz-checksum-"
_KINDS_OF_HEADERS: Final = {
    "etag": Kind.TAG,
    "x-amz-version-id": Kind.ID,
    "x-amz-copy-source-version-id": Kind.ID,
    "x-amz-abort-rule-id": Kind.ID,
    "x-amz-restore-request-id": Kind.ID,
}
_IDS: Final = frozenset(
    {
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
"""Elements of the documents that a store answers with."""
_OF_ALGORITHMS: Final = frozenset({"ChecksumAlgorithm", "ChecksumType", "ChecksumMode"})
_NO_CHECKSUMS: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"})
_PARAMETERS: Final = frozenset({"continuation-token", "upload-id-marker", "uploadId", "version-id-marker", "versionId"})
_TAGS_OF_THE_OBJECT: Final = frozenset({"if-match", "if-none-match"})
_TAGS_OF_THE_SOURCE: Final = frozenset({"x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"})
_IN_BODIES: Final = re.compile(rb"<(ETag|VersionId|Checksum[A-Z0-9]+)>([^<]*)</\1>")
_ENTRY: Final = re.compile(rb"<Object>.*?</Object>", re.DOTALL)
_PART: Final = re.compile(rb"<Part>.*?</Part>", re.DOTALL)
_PART_NUMBER: Final = re.compile(rb"<PartNumber>\s*([0-9]{1,9})\s*</PartNumber>")
_KEY: Final = re.compile(rb"<Key>([^<]*)</Key>")
_NOWHERE: Final[Object] = ("", "")


def kind_of_header(name: str) -> Kind | None:
    """What kind of name a header of an answer holds; None where it holds none."""
    if name.startswith(CHECKSUM) and name not in _NO_CHECKSUMS:
        return Kind.CHECKSUM
    return _KINDS_OF_HEADERS.get(name)


def kind_of_element(name: str) -> Kind | None:
    """What kind of name an element holds; None where it holds none."""
    if name == "ETag":
        return Kind.TAG
    if name.startswith("Checksum") and name not in _OF_ALGORITHMS:
        return Kind.CHECKSUM
    return Kind.ID if name in _IDS else None


def bare(kind: Kind, name: str) -> str:
    """A name to be compared: an entity tag without its quotes."""
    return name.strip().removeprefix("W/").strip('"') if kind is Kind.TAG else name


class Names:
    """Which name of this run stands for which of the recording. Safe to be used by several threads."""

    def __init__(self) -> None:
        self._new: dict[tuple[Kind, Object, str], str] = {}
        self._lock = Lock()

    def learn(self, kind: Kind, about: Object, recorded: str | None, new: str | None, *, again: bool = True) -> None:
        """What was called `recorded` is called `new` now.

        Args:
            kind: ids are not told apart by object.
            about: the object.
            recorded: nothing is learned where it is None or empty.
            new: the same.
            again: whether what was learned before is forgotten: an object has been written again. Ids stay.
        """
        if not recorded or not new:
            return
        place = self._place(kind, about, recorded)
        with self._lock:
            if again and kind is not Kind.ID:
                self._new[place] = bare(kind, new)
            else:
                self._new.setdefault(place, bare(kind, new))

    def current(self, kind: Kind, about: Object, recorded: str) -> str:
        """What a name is now, in the quotes that it had; itself where nothing else was learned."""
        old = bare(kind, recorded)
        return recorded.replace(old, self._new.get(self._place(kind, about, recorded), old), 1) if old else recorded

    def knows(self, kind: Kind, about: Object, recorded: str) -> bool:
        """Whether a name of the recording has been learned."""
        return self._place(kind, about, recorded) in self._new

    def learn_from(
        self,
        exchange: Exchange,
        new: Answer,
        may: Callable[[Kind, Object], bool] = lambda _kind, _about: True,
        *,
        again: bool = True,
    ) -> None:
        """Learn the names in two answers to the same request.

        Args:
            exchange: as recorded.
            new: the answer of this run.
            may: whether a kind of name of an object is learned. The tags and checksums of what this run has not written
                are the recording's, or something has changed.
            again: see `learn`.
        """
        about, recorded = exchange.request.object, exchange.answer
        number = exchange.request.values.get("partNumber")
        owners = (about,) if number is None else (about, part_of(exchange.request, number))
        for name, value in recorded.headers:
            kind = kind_of_header(name)
            if kind is not None and may(kind, about):
                for one in owners:
                    self.learn(kind, one, value, new.header(name), again=again)
        if recorded.is_xml and new.is_xml:
            found = _named(new, about)
            for (kind, one, path), names in _named(recorded, about).items():
                if may(kind, one):
                    for old, value in zip(names, found.get((kind, one, path), ()), strict=False):
                        self.learn(kind, one, old, value, again=again)

    def in_request(self, request: RecordedRequest) -> RecordedRequest:
        """The request with the names of this run."""
        query = tuple((name, self._in_parameter(name, value)) for name, value in request.query)
        headers = tuple((name, self._in_header(request, name, value)) for name, value in request.headers)
        return replace(request, query=query, headers=headers)

    def in_body(self, request: RecordedRequest, content: bytes) -> bytes:
        """An XML document that a client sends, with the names of this run."""
        if is_completion(request):
            return _PART.sub(lambda part: self._in_entry(request.object, part[0], _part_of(request, part[0])), content)
        if _ENTRY.search(content) is None:
            return self._in_entry(request.object, content)
        return _ENTRY.sub(lambda entry: self._in_entry(_object_of(request.bucket, entry[0]), entry[0]), content)

    def _in_entry(self, about: Object, content: bytes, part: Object | None = None) -> bytes:
        """With the names of an object, or, where there are any, of its part: parts may have had the same name."""

        def renamed(match: re.Match[bytes]) -> bytes:
            kind = kind_of_element(match[1].decode())
            if kind is None:
                return match[0]
            old = html.unescape(match[2].decode("utf-8", "surrogateescape"))
            text = self.current(kind, part if part is not None and self.knows(kind, part, old) else about, old)
            return b"<%b>%b</%b>" % (
                match[1],
                html.escape(text, quote=False).encode("utf-8", "surrogateescape"),
                match[1],
            )

        return _IN_BODIES.sub(renamed, content)

    def _in_parameter(self, name: str, value: str) -> str:
        if name not in _PARAMETERS:
            return value
        return encoding.encode(self.current(Kind.ID, _NOWHERE, unquote(value)).encode())

    def _in_header(self, request: RecordedRequest, name: str, value: str) -> str:
        if name in _TAGS_OF_THE_OBJECT:
            return self._in_tags(request.object, value)
        source = request.copy_source
        if name in _TAGS_OF_THE_SOURCE and source is not None:
            return self._in_tags(source[0], value)
        if name == COPY_SOURCE and "?versionId=" in value:
            path, mark, version = value.partition("?versionId=")
            return path + mark + encoding.encode(self.current(Kind.ID, _NOWHERE, unquote(version)).encode())
        if name.startswith(CHECKSUM) and is_completion(request):
            return self.current(Kind.CHECKSUM, request.object, value)
        return value

    def _in_tags(self, about: Object, value: str) -> str:
        return ",".join(self.current(Kind.TAG, about, piece) for piece in value.split(","))

    @staticmethod
    def _place(kind: Kind, about: Object, recorded: str) -> tuple[Kind, Object, str]:
        return kind, _NOWHERE if kind is Kind.ID else about, bare(kind, recorded)


def is_completion(request: RecordedRequest) -> bool:
    """Whether it completes a multipart upload: its checksum headers are about the object, and not about its body."""
    return request.method == "POST" and "uploadId" in request.values


def _named(answer: Answer, about: Object) -> dict[tuple[Kind, Object, str], list[str]]:
    """The names in a document, by their kind, the object that they belong to, and their path."""
    found: dict[tuple[Kind, Object, str], list[str]] = {}
    for leaf in leaves(answer.payload):
        kind = kind_of_element(leaf.name)
        if kind is not None:
            of = about if leaf.key is None else object_of(about[0], leaf.key)
            found.setdefault((kind, of, leaf.path), []).append(leaf.text)
    return found


def object_of(bucket: str, key: str) -> Object:
    """An object by its bucket and its plain key."""
    return bucket, encoding.encode(key.encode("utf-8", "surrogateescape"), "/")


def part_of(request: RecordedRequest, number: str) -> Object:
    """What the names of a part belong to: no key has a question mark that is not encoded."""
    bucket, key = request.object
    return bucket, f"{key}?{number}"


def _part_of(request: RecordedRequest, entry: bytes) -> Object:
    number = _PART_NUMBER.search(entry)
    return part_of(request, number[1].decode() if number is not None else "")


def _object_of(bucket: str, entry: bytes) -> Object:
    key = _KEY.search(entry)
    return object_of(bucket, html.unescape(key[1].decode("utf-8", "surrogateescape")) if key is not None else "")
