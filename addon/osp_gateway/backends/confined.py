"""Answers about a bucket that is a part of another one: nothing in them tells of the prefix or of what is beside it.

Documents are read and written anew while they stream, see `xml_stream`. Keys lose the prefix; a key without it means
that the store gave what it was not asked for, and the answer is broken off. Of errors only what S3 defines goes on,
with messages of our own: stores write names into theirs. An object's content is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from osp_gateway.backends.prefixes import REDIRECT, Confinement
from osp_gateway.backends.xml_stream import NotXml, Path, XmlMapper
from osp_gateway.s3.errors import S3Error, xml_text

_KEYS: Final = frozenset({"Key", "KeyMarker", "Marker", "NextKeyMarker", "NextMarker", "Prefix", "StartAfter"})
"""Elements that hold a key or the beginning of one. Stores differ in the names of the documents around them."""
_BUCKETS: Final = frozenset({"Bucket", "BucketName", "Name"})
_TOKENS: Final = frozenset({"ContinuationToken", "NextContinuationToken"})
_PLAIN_DOCUMENTS: Final = frozenset(
    {
        "AccessControlPolicy",
        "CopyObjectResult",
        "CopyPartResult",
        "GetObjectAttributesOutput",
        "GetObjectAttributesResponse",
        "LegalHold",
        "LocationConstraint",
        "Retention",
        "Tagging",
    }
)
"""Documents without keys in them. Whatever else is in them was written by clients."""
_HARMLESS: Final = frozenset(
    {
        "ChecksumAlgorithm",
        "ChecksumType",
        "Delimiter",
        "DeleteMarker",
        "DeleteMarkerVersionId",
        "DisplayName",
        "ETag",
        "EncodingType",
        "ID",
        "Initiated",
        "IsLatest",
        "IsTruncated",
        "KeyCount",
        "LastModified",
        "MaxKeys",
        "MaxParts",
        "MaxUploads",
        "NextPartNumberMarker",
        "NextUploadIdMarker",
        "NextVersionIdMarker",
        "PartNumber",
        "PartNumberMarker",
        "Size",
        "StorageClass",
        "UploadId",
        "UploadIdMarker",
        "VersionId",
        "VersionIdMarker",
    }
)
"""Numbers, times, opaque names, and what is repeated from the request: whether that is a guess at the prefix must not
show. All that is not listed here is looked at."""
_ERROR_FIELDS: Final = frozenset(
    {
        "ActualObjectSize",
        "ArgumentName",
        "Code",
        "Condition",
        "ETag",
        "HostId",
        "MaxSizeAllowed",
        "Method",
        "MinSizeAllowed",
        "PartNumber",
        "ProposedSize",
        "RangeRequested",
        "Region",
        "RequestId",
        "ResourceType",
        "UploadId",
        "VersionId",
    }
)
_MESSAGES: Final[Mapping[str, str]] = {
    "AccessDenied": "Access Denied",
    "BadDigest": "The Content-MD5 or checksum value that you specified did not match what the server received.",
    "EntityTooLarge": "Your proposed upload exceeds the maximum allowed object size.",
    "EntityTooSmall": "Your proposed upload is smaller than the minimum allowed object size.",
    "IncompleteBody": "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    "InternalError": "We encountered an internal error. Please try again.",
    "InvalidArgument": "Invalid Argument",
    "InvalidDigest": "The Content-MD5 or checksum value that you specified is not valid.",
    "InvalidObjectState": "The operation is not valid for the current state of the object.",
    "InvalidPart": "One or more of the specified parts could not be found.",
    "InvalidPartOrder": "The list of parts was not in ascending order.",
    "InvalidRange": "The requested range cannot be satisfied.",
    "KeyTooLongError": "Your key is too long",
    "MalformedXML": "The XML you provided was not well-formed or did not validate against our published schema",
    "MethodNotAllowed": "The specified method is not allowed against this resource.",
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchUpload": "The specified multipart upload does not exist.",
    "NoSuchVersion": "The specified version does not exist.",
    "NotImplemented": "A header or parameter you provided implies functionality that is not implemented.",
    "PreconditionFailed": "At least one of the preconditions that you specified did not hold.",
    "ServiceUnavailable": "Please reduce your request rate.",
    "SlowDown": "Please reduce your request rate.",
}
_ANY_MESSAGE: Final = "The store refused the request."
_CODES: Final[Mapping[int, str]] = {
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    412: "PreconditionFailed",
    416: "InvalidRange",
    503: "ServiceUnavailable",
}
_HARMLESS_HEADERS: Final = (
    "accept-ranges",
    "access-control-",
    "age",
    "cache-control",
    "connection",
    "content-",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "transfer-encoding",
    "vary",
    "x-amz-checksum-",
    "x-amz-id-2",
    "x-amz-meta-",
    "x-amz-request-id",
    "x-amz-version-id",
)
"""Headers of the connection, opaque names, and what clients wrote with the object, or asked for."""

Field = tuple[str, str]


class Foreign(NotXml):
    """The store gave something from outside of the prefix."""


@dataclass(frozen=True, slots=True)
class ConfinedNames:
    """How names in an answer are mapped.

    `client_path` is the path that the client asked for, `location` its URL; keys are percent-encoded in the answer
    where they are `encoded`.
    """

    confinement: Confinement
    backend_bucket: str
    client_path: str
    location: str
    encoded: bool

    def key(self, text: str) -> str:
        """A key, a marker or a prefix without the prefix of the bucket.

        Raises:
            Foreign: it is none of this part of the bucket.
        """
        if not text:
            return text
        rest = without_prefix(text, self.confinement.prefix, self.encoded)
        if rest is None:
            raise Foreign("a key outside of the prefix")
        return rest

    def header(self, name: str, value: str, status: int) -> str | None:
        """A header's value for the client; None leaves it out. `name` is lower-case."""
        if name == "location":
            return self._location(value, status)
        if name == REDIRECT and value.startswith("/"):
            rest = without_prefix(value[1:], self.confinement.prefix, encoded=True)
            return None if rest is None else f"/{rest}"
        return value if name.startswith(_HARMLESS_HEADERS) or not self.tells(value) else None

    def _location(self, value: str, status: int) -> str | None:
        if status == 303:
            return self._form_redirect(value)
        return self.location if status < 300 else None

    def _form_redirect(self, value: str) -> str | None:
        """Where a form's uploader is sent: S3 adds bucket, key and etag to what the form says."""
        start, mark, query = value.partition("?")
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        key = without_prefix(pairs.get("key", ""), self.confinement.prefix, encoded=False)
        if key is None or pairs.get("bucket") != self.backend_bucket:
            return None
        return start + mark + urlencode({**pairs, "bucket": self.confinement.bucket, "key": key}, quote_via=quote)

    def tells(self, text: str) -> bool:
        """Whether a text tells of the prefix or of the backend's bucket."""
        hidden = _hidden(self.confinement.prefix, self.backend_bucket, self.confinement.bucket)
        return any(hidden(spelled) for spelled in (text, unquote(text)))


@lru_cache(maxsize=1024)
def _hidden(prefix: str, backend_bucket: str, client_bucket: str) -> Callable[[str], object]:
    """Finds what is not to be seen, where it is not a part of a longer word."""
    names = [prefix.strip("/")] + ([backend_bucket] if backend_bucket != client_bucket else [])
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?![\w.-])").search


def without_prefix(text: str, prefix: str, encoded: bool) -> str | None:
    """What follows the prefix in a text, as it is written there; None where the text begins otherwise.

    Args:
        text: a key, perhaps percent-encoded: stores differ in what they encode.
        prefix: without `%` and `+`.
        encoded: whether it may be.
    """
    if text.startswith(prefix):
        return text[len(prefix) :]
    if not encoded:
        return None
    at, wanted = 0, prefix.encode()
    while wanted:
        octets, after = _octets_at(text, at)
        if not octets or not wanted.startswith(octets):
            return None
        wanted, at = wanted[len(octets) :], after
    return text[at:]


def _octets_at(text: str, at: int) -> tuple[bytes, int]:
    """The octets that the character or escape at a position stands for, and the next position."""
    if at >= len(text):
        return b"", at
    if text[at] == "%":
        try:
            return bytes.fromhex(text[at + 1 : at + 3]), at + 3
        except ValueError:
            return b"", at
    return b" " if text[at] == "+" else text[at].encode(), at + 1


class ConfinedAnswer:
    """Maps one answer while it streams."""

    def __init__(self, names: ConfinedNames, status: int, *, readable: bool = True) -> None:
        """`readable` is False where the answer is compressed; errors are then written anew, others cannot be mapped."""
        self._names = names
        self._status = status
        self._mapper = XmlMapper(self._leaf, self._branch)
        self._code = ""
        self._broken = not readable
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        """Take octets of the answer; return those that are ready.

        Raises:
            S3Error: ServiceUnavailable where it cannot be mapped, and some of it is with the client, or it was no
                error.
        """
        self._fed = self._fed or bool(data)
        if self._broken and self._status < 300:
            self._give_up(NotXml("it is compressed"))
        if self._broken:
            return b""
        try:
            return self._mapper.feed(data)
        except NotXml as error:
            self._give_up(error)
            return b""

    def finish(self) -> bytes:
        """The answer is complete; see `feed`."""
        if not self._broken:
            try:
                return self._mapper.finish()
            except NotXml as error:
                self._give_up(error)
        return self._own_error() if self._fed else b""

    def _give_up(self, error: NotXml) -> None:
        """An error can be told anew as long as nothing of it has been."""
        if self._status < 300 or self._mapper.written:
            raise S3Error.unavailable(
                "The backend's answer could not be read.", reason=f"the answer cannot be mapped to the prefix: {error}"
            ) from error
        self._broken = True

    def _own_error(self) -> bytes:
        code = _CODES.get(self._status, "InternalError" if self._status >= 500 else "InvalidRequest")
        elements = {"Code": code, "Message": _MESSAGES.get(code, _ANY_MESSAGE), "Resource": self._names.client_path}
        inner = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in elements.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()

    # Elements

    def _branch(self, path: Path) -> bool:
        self._refuse_pages(path)
        return path[0] != "Error" or len(path) == 1

    def _leaf(self, path: Path, text: str) -> str | None:
        self._refuse_pages(path)
        name = path[-1]
        if path[0] == "Error":
            return self._error_field(path, text)
        if path[0] in _PLAIN_DOCUMENTS:
            return text
        if name in _KEYS:
            return self._names.key(text)
        if len(path) == 2 and name in _BUCKETS:
            return self._names.confinement.bucket
        if len(path) == 2 and name in _TOKENS:
            confinement = self._names.confinement
            return confinement.seal.seal(text, confinement.place) if text else text
        if path[:2] == ("DeleteResult", "Error"):
            return self._error_text(name, text)
        if name == "Location":
            return self._names.location
        return text if name in _HARMLESS or not self._names.tells(text) else None

    def _refuse_pages(self, path: Path) -> None:
        if self._status >= 300 and path[0] != "Error":
            raise NotXml("it is not S3's document for errors")

    def _error_field(self, path: Path, text: str) -> str | None:
        name = path[-1]
        if len(path) != 2:
            return "" if len(path) == 1 else None
        if name == "Key":
            return without_prefix(text, self._names.confinement.prefix, encoded=False)
        if name == "Resource":
            return self._names.client_path
        if name in _BUCKETS:
            return self._names.confinement.bucket
        if name in _ERROR_FIELDS or name == "Message":
            return self._error_text(name, text)
        return None

    def _error_text(self, name: str, text: str) -> str:
        if name == "Code":
            self._code = text
        return _MESSAGES.get(self._code, _ANY_MESSAGE) if name == "Message" else text


def mapped_headers(names: ConfinedNames, fields: Iterable[Field], status: int) -> list[Field]:
    """An answer's headers for the client."""
    mapped = [(name, names.header(name.lower(), value, status)) for name, value in fields]
    return [(name, value) for name, value in mapped if value is not None]
