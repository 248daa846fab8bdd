"""Labels of metrics. Whatever clients send, the number of different values has a bound."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from osp_gateway.backends.routes import Routes
from osp_gateway.s3.errors import S3Error

NONE: Final = "-"
OTHER: Final = "other"
MAX_BUCKETS: Final = 1000
MAX_OPERATIONS: Final = 256
MAX_REMEMBERED: Final = 4096

_STATUSES: Final = {status.value: str(status.value) for status in HTTPStatus}

_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "identity": (
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "MissingSecurityHeader",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    ),
    "body": (
        "BadDigest",
        "EntityTooLarge",
        "EntityTooSmall",
        "IncompleteBody",
        "IncorrectNumberOfFilesInPostRequest",
        "InvalidChunkSizeError",
        "InvalidDigest",
        "MalformedPOSTRequest",
        "MalformedTrailerError",
        "MalformedXML",
        "MaxPostPreDataLengthExceeded",
        "MissingContentLength",
        "XAmzContentSHA256Mismatch",
    ),
    "limits": ("RequestHeaderSectionTooLarge", "RequestTimeout", "RequestURITooLong", "SlowDown"),
    "routing": ("NoSuchBucket",),
    "unsupported": ("HttpVersionNotSupported", "MethodNotAllowed", "NotImplemented"),
    "internal": ("InternalError",),
}
_CLASS_OF: Final = {code: name for name, codes in _CLASSES.items() for code in codes}


def reason_class(code: str, operation: str) -> str:
    """Why a request was refused, in one of a few words.

    Args:
        code: S3's error code.
        operation: as in a `Verdict`: a request that has no name yet has not been identified either.
    """
    identified = operation != NONE
    if code == "AccessDenied":
        return "authorization" if identified else "identity"
    if code == "ServiceUnavailable":
        return "backend" if identified else "internal"
    return _CLASS_OF.get(code, "request")


def status_label(status: int | None) -> str:
    """A status that HTTP knows as it is, another one by its class; `-` where there was no answer."""
    if status is None:
        return NONE
    return _STATUSES.get(status) or (f"{status // 100}xx" if 100 <= status < 600 else OTHER)


class BucketLabels:
    """The configured name of a bucket, the pattern that it falls under, or `other`."""

    def __init__(self, routes: Routes, most: int = MAX_BUCKETS) -> None:
        """Of the configured names and patterns the first `most` get labels of their own."""
        self._routes = routes
        self._shown = frozenset(routes.patterns[:most])
        self._names = self._shown.intersection(routes.names)
        self._found = lru_cache(maxsize=MAX_REMEMBERED)(self._find)

    def of(self, bucket: str) -> str:
        """The label of a bucket that a client has named; `-` where it has named none."""
        if not bucket:
            return NONE
        return bucket if bucket in self._names else self._found(bucket)

    def _find(self, bucket: str) -> str:
        try:
            pattern = self._routes.find(bucket).pattern
        except S3Error:
            return OTHER
        return pattern if pattern in self._shown else OTHER


class FewOperations:
    """Operations are S3's, of which there are about a hundred. Should there ever be more, they are `other`."""

    def __init__(self, most: int = MAX_OPERATIONS) -> None:
        self._most = most
        self._seen: set[str] = set()

    def of(self, operation: str) -> str:
        """The label of an operation."""
        if operation not in self._seen:
            if len(self._seen) >= self._most:
                return OTHER
            self._seen.add(operation)
        return operation
