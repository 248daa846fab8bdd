"""Presigned URLs: a claim in the query, and the headers that were moved there with it.

See "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in the Amazon S3 API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from osp_gateway.s3.encoding import Pair, decode
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead, is_broken
from osp_gateway.sigv4.canonical import ALGORITHM, UNSIGNED_PAYLOAD
from osp_gateway.sigv4.claim_parts import (
    ALGORITHMS,
    CONTENT_SHA256,
    QUERY,
    SECURITY_TOKEN,
    Claim,
    check_region_set,
    check_signature_form,
    parse_credential,
    signed_headers,
)
from osp_gateway.sigv4.dates import MAX_EXPIRES_SECONDS, MAX_SKEW_SECONDS, iso_time, parse_amz_date

_OPTIONAL_PARAMETERS: Final = frozenset({"X-Amz-Content-Sha256", "X-Amz-Region-Set", "X-Amz-Security-Token"})
AUTH_PARAMETERS: Final = _OPTIONAL_PARAMETERS | {
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
}
"""The query parameters that carry a presigned URL's authentication."""
AUTH_PARAMETERS_LOWER: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)

_REQUIRED_PARAMETERS: Final = AUTH_PARAMETERS - _OPTIONAL_PARAMETERS
_HOISTED_NAME: Final = re.compile(r"x-amz-(?:meta-[0-9a-z._~-]+|[0-9a-z-]+)\Z").match
# The SDK for JavaScript presigns the checksum of a body that it does not have yet. Stores ignore it in a query: as a
# header it would be the checksum of another body.
_IS_CHECKSUM: Final = re.compile(r"x-amz-(?:checksum-.*|sdk-checksum-algorithm)\Z").match


def read_presigned(head: RequestHead, query: tuple[Pair, ...], now: float) -> Claim:
    """The claim in a presigned URL's query; see `claims.read`."""
    parameters = _parameters(query)
    algorithm = parameters["X-Amz-Algorithm"]
    if algorithm not in ALGORITHMS:
        raise QUERY.malformed('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    amz_date = parameters["X-Amz-Date"]
    timestamp = parse_amz_date(amz_date)
    if timestamp is None:
        raise QUERY.malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    access_key, region = parse_credential(algorithm, parameters["X-Amz-Credential"], amz_date, QUERY)
    check_region_set(algorithm, parameters.get("X-Amz-Region-Set"), QUERY)
    expires = _expires(parameters["X-Amz-Expires"])
    signed = signed_headers(head, parameters["X-Amz-SignedHeaders"], QUERY)
    check_signature_form(algorithm, parameters["X-Amz-Signature"], QUERY)
    _refuse_out_of_time(timestamp, expires, now)
    return Claim(
        access_key=access_key,
        amz_date=amz_date,
        region=region,
        signed_headers=signed,
        signature=parameters["X-Amz-Signature"],
        payload_hash=_in_either(head, parameters, CONTENT_SHA256, "X-Amz-Content-Sha256") or UNSIGNED_PAYLOAD,
        query=tuple(pair for pair in query if pair[0] != "X-Amz-Signature"),
        expires=expires,
        session_token=_in_either(head, parameters, SECURITY_TOKEN, "X-Amz-Security-Token"),
        algorithm=algorithm,
    )


def without_authentication(query: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """The query without the parameters that carried a presigned URL's authentication."""
    return tuple(pair for pair in query if pair[0] not in AUTH_PARAMETERS)


def hoisted_headers(query: tuple[Pair, ...]) -> Mapping[str, str]:
    """The `x-amz-*` headers that a presigned URL carries as query parameters, by lower-case name.

    Presigners move headers into the query ("hoisting"); S3 honours them there, and so they count as headers
    from here on.
    """
    hoisted: dict[str, str] = {}
    for name, value in query:
        lower = name.lower()
        if not lower.startswith("x-amz-") or name in AUTH_PARAMETERS or _IS_CHECKSUM(lower):
            continue
        text = decode(value).decode("latin-1")
        if lower in hoisted:
            raise S3Error("InvalidArgument", f"The query parameter {name} was given more than once.")
        if not _HOISTED_NAME(lower) or is_broken(text):
            raise S3Error("InvalidArgument", f"The query parameter {name} cannot stand for one header.")
        hoisted[lower] = text
    return hoisted


def _parameters(query: tuple[Pair, ...]) -> dict[str, str]:
    """The authentication parameters, decoded; each at most once and spelled as AWS spells it."""
    parameters: dict[str, str] = {}
    for name, value in query:
        if name in AUTH_PARAMETERS and name not in parameters:
            parameters[name] = decode(value).decode("latin-1")
        elif name.lower() in AUTH_PARAMETERS_LOWER:
            raise QUERY.malformed(f"The query parameter {name} is given twice or not spelled as expected.")
    if not parameters.keys() >= _REQUIRED_PARAMETERS:
        raise QUERY.malformed(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    if "X-Amz-Region-Set" in parameters and parameters["X-Amz-Algorithm"] == ALGORITHM:
        raise QUERY.malformed("X-Amz-Region-Set belongs to AWS4-ECDSA-P256-SHA256.")
    return parameters


def _expires(text: str) -> int:
    # AWS takes digits only; a bound on their number keeps int() from working for an attacker.
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise QUERY.malformed("X-Amz-Expires should be a number")
    expires = int(text)
    if not 1 <= expires <= MAX_EXPIRES_SECONDS:
        raise QUERY.malformed(
            "X-Amz-Expires must be between 1 and 604800 seconds (a week); it was " + str(expires) + "."
        )
    return expires


def _refuse_out_of_time(timestamp: int, expires: int, now: float) -> None:
    if timestamp - now > MAX_SKEW_SECONDS:
        raise S3Error.access_denied(message="Request is not yet valid")
    if now > timestamp + expires:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            details={
                "X-Amz-Expires": str(expires),
                "Expires": iso_time(timestamp + expires),
                "ServerTime": iso_time(now),
            },
        )


def _in_either(head: RequestHead, parameters: Mapping[str, str], header: str, parameter: str) -> str | None:
    """What a header says or a query parameter; they must not contradict each other."""
    in_header, in_query = head.get(header), parameters.get(parameter)
    if in_header and in_query and in_header != in_query:
        raise S3Error("InvalidArgument", f"{header} differs between the query and the header.")
    return in_query or in_header
