"""From the backend's response to the client's: its own names for buckets and places.

Only XML documents and the Location header are touched, never an object's octets, and nothing is collected: a
rewriter holds back no more than an element that is not complete yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import unescape

from osp_gateway.backends.confined import ConfinedNames
from osp_gateway.s3.errors import xml_text

MAX_ELEMENT_OCTETS: Final = 16 * 1024
OBJECT_OPERATIONS: Final = frozenset({"GetObject", "GetObjectTorrent", "SelectObjectContent"})
"""Operations whose successful body is an object's content."""

_ELEMENT: Final = re.compile(rb"<(Name|Bucket|BucketName|Location|Resource)>([^<]*)</\1>")
_OPENING: Final = re.compile(rb"<(?:Name|Bucket|BucketName|Location|Resource)>[^<]*(?:</?[A-Za-z]*)?\Z|<[A-Za-z]*\Z")

_RESULT_END: Final = re.compile(rb"</DeleteResult\s*>|<DeleteResult((?:\s[^<>]*?)?)/>")
_RESULT_OPENING: Final = re.compile(rb"<[^<>]*\Z")


@dataclass(frozen=True, slots=True)
class ResponseNames:
    """How the backend's names map to the client's.

    `scheme`, `host` and `path` make the URL under which the client knows the resource of this request; `confined` is
    there where the client's bucket is a part of the backend's.
    """

    backend_bucket: str
    client_bucket: str
    scheme: str
    host: str
    path: str
    confined: ConfinedNames | None = None

    @property
    def location(self) -> str:
        """The resource's URL, for the client."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def renamed(self) -> bool:
        """Whether the bucket has two names."""
        return self.backend_bucket != self.client_bucket

    def concerns(self, operation: str, status: int, fields: Mapping[str, str]) -> bool:
        """Whether a response of this kind could carry a name to be mapped.

        Args:
            operation: S3's name of it.
            status: the HTTP status.
            fields: the response's headers by lower-case name.
        """
        if "xml" not in fields.get("content-type", "xml") or fields.get("content-encoding", "identity") != "identity":
            return False
        if operation in OBJECT_OPERATIONS and status < 300:
            return False
        return self.renamed or operation in ("CompleteMultipartUpload", "PostObject")

    def map_location(self, value: str) -> str:
        """The Location header of a created bucket or object, in the client's terms."""
        if value in (f"/{self.backend_bucket}", f"/{self.backend_bucket}/"):
            return f"/{self.client_bucket}"
        return self.location

    def map_redirect(self, value: str) -> str:
        """Where a form's uploader is sent: S3 adds bucket, key and etag to what the form says."""
        before, mark, rest = value.rpartition("bucket=")
        bucket, _, _ = rest.partition("&")
        return before + mark + self.client_bucket + rest[len(bucket) :] if bucket == self.backend_bucket else value

    def map_element(self, name: bytes, text: bytes) -> bytes:
        """The text of an element, mapped where it names the backend's bucket."""
        value = unescape(text.decode("utf-8", "replace"))
        if name == b"Location":
            # RGW leaves out the scheme where it answers a form.
            return xml_text(self.location).encode() if "/" in value else text
        if name == b"Resource":
            prefix = f"/{self.backend_bucket}".encode()
            if text == prefix or text.startswith(prefix + b"/"):
                return f"/{self.client_bucket}".encode() + text[len(prefix) :]
            return text
        return xml_text(self.client_bucket).encode() if value == self.backend_bucket else text


class XmlNameRewriter:
    """Maps names in an XML document while it streams."""

    def __init__(self, names: ResponseNames) -> None:
        self._names = names
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take octets of the document; return those that are ready."""
        buffer = _ELEMENT.sub(self._replace, self._held + data)
        opening = _OPENING.search(buffer, max(0, len(buffer) - MAX_ELEMENT_OCTETS))
        cut = opening.start() if opening else len(buffer)
        self._held = buffer[cut:]
        return buffer[:cut]

    def finish(self) -> bytes:
        """The document is complete; return what was held back."""
        rest, self._held = self._held, b""
        return rest

    def _replace(self, match: re.Match[bytes]) -> bytes:
        name = match[1]
        return b"<%b>%b</%b>" % (name, self._names.map_element(name, match[2]), name)


class DeleteResultCompleter:
    """Adds elements to a DeleteResult while it streams: what was not asked of the store is answered all the same."""

    def __init__(self, entries: str) -> None:
        """`entries` are whole elements."""
        self._entries = entries.encode()
        self._held = b""
        self.done = False
        """Whether the place for the elements was found."""

    def feed(self, data: bytes) -> bytes:
        """Take octets of the document; return those that are ready."""
        buffer = self._held + data
        if not self.done and (end := _RESULT_END.search(buffer)):
            self.done = True
            closing = b"</DeleteResult>" if end[1] is None else b"<DeleteResult%b></DeleteResult>" % end[1]
            entries = closing.replace(b"</", self._entries + b"</")
            buffer = buffer[: end.start()] + entries + buffer[end.end() :]
        opening = None if self.done else _RESULT_OPENING.search(buffer, max(0, len(buffer) - MAX_ELEMENT_OCTETS))
        cut = opening.start() if opening else len(buffer)
        self._held = buffer[cut:]
        return buffer[:cut]

    def finish(self) -> bytes:
        """The document is complete; return what was held back."""
        rest, self._held = self._held, b""
        return rest
