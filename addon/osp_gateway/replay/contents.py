"""What the objects hold that this run has uploaded, where it is not what the recording had.

Bodies that were too large to be recorded are made up; what is downloaded later on is compared with that.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from osp_gateway.replay.exchange import Answer, Content, Exchange
from osp_gateway.replay.xml import parse
from osp_gateway.s3 import encoding
from osp_gateway.s3.operations import POST_OBJECT

_UPLOADS: Final = frozenset({"PutObject", POST_OBJECT})
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/").match
_COPY_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)").fullmatch

_Object = tuple[str, str, str]
"""Bucket, key as it is encoded in paths, and version; an empty one for the newest."""


class Contents:
    """Follows uploads, copies and multipart uploads. Safe to be used by several threads."""

    def __init__(self) -> None:
        self._objects: dict[_Object, Content] = {}
        self._parts: dict[str, dict[int, Content]] = {}
        self._lock = Lock()

    def follow(self, exchange: Exchange) -> None:
        """An exchange has been done again; where it did something at the time, that is done now."""
        if exchange.answer.status >= 300:
            return
        with self._lock:
            self._follow(exchange)

    def expected(self, exchange: Exchange) -> tuple[int, str] | None:
        """Length and SHA-256 of what a download must bring, where it is not what was recorded."""
        if exchange.operation != "GetObject" or exchange.answer.status not in (200, 206):
            return None
        request = exchange.request
        version = unquote(request.values.get("versionId", ""))
        with self._lock:
            content = self._objects.get((request.bucket, request.key_path, version))
        if content is None or not content.made_up:
            return None
        found = _RANGE(exchange.answer.header("content-range") or "")
        if found:  # rclone's server says 200 with it
            content = content.cut(int(found[1]), int(found[2]) + 1)
        return content.length, content.sha256

    def _follow(self, exchange: Exchange) -> None:
        request = exchange.request
        upload = request.values.get("uploadId", "")
        if exchange.operation in _UPLOADS:
            self._put(exchange, request.payload.again)
        elif exchange.operation == "CopyObject":
            self._put(exchange, self._copied(exchange))
        elif exchange.operation in ("UploadPart", "UploadPartCopy"):
            part = request.payload.again if exchange.operation == "UploadPart" else self._copied(exchange)
            self._parts.setdefault(upload, {})[int(request.values.get("partNumber", "0"))] = part
        elif exchange.operation == "CompleteMultipartUpload":
            parts = self._parts.pop(upload, {})
            numbers = _part_numbers(request.payload.content or b"")
            self._put(exchange, Content(tuple(s for n in numbers if n in parts for s in parts[n].stretches)))
        elif exchange.operation == "DeleteObject" and "versionId" not in request.values:
            self._objects.pop((request.bucket, request.key_path, ""), None)

    def _put(self, exchange: Exchange, content: Content) -> None:
        request = exchange.request
        version = exchange.answer.header("x-amz-version-id") or ""
        for name in {"", version}:
            self._objects[request.bucket, request.key_path, name] = content

    def _copied(self, exchange: Exchange) -> Content:
        path, _, version = (exchange.request.header("x-amz-copy-source") or "").partition("?versionId=")
        bucket, _, key = unquote_to_bytes(path).removeprefix(b"/").partition(b"/")  # clients encode more, or less
        source = bucket.decode("latin-1"), encoding.encode(key, "/"), unquote(version)
        content = self._objects.get(source, Content())
        limits = _COPY_RANGE(exchange.request.header("x-amz-copy-source-range") or "")
        return content.cut(int(limits[1]), int(limits[2]) + 1) if limits else content


def same_object(answer: Answer, expected: tuple[int, str]) -> bool:
    """Whether a download brought just that."""
    return (answer.payload.length, answer.payload.sha256) == expected


def _part_numbers(document: bytes) -> list[int]:
    tree = parse(document)
    if tree is None:
        return []
    numbers = [part.child("PartNumber") for part in tree.children if part.name == "Part"]
    return [int(number.text) for number in numbers if number is not None and number.text.isdecimal()]
