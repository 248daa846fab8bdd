"""What the objects hold that this run has written, where it is not what the recording had.

Bodies that were too large to be recorded are made up; what is downloaded later on is compared with that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Final
from urllib.parse import unquote

from osp_gateway.replay.exchange import Answer, Content, Exchange, Object, RecordedRequest
from osp_gateway.replay.names import object_of
from osp_gateway.replay.xml import Element, parse
from osp_gateway.s3.operations import POST_OBJECT

WRITES: Final = frozenset(
    {"PutObject", POST_OBJECT, "CopyObject", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"}
)
"""Operations whose answers tell the tag of what they wrote."""
LENGTH_ALONE: Final = ""
"""Instead of a digest: nobody knows it."""
_UPLOADS: Final = frozenset({"PutObject", POST_OBJECT})
_PARTS: Final = frozenset({"UploadPart", "UploadPartCopy"})
_UNVERSIONED: Final = "null"
_UNKNOWN: Final = Content(whole=False)
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/").match
_COPY_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)").fullmatch


@dataclass(frozen=True, slots=True)
class _Version:
    """A version of an object by the id that it was recorded with; without content it is a delete marker."""

    id: str
    content: Content | None


class Contents:
    """Follows uploads, copies, multipart uploads and deletions. Safe to be used by several threads."""

    def __init__(self) -> None:
        self._versions: dict[Object, list[_Version]] = {}
        """Of each object that this run has written, the newest last."""
        self._parts: dict[tuple[Object, str], dict[int, Content]] = {}
        """By object and upload id."""
        self._lock = Lock()

    def follow(self, exchange: Exchange) -> None:
        """An exchange has been done again; where it did something at the time, that is done now."""
        if exchange.answer.status >= 300 or failed_late(exchange.answer):
            return
        with self._lock:
            self._follow(exchange)

    def expected(self, exchange: Exchange) -> tuple[int, str] | None:
        """Length and SHA-256 of what a download must bring, where it is not what was recorded.

        The digest is `LENGTH_ALONE` where the object has octets that nobody knows besides those that were made up.
        """
        if exchange.operation != "GetObject" or exchange.answer.status not in (200, 206):
            return None
        request = exchange.request
        with self._lock:
            content = self._content(request.object, unquote(request.values.get("versionId", "")))
        if content is None or not content.made_up:
            return None
        if not content.whole:
            return exchange.answer.payload.length, LENGTH_ALONE
        found = _RANGE(exchange.answer.header("content-range") or "")
        if found:  # rclone's server says 200 with it
            content = content.cut(int(found[1]), int(found[2]) + 1)
        return content.length, content.sha256

    def wrote(self, about: Object) -> bool:
        """Whether this run has written an object, or parts of it."""
        with self._lock:
            return bool(self._versions.get(about)) or any(about == one for one, _ in self._parts)

    def made_up(self, about: Object) -> bool:
        """Whether an object that this run has written, or parts of it, are not what was recorded."""
        with self._lock:
            return any(one.made_up for one in self._known(about))

    def _known(self, about: Object) -> Iterator[Content]:
        yield from (one.content for one in self._versions.get(about, []) if one.content is not None)
        yield from (part for (of, _), parts in self._parts.items() if of == about for part in parts.values())

    def parts(self, request: RecordedRequest) -> list[Content]:
        """The parts that a multipart upload is completed with."""
        with self._lock:
            return self._completing(request)

    def _content(self, about: Object, version: str) -> Content | None:
        versions = self._versions.get(about, [])
        if not version:
            return versions[-1].content if versions else None
        return next((one.content for one in versions if one.id == version), None)

    def _follow(self, exchange: Exchange) -> None:
        request, operation = exchange.request, exchange.operation
        if operation in _PARTS:
            content = self._written(exchange) or _UNKNOWN
            number = _number(request.values.get("partNumber", ""))
            self._parts.setdefault(_upload(request), {})[number] = content
        elif operation in WRITES:
            self._put(exchange, self._written(exchange) or _UNKNOWN)
            if operation == "CompleteMultipartUpload":
                self._parts.pop(_upload(request), None)
        elif operation == "DeleteObject":
            self._delete(request.object, unquote(request.values.get("versionId", "")), _marker(exchange.answer))
        elif operation == "DeleteObjects":
            for deletion in _deletions(exchange):
                self._delete(*deletion)

    def _written(self, exchange: Exchange) -> Content | None:
        request, operation = exchange.request, exchange.operation
        if operation in _UPLOADS or operation == "UploadPart":
            return request.payload.again
        if operation in ("CopyObject", "UploadPartCopy"):
            return self._copied(request)
        if operation == "CompleteMultipartUpload":
            parts = self._completing(request)
            return Content(tuple(s for part in parts for s in part.stretches), all(part.whole for part in parts))
        return None

    def _completing(self, request: RecordedRequest) -> list[Content]:
        parts = self._parts.get(_upload(request), {})
        return [parts.get(number, _UNKNOWN) for number in _part_numbers(request.payload.content or b"")]

    def _put(self, exchange: Exchange, content: Content) -> None:
        version = exchange.answer.header("x-amz-version-id") or _UNVERSIONED
        self._add(exchange.request.object, _Version(version, content))

    def _add(self, about: Object, version: _Version) -> None:
        others = [one for one in self._versions.get(about, []) if one.id != version.id]
        self._versions[about] = [*others, version]

    def _delete(self, about: Object, version: str, marker: str | None) -> None:
        """`marker` is the id of the delete marker that this makes, None where it makes none."""
        if not version and marker is not None:
            self._add(about, _Version(marker, None))
            return
        gone = version or _UNVERSIONED
        self._versions[about] = [one for one in self._versions.get(about, []) if one.id != gone]

    def _copied(self, request: RecordedRequest) -> Content:
        source = request.copy_source
        content = self._content(*source) if source is not None else None
        limits = _COPY_RANGE(request.header("x-amz-copy-source-range") or "")
        if content is None:
            return _UNKNOWN
        return content.cut(int(limits[1]), int(limits[2]) + 1) if limits else content


def _upload(request: RecordedRequest) -> tuple[Object, str]:
    return request.object, request.values.get("uploadId", "")


def failed_late(answer: Answer) -> bool:
    """Whether an answer that began with 200 ends as an error: CopyObject, CompleteMultipartUpload."""
    tree = parse(answer.payload.content) if answer.is_xml and answer.payload.content else None
    return tree is not None and tree.name == "Error"


def same_object(answer: Answer, expected: tuple[int, str]) -> bool:
    """Whether a download brought just that."""
    length, digest = expected
    return answer.payload.length == length and digest in (answer.payload.sha256, LENGTH_ALONE)


def _marker(answer: Answer) -> str | None:
    if answer.header("x-amz-delete-marker") != "true":
        return None
    return answer.header("x-amz-version-id") or _UNVERSIONED


def _deletions(exchange: Exchange) -> Iterator[tuple[Object, str, str | None]]:
    """What a batch has deleted: the object, its version, and the marker that was put there instead."""
    asked, told = (parse(one.content or b"") for one in (exchange.request.payload, exchange.answer.payload))
    failed = {_texts(entry) for entry in _entries(told, "Error")}
    markers = {
        _texts(entry): (entry.text_of("DeleteMarkerVersionId") or _UNVERSIONED)
        for entry in _entries(told, "Deleted")
        if entry.text_of("DeleteMarker") == "true"
    }
    for entry in _entries(asked, "Object"):
        key, version = _texts(entry)
        if (key, version) not in failed:
            yield object_of(exchange.request.bucket, key), version, markers.get((key, version))


def _texts(entry: Element) -> tuple[str, str]:
    return entry.text_of("Key"), entry.text_of("VersionId")


def _entries(tree: Element | None, name: str) -> Iterator[Element]:
    yield from (child for child in (tree.children if tree is not None else ()) if child.name == name)


def _part_numbers(document: bytes) -> list[int]:
    return [_number(part.text_of("PartNumber")) for part in _entries(parse(document), "Part")]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 8 else 0
