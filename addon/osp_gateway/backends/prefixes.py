"""A bucket that is a part of another one: all of its keys are kept under a prefix there, and clients see nothing of it.

What goes to the store is mapped here: keys, listings, copy sources, batches, forms. What comes back is mapped in
`confined`. Operations that cannot be confined to a prefix are refused: only those listed here go on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote

from osp_gateway.backends.rewrite import CopySource, refuse_path_like
from osp_gateway.backends.sealing import TokenSeal
from osp_gateway.s3 import encoding
from osp_gateway.s3.address import MAX_KEY_OCTETS, AddressingStyle, Resource
from osp_gateway.s3.batch import ObjectName
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import Header
from osp_gateway.s3.operations import POST_OBJECT, PREFLIGHT

LISTINGS: Final = frozenset({"ListMultipartUploads", "ListObjectVersions", "ListObjects", "ListObjectsV2"})
CONFINED: Final = LISTINGS | frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjectTagging",
        "DeleteObjects",
        "GetBucketLocation",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadBucket",
        "HeadObject",
        "ListParts",
        "PutObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
        "SelectObjectContent",
        "UploadPart",
        "UploadPartCopy",
        POST_OBJECT,
        PREFLIGHT,
    }
)
"""Operations about one object, or about the keys under a prefix.

Not among them: all that is about the bucket as a whole; RestoreObject, whose body may name another place for its
output; GetObjectTorrent, whose answer names bucket and key; and what is too new to be known well.
"""
REDIRECT: Final = "x-amz-website-redirect-location"
_MARKERS: Final = frozenset({"key-marker", "marker", "start-after"})
_TOKEN: Final = "continuation-token"  # noqa: S105 - a parameter's name
_OTHER_DIALECTS: Final = ("x-bz-", "x-cos-", "x-goog-", "x-minio-", "x-obs-", "x-oss-", "x-rgw-", "minio-")
"""Headers and parameters of stores that speak S3 and more; some of them name other objects."""
_UNPACKING: Final = "snowball"
"""MinIO unpacks archives beside the key that such a header comes with, anywhere in the bucket."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """One bucket's part of another one: `prefix`, of the bucket that clients call `bucket`."""

    prefix: str
    bucket: str
    seal: TokenSeal = field(repr=False, compare=False)

    @property
    def place(self) -> str:
        """What tokens are good for."""
        return f"{self.bucket}/{self.prefix}"

    def refuse_unconfined(self, operation: str, headers: list[Header], query: tuple[Pair, ...] = ()) -> None:
        """Let through what can be confined.

        Raises:
            S3Error: AccessDenied (403) for operations that are not in `CONFINED`; InvalidRequest (400) for headers and
                parameters with which a store would look elsewhere.
        """
        if operation not in CONFINED:
            raise S3Error.access_denied(
                reason=f"{operation} cannot be confined to the prefix of the bucket",
                message=f"{operation} is not available for this bucket.",
            )
        for name in (*(name for name, _ in headers), *(name.lower() for name, _ in query)):
            if name.startswith(_OTHER_DIALECTS) or _UNPACKING in name:
                raise S3Error.invalid_request(f"{name} is not available for this bucket.")

    def key(self, key: str, code: str = "InvalidURI") -> str:
        """The key on the backend.

        Raises:
            S3Error: `code` where a store that takes keys for paths could leave the prefix; KeyTooLongError (400).
        """
        joined = self.prefix + key
        refuse_path_like(key, AddressingStyle.PATH, code)  # whatever the style: the prefix is a part of the path
        if not key:
            raise S3Error(code, "The key is empty.")
        if len(joined.encode()) > MAX_KEY_OCTETS:
            raise S3Error("KeyTooLongError", "Your key is too long")
        return joined

    def resource(self, resource: Resource) -> Resource:
        """The object on the backend; a bucket stays what it is."""
        if not resource.key:
            return resource
        start = encoding.encode(self.prefix.encode(), "/")
        return replace(resource, key=self.key(resource.key), canonical_key=start + resource.canonical_key)

    def query(self, operation: str, query: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """The query for the backend: a listing begins under the prefix, wherever its marker may be.

        Raises:
            S3Error: InvalidArgument (400) for a continuation token that is none.
        """
        if operation not in LISTINGS:
            return query
        start = encoding.encode(self.prefix.encode())
        mapped: list[Pair] = []
        for name, value in query:
            if name == "prefix":
                continue
            if name in _MARKERS and value:
                value = start + value
            elif name == _TOKEN and value:
                value = encoding.encode(self._open(unquote(value)).encode())
            mapped.append((name, value))
        return (*mapped, ("prefix", start + dict(query).get("prefix", "")))

    def _open(self, token: str) -> str:
        try:
            return self.seal.open(token, self.place)
        except ValueError as error:
            raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from error

    def headers(self, headers: list[Header]) -> list[Header]:
        """The headers for the backend. A redirection within the bucket stays within the prefix."""
        return [(name, self._redirect(value) if name == REDIRECT else value) for name, value in headers]

    def _redirect(self, value: str) -> str:
        if not value.startswith("/"):
            return value
        refuse_path_like(value.removeprefix("/"), AddressingStyle.PATH, "InvalidArgument")
        return f"/{encoding.encode(self.prefix.encode(), '/')}{value.removeprefix('/')}"

    def fields(self, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """The fields of a form, of which the key is not one."""
        self.refuse_unconfined(POST_OBJECT, [(name.lower(), value) for name, value in pairs])
        return tuple((name, self._redirect(value) if name.lower() == REDIRECT else value) for name, value in pairs)

    def names(self, names: tuple[ObjectName, ...]) -> tuple[ObjectName, ...]:
        """The objects of a batch."""
        return tuple(replace(name, key=self.key(name.key, "InvalidArgument")) for name in names)


def confined_source(source: CopySource, prefix: str) -> CopySource:
    """What a copy reads, on the backend.

    Raises:
        S3Error: InvalidArgument (400) where a store that takes keys for paths could leave the prefix.
    """
    if not prefix:
        return source
    refuse_path_like(source.key, AddressingStyle.PATH, "InvalidArgument")
    return replace(source, key=prefix + source.key)
