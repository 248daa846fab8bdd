"""What a request says about its signer, read and judged before any secret is looked up.

A `Claim` comes from the Authorization header or from a presigned URL's query. See "Authenticating Requests
(AWS Signature Version 4)" in the Amazon S3 API reference; codes and messages are AWS's.
"""

from __future__ import annotations

import re
from typing import Final

from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.claim_parts import (
    ALGORITHMS,
    CONTENT_SHA256,
    HEADER,
    REGION_SET,
    SECURITY_TOKEN,
    SERVICE,
    Claim,
    check_region_set,
    check_signature_form,
    parse_credential,
    signed_headers,
    two_mechanisms,
)
from osp_gateway.sigv4.dates import header_date, no_date, parse_amz_date, refuse_skewed
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS_LOWER, read_presigned

_PARTS: Final = frozenset({"Credential", "SignedHeaders", "Signature"})
# As every SDK writes it: 1 us, against 4 for any order.
_USUAL_ORDER: Final = re.compile(
    r"Credential=(?P<Credential>[^,\s]+),\x20?SignedHeaders=(?P<SignedHeaders>[^,\s]+),\x20?"
    r"Signature=(?P<Signature>[^,\s]+)\Z"
).match


def read(head: RequestHead, query: tuple[Pair, ...], now: float) -> Claim | None:
    """The claim of a request, or None where it carries no authentication at all.

    All that can be judged without the secret is judged here: form, dates, which headers are signed.

    Args:
        head: the request's head.
        query: its canonically encoded pairs.
        now: seconds since the epoch.

    Raises:
        S3Error: with the code and message that AWS gives.
    """
    authorization = head.get("authorization")
    names = frozenset([name.lower() for name, _ in query])
    presigned = not names.isdisjoint(AUTH_PARAMETERS_LOWER)
    if "awsaccesskeyid" in names or "signature" in names:  # SigV2
        raise unsupported_mechanism()
    if authorization is None:
        return read_presigned(head, query, now) if presigned else None
    if presigned:
        raise two_mechanisms()
    if any(name.startswith("x-amz-") for name in names):
        raise S3Error("InvalidArgument", "x-amz-* query parameters belong to presigned requests only.")
    return _read_header(head, authorization, query, now, SERVICE, head.get(CONTENT_SHA256))


def read_for_service(
    head: RequestHead, query: tuple[Pair, ...], now: float, service: str, payload_hash: str
) -> Claim | None:
    """The claim in the Authorization header of a request to a service other than S3, or None where there is none.

    Such requests have their body signed always, and need not say its hash.

    Args:
        head: the request's head.
        query: its canonically encoded pairs.
        now: seconds since the epoch.
        service: the service's signing name.
        payload_hash: hex SHA-256 of the body that was received.

    Raises:
        S3Error: with the code and message that S3 would give.
    """
    authorization = head.get("authorization")
    if authorization is None:
        return None
    return _read_header(head, authorization, query, now, service, payload_hash)


def _read_header(
    head: RequestHead,
    authorization: str,
    query: tuple[Pair, ...],
    now: float,
    service: str,
    payload_hash: str | None,
) -> Claim:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm not in ALGORITHMS:
        raise unsupported_mechanism()
    parts = _authorization_parts(rest)
    amz_date = header_date(head)
    access_key, region = parse_credential(algorithm, parts["Credential"], amz_date, HEADER, service)
    signed = signed_headers(head, parts["SignedHeaders"], HEADER)
    check_signature_form(algorithm, parts["Signature"], HEADER)
    check_region_set(algorithm, head.get(REGION_SET), HEADER)
    timestamp = parse_amz_date(amz_date)
    if timestamp is None:
        raise no_date()
    refuse_skewed(timestamp, now, amz_date)
    if payload_hash is None:
        raise S3Error.invalid_request("Missing required header for this request: x-amz-content-sha256")
    return Claim(
        access_key=access_key,
        amz_date=amz_date,
        region=region,
        signed_headers=signed,
        signature=parts["Signature"],
        payload_hash=payload_hash,
        query=query,
        expires=None,
        session_token=head.get(SECURITY_TOKEN),
        algorithm=algorithm,
        service=service,
    )


def _authorization_parts(text: str) -> dict[str, str]:
    """`Credential`, `SignedHeaders` and `Signature`, with or without spaces after the commas."""
    usual = _USUAL_ORDER(text)
    if usual is not None:
        return usual.groupdict()
    parts: dict[str, str] = {}
    for piece in text.split(","):
        name, equals, value = piece.strip(" \t").partition("=")
        if not equals or not value or name in parts or name not in _PARTS:
            raise HEADER.malformed("expected Credential, SignedHeaders and Signature, each once.")
        parts[name] = value
    if len(parts) != len(_PARTS):
        missing = ", ".join(sorted(_PARTS - parts.keys()))
        raise HEADER.malformed(f"missing: {missing}.")
    return parts


def unsupported_mechanism() -> S3Error:
    """The error for authentication of another kind."""
    return S3Error.invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )
