"""What of a request and of its answer may be in a recording, which is going to be committed.

Signatures, tokens and cookies are left out. Keys of SSE-C become others that stand for them, the same each time; the
values of headers that the operator names become marks. What is not known to be harmless is not recorded.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote

from osp_gateway.redaction import UNTOUCHED, Redactor
from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS_LOWER, without_authentication

RECORDED: Final = (
    "accept",
    "accept-encoding",
    "access-control-request-*",
    "amz-sdk-*",
    "cache-control",
    "content-*",
    "expires",
    "if-*",
    "origin",
    "range",
    "user-agent",
    "x-amz-*",
)
"""Headers of a request that are recorded: those that S3 or its SDKs know. Others may hold anything, secrets too."""
RECORDED_OF_ANSWERS: Final = (
    "accept-ranges",
    "access-control-*",
    "allow",
    "cache-control",
    "content-*",
    "date",
    "etag",
    "expires",
    "ibm-*",
    "last-modified",
    "location",
    "retry-after",
    "vary",
    "x-amz-*",
    "x-rgw-*",
)
"""Headers of an answer that are. What its `Server` is called is nobody's business."""
RECORDED_OF_FORMS: Final = (
    "acl",
    "bucket",
    "cache-control",
    "content-*",
    "expires",
    "key",
    "redirect",
    "success_action_redirect",
    "success_action_status",
    "tagging",
    "x-amz-*",
)
"""Fields of a POST form that are: those that S3 knows."""
_LEFT_OUT: Final = frozenset(
    {
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-mfa",
        "x-amz-region-set",
        "x-amz-s3session-token",
        "x-amz-security-token",
    }
)
"""Among these, what is secret or made anew."""
_PARAMETERS_LEFT_OUT: Final = _LEFT_OUT | {"awsaccesskeyid", "signature", "expires"}
_KEY_OF_CUSTOMER: Final = "server-side-encryption-customer-key"
_MD5: Final = "-md5"
_KEYS_OF_CUSTOMERS: Final = (_KEY_OF_CUSTOMER, _KEY_OF_CUSTOMER + _MD5)


def is_recorded(name: str) -> bool:
    """Whether a header of a request is."""
    return _is_one_of(name.lower(), RECORDED)


def plain_query(head: RequestHead) -> tuple[Pair, ...]:
    """The query without the parameters of a signature, and nothing that is one."""
    try:
        query = encoding.parse_query(head.query)
    except ValueError:
        return ()
    return tuple(pair for pair in without_authentication(query) if pair[0].lower() not in _PARAMETERS_LEFT_OUT)


class Sanitizer:
    """For one recording: what stands for something stands for it throughout, and for nothing in another recording."""

    def __init__(self) -> None:
        """Know of no further secrets yet."""
        self._salt = os.urandom(32)
        self._marks = Redactor(key=self._salt)
        self.name(())

    def name(self, headers: Iterable[str]) -> None:
        """From now on the values of these headers are secret, too, unless they are not to be masked at all."""
        self._named = frozenset(name.strip().lower() for name in headers) - UNTOUCHED

    def of_request(self, headers: Iterable[Header]) -> list[Header]:
        """The headers of a request that are recorded."""
        return [(name, self.value(name, value)) for name, value in headers if is_recorded(name)]

    def of_answer(self, headers: Iterable[Header]) -> list[Header]:
        """The headers of an answer that are recorded."""
        kept = [pair for pair in headers if _is_one_of(pair[0].lower(), RECORDED_OF_ANSWERS)]
        return [(name, _location(value) if _is_url(name) else self.value(name, value)) for name, value in kept]

    def query(self, head: RequestHead) -> tuple[Pair, ...]:
        """Canonically encoded pairs. Headers that a presigned URL carries are as secret there."""
        return tuple((name, self._parameter(name, value)) for name, value in plain_query(head))

    def of_form(self, fields: Iterable[Pair]) -> list[Pair]:
        """The fields of a POST form that are recorded; those that authenticate it are no part of a `Form`."""
        kept = [pair for pair in fields if _is_one_of(pair[0].strip().lower(), RECORDED_OF_FORMS)]
        return [(name, self.value(name, value)) for name, value in kept]

    def value(self, name: str, value: str) -> str:
        """That of a header, or of a form's field."""
        lower = name.lower()
        if lower.endswith(_KEYS_OF_CUSTOMERS):
            return self._stand_in(lower, value)
        return self._marks.mark(value) if lower in self._named else value  # what is sent again must be what was sent

    def _parameter(self, name: str, value: str) -> str:
        plain = encoding.decode(value).decode("latin-1")
        other = self.value(unquote(name), plain)
        return value if other == plain else encoding.encode(other.encode("latin-1"))

    def _stand_in(self, name: str, value: str) -> str:
        """Instead of a customer's key another one, the same each time; and its MD5 where that is wanted."""
        digest = value
        if not name.endswith(_MD5):
            try:
                key = base64.b64decode(value, validate=True)
            except ValueError:
                return "not-base64"
            digest = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
        other = hmac.digest(self._salt, digest.encode("latin-1"), hashlib.sha256)
        if name.endswith(_MD5):
            other = hashlib.md5(other, usedforsecurity=False).digest()
        return base64.b64encode(other).decode()


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return name not in _LEFT_OUT and any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_url(name: str) -> bool:
    return name.lower() in ("location", "content-location")


def _location(value: str) -> str:
    """An address without what authenticates: that of a presigned request, which a store may repeat in a redirect."""
    place, mark, query = value.partition("?")
    kept = [piece for piece in query.split("&") if not _authenticates(unquote(piece.partition("=")[0]).lower())]
    return place + (mark + "&".join(kept) if kept else "")


def _authenticates(name: str) -> bool:
    return name in AUTH_PARAMETERS_LOWER | _PARAMETERS_LEFT_OUT or name.endswith(_KEYS_OF_CUSTOMERS)
