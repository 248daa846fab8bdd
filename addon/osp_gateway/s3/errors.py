"""S3's errors: code, message and status, and their XML form.

See "Error responses" in the Amazon S3 API reference. `S3Error` is the one exception that a client may see.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final, Self
from xml.sax.saxutils import escape

STATUS: Final[Mapping[str, int]] = {
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BadGateway": 502,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "ExpiredToken": 400,
    "HttpVersionNotSupported": 505,
    "IncompleteBody": 400,
    "IncorrectNumberOfFilesInPostRequest": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidChunkSizeError": 403,
    "InvalidDigest": 400,
    "InvalidPolicyDocument": 400,
    "InvalidRequest": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedPOSTRequest": 400,
    "MalformedTrailerError": 400,
    "MalformedXML": 400,
    "MaxPostPreDataLengthExceeded": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingSecurityHeader": 400,
    "NoSuchBucket": 404,
    "NotImplemented": 501,
    "RequestHeaderSectionTooLarge": 400,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "RequestURITooLong": 414,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "UserKeyMustBeSpecified": 400,
    "XAmzContentSHA256Mismatch": 400,
}
"""The HTTP status that goes with each code."""


def new_request_id() -> str:
    """What tells a request from others, as S3 writes it: 16 hexadecimal digits. It is no secret, and may be guessed.

    The system's own random numbers would take 4 us, a twentieth of a decision.
    """
    return f"{random.getrandbits(64):016X}"


class S3Error(Exception):
    """A refusal in S3's own words.

    `code` is one of `STATUS`; `message` goes to the client and must not contain a secret; `reason` is for the
    operator only (log, flow comment) and defaults to the message; `details` become further XML elements, `headers`
    further header fields of the answer. `status` is given where it is not the code's own, or the code none of ours.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str | None = None,
        details: Mapping[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        status: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason or message
        self.details: Mapping[str, str] = details or {}
        self.headers = tuple(headers)
        self.status = STATUS[code] if status is None else status

    @classmethod
    def access_denied(cls, reason: str | None = None, message: str = "Access Denied") -> Self:
        """403 AccessDenied; `reason` stays with the operator."""
        return cls("AccessDenied", message, reason=reason)

    @classmethod
    def invalid_request(cls, message: str) -> Self:
        """400 InvalidRequest."""
        return cls("InvalidRequest", message)

    @classmethod
    def unavailable(cls, message: str, reason: str | None = None) -> Self:
        """503 ServiceUnavailable: SDKs try again."""
        return cls("ServiceUnavailable", message, reason=reason)

    @classmethod
    def internal(cls, reason: str) -> Self:
        """500 InternalError: something went wrong in the gateway itself."""
        return cls("InternalError", "We encountered an internal error. Please try again.", reason=reason)

    def document(self, resource: str, request_id: str) -> bytes:
        """The error as S3's XML document, UTF-8 encoded.

        `resource` is the path that was asked for, in characters (not octets).
        """
        elements = {
            "Code": self.code,
            "Message": self.message,
            **self.details,
            "Resource": resource,
            "RequestId": request_id,
        }
        inner = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in elements.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()


def xml_text(value: str) -> str:
    """`value` escaped for XML; characters that XML 1.0 cannot carry become U+FFFD."""
    # A carriage return as it is would be read as a line feed: XML 1.0, section 2.11.
    return escape("".join(c if _is_xml_char(c) else "\ufffd" for c in value), {"\r": "&#13;"})


def _is_xml_char(char: str) -> bool:
    """See `Char` in XML 1.0, section 2.2."""
    point = ord(char)
    return 0x20 <= point <= 0xD7FF or point in (0x9, 0xA, 0xD) or 0xE000 <= point <= 0xFFFD or point >= 0x10000
