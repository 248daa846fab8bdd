"""The syntax that heads of HTTP/1.1 and HTTP/2 share: RFC 9110, sections 4, 5 and 7."""

from __future__ import annotations

import re
from typing import Final

from osp_gateway.limits import Limits
from osp_gateway.s3.errors import S3Error

TOKEN: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no field's value may hold: every control octet but the tab."""

_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_AUTHORITY: Final = re.compile(rb"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,18}")
_NO_S3_METHOD: Final = frozenset({b"CONNECT", b"TRACE"})


def bad_request(message: str) -> S3Error:
    """400 InvalidRequest; `message` holds nothing of the request's values."""
    return S3Error.invalid_request(message)


def head_too_large() -> S3Error:
    """A head with too many octets or fields."""
    return S3Error(
        "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed request header size."
    )


def check_method(method: bytes) -> None:
    """Raise `S3Error` (400, 405) unless `method` is a token that an S3 server could mean something by.

    Methods of the client's own invention pass: they are refused with everything that S3 has no operation for.
    """
    if not TOKEN.fullmatch(method):
        raise bad_request("The request's method is not a token.")
    if method in _NO_S3_METHOD:
        raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")


def check_target(path: bytes, limits: Limits) -> None:
    """Raise `S3Error` (400, 414) unless `path` is a target in origin-form (RFC 9112, section 3.2.1)."""
    if len(path) > limits.url_octets:
        raise S3Error("RequestURITooLong", "The request's URI exceeds the maximum allowed length.")
    if not _TARGET.fullmatch(path):
        raise S3Error("InvalidURI", "The request's URI holds octets that must be percent-encoded.")
    if not path.startswith(b"/"):
        raise S3Error("InvalidURI", "The request's URI is not a path.")


def check_authority(host: bytes) -> None:
    """Raise `S3Error` (400) unless `host` is a host's name or address, perhaps with a port: RFC 9110, section 7.2.

    Neither percent-encoding nor user information is part of any name that S3 is reached by.
    """
    if not _AUTHORITY.fullmatch(host):
        raise bad_request("The request's Host is not a valid host.")


def check_name(name: bytes) -> None:
    """Raise `S3Error` (400) unless a field's name is a token: no blank before the colon, no folded line."""
    if not TOKEN.fullmatch(name):
        raise bad_request("The name of a header field is not a token.")


def content_length(values: list[bytes]) -> int | None:
    """The one number that Content-Length gives, None where there is none.

    Raise `S3Error` (400) for a second one, a list (RFC 9110, section 8.6 lets us) and anything but digits.
    """
    if not values:
        return None
    if len(values) > 1:
        raise bad_request("Content-Length was given more than once.")
    if not _LENGTH.fullmatch(values[0]):
        raise bad_request("Content-Length is not a number.")
    return int(values[0])
