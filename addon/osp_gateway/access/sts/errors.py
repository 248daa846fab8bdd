"""STS's errors: code, message and status, and their XML form.

See "Common errors" and each action's errors in the AWS Security Token Service API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from osp_gateway.s3.errors import S3Error, xml_text

NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
STATUS: Final[Mapping[str, int]] = {
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "ExpiredTokenException": 400,
    "IDPCommunicationError": 400,
    "IncompleteSignature": 400,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidIdentityToken": 400,
    "MalformedPolicyDocument": 400,
    "MissingAction": 400,
    "MissingAuthenticationToken": 403,
    "PackedPolicyTooLarge": 400,
    "RequestEntityTooLarge": 413,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "ValidationError": 400,
}
"""The HTTP status that goes with each code."""

_OF_S3: Final[Mapping[str, tuple[str, str | None]]] = {
    "AccessDenied": ("AccessDenied", None),
    "AuthorizationHeaderMalformed": ("IncompleteSignature", None),
    "ExpiredToken": ("ExpiredToken", "The security token included in the request is expired"),
    "InternalError": ("InternalFailure", None),
    "InvalidAccessKeyId": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "InvalidToken": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "RequestTimeTooSkewed": (
        "SignatureDoesNotMatch",
        "Signature expired or not yet current: the request's time is more than 15 minutes from the server's.",
    ),
    "ServiceUnavailable": ("ServiceUnavailable", None),
    "SignatureDoesNotMatch": ("SignatureDoesNotMatch", None),
    "SlowDown": ("ServiceUnavailable", None),
}
"""What STS calls what S3 calls so; whatever else was wrong with a signed request is an IncompleteSignature."""


class StsError(S3Error):
    """A refusal in STS's own words. `reason` is for the operator only."""

    def __init__(self, code: str, message: str, *, reason: str | None = None) -> None:
        # S3Error's own constructor knows S3's codes.
        Exception.__init__(self, f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason or message
        self.details = {}
        self.headers = ()
        self.status = STATUS[code]

    def document(self, resource: str, request_id: str) -> bytes:  # noqa: ARG002
        """The error as STS's XML document, UTF-8 encoded. STS does not repeat what was asked for."""
        fault = "Receiver" if self.status >= 500 else "Sender"
        return (
            f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{fault}</Type><Code>{self.code}</Code>'
            f"<Message>{xml_text(self.message)}</Message></Error>"
            f"<RequestId>{xml_text(request_id)}</RequestId></ErrorResponse>"
        ).encode()


def of_s3(error: S3Error) -> StsError:
    """What went wrong with the signature or the keys of a request, in STS's words."""
    if isinstance(error, StsError):
        return error
    code, message = _OF_S3.get(error.code, ("IncompleteSignature", None))
    return StsError(code, message or error.message, reason=error.reason)


def invalid(message: str) -> StsError:
    """400 ValidationError: something is wrong with a parameter."""
    return StsError("ValidationError", message)


def not_authorized(who: str, action: str, resource: str, reason: str) -> StsError:
    """403 AccessDenied, which does not tell whether there is such a resource; `reason` stays with the operator."""
    return StsError(
        "AccessDenied", f"User: {who} is not authorized to perform: sts:{action} on resource: {resource}", reason=reason
    )
