"""Signature Version 2 of S3: who signed a request by the old rules, and whether the signature is right.

See "Signing and authenticating REST requests (AWS signature version 2)" in the Amazon S3 user guide; codes and
messages are AWS's. The string to sign is

    method, Content-MD5, Content-Type, date    one line each, without a name, empty where there is none
    x-amz-* headers                            one line each, `name:value`, sorted
    resource                                   /bucket/key as sent, then the sub-resources, sorted and decoded

Much of a request is not in it. What is not signed anybody can change who sees a presigned URL, so a query parameter
passes only where it is signed or where all that it changes is which part of a listing is shown. That is stricter
than AWS, where a parameter that nobody signed can be any other sub-resource.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from osp_gateway.s3.address import AddressingStyle, Resource, Scope
from osp_gateway.s3.encoding import Pair, decode
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead, is_broken
from osp_gateway.sigv4.claim_parts import SECURITY_TOKEN, two_mechanisms
from osp_gateway.sigv4.dates import (
    MAX_EXPIRES_SECONDS,
    MAX_SKEW_SECONDS,
    iso_time,
    no_date,
    parse_amz_date,
    refuse_skewed,
)
from osp_gateway.sigv4.keys import told
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS_LOWER as V4_PARAMETERS

SCHEME: Final = "AWS"
AUTH_PARAMETERS: Final = frozenset({"AWSAccessKeyId", "Expires", "Signature", SECURITY_TOKEN})
"""The query parameters that carry a presigned URL's authentication."""

_REPEATED_HEADERS: Final = ("content-md5", "content-type")
"""The headers of which presigners leave a copy in the query; the signature is over the header."""

RESPONSE_OVERRIDES: Final = frozenset(
    {
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    }
)
SUB_RESOURCES: Final = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)
"""The sub-resources on which signers agree."""
RECENT_SUB_RESOURCES: Final = frozenset(
    {
        "encryption",
        "intelligent-tiering",
        "legal-hold",
        "ownershipControls",
        "policyStatus",
        "publicAccessBlock",
        "retention",
    }
)
"""Sub-resources that came after Signature Version 2: some signers leave them out, and are refused."""
SIGNED_PARAMETERS: Final = SUB_RESOURCES | RECENT_SUB_RESOURCES | RESPONSE_OVERRIDES
"""The query parameters that are part of the resource in the string to sign."""

LISTING_PARAMETERS: Final = frozenset(
    {
        "allow-unordered",
        "bucket-region",
        "continuation-token",
        "delimiter",
        "encoding-type",
        "fetch-owner",
        "key-marker",
        "list-type",
        "marker",
        "max-buckets",
        "max-keys",
        "max-parts",
        "max-uploads",
        "part-number-marker",
        "prefix",
        "start-after",
        "upload-id-marker",
        "version-id-marker",
    }
)
"""Never signed, and accepted as AWS accepts them: they choose what a listing shows, and in which form."""

_AUTHORIZATION: Final = re.compile(r"AWS ([^\s:]+):([^\s:]+)\Z").match
_ISO_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?Z\Z")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+\Z").match
_LONGEST_DATE: Final = 40  # "Wednesday, 31-Dec-2025 23:59:59 +0000" has 37 characters
_MARKS: Final = frozenset({"awsaccesskeyid", "signature"})
_AUTH_PARAMETERS_LOWER: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)
# The session token has one name in both versions but for its capitals.
_V4_MARKS: Final = V4_PARAMETERS - {SECURITY_TOKEN}


@dataclass(frozen=True, slots=True)
class V2Claim:
    """Who a request says it is from.

    `signature` is base64 as received; `date` is what stands in the string to sign's date line: the Date header,
    nothing where there is an x-amz-date, or the digits of `Expires`. `expires_at` is in seconds since the epoch, None
    for a signature in the Authorization header.
    """

    access_key: str
    signature: str = field(repr=False)
    date: str
    expires_at: int | None
    session_token: str | None = field(repr=False)


def read(head: RequestHead, query: tuple[Pair, ...], now: float) -> V2Claim | None:
    """The claim of a request, or None where it carries no authentication of this version.

    All that can be judged without the secret is judged here: form, dates, what the signature does not cover.

    Args:
        head: the request's head.
        query: its canonically encoded pairs.
        now: seconds since the epoch.

    Raises:
        S3Error: with the code and message that AWS gives.
    """
    authorization = head.get("authorization")
    names = frozenset([name.lower() for name, _ in query])
    in_header = authorization is not None and authorization.partition(" ")[0] == SCHEME
    presigned = not names.isdisjoint(_MARKS)
    if not in_header and not presigned:
        return None
    if _is_mixed(authorization, names):
        raise two_mechanisms()
    _refuse_repeated(query)
    if authorization is None:
        _refuse_unsigned(without_authentication(query))
        return _read_presigned(head, dict(query), now)
    _refuse_unsigned(query)
    return _read_header(head, authorization, now)


def string_to_sign(claim: V2Claim, head: RequestHead, resource: Resource, query: tuple[Pair, ...]) -> str:
    """The string to sign, one character an octet (latin-1).

    Args:
        claim: what `read` found.
        head: the head as received.
        resource: what the request is about.
        query: its canonically encoded pairs.

    Raises:
        S3Error: InvalidRequest or InvalidArgument where another request would have the same string.
    """
    return _head_to_sign(claim, head) + _path_to_sign(head, resource) + _query_to_sign(query)


def verify(claim: V2Claim, head: RequestHead, resource: Resource, query: tuple[Pair, ...], secret_key: str) -> None:
    """Raise unless the claim's signature is the one that `secret_key` gives for this head.

    Args:
        claim: what `read` found.
        head: the head as received.
        resource: what the request is about.
        query: its canonically encoded pairs.
        secret_key: the secret of the claim's access key.

    Raises:
        S3Error: SignatureDoesNotMatch (403), and what `string_to_sign` raises.
    """
    to_sign = [string_to_sign(claim, head, resource, query)]
    if resource.scope is Scope.BUCKET and resource.style is AddressingStyle.PATH and not head.path.endswith("/"):
        # botocore and others sign "/bucket/" where they send "/bucket": it is the same bucket.
        to_sign.append(_head_to_sign(claim, head) + head.path + "/" + _query_to_sign(query))
    # Text against text, and what we make is canonical base64: one signature has one spelling.
    matches = [hmac.compare_digest(signature(text, secret_key).encode(), claim.signature.encode()) for text in to_sign]
    if not any(matches):
        raise S3Error(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            reason=_why_not(query),
            details={"AWSAccessKeyId": told(claim.access_key)},
        )


def signature(to_sign: str, secret_key: str) -> str:
    """Base64 of the HMAC-SHA1 of a string to sign."""
    return base64.b64encode(hmac.digest(secret_key.encode(), to_sign.encode("latin-1"), "sha1")).decode("ascii")


def without_authentication(query: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """The query of a presigned URL without the parameters that carried its authentication.

    Copies of Content-Type and Content-MD5, which presigners leave there, go with them: to S3 they mean nothing.
    """
    return tuple(pair for pair in query if pair[0] not in AUTH_PARAMETERS and pair[0] not in _REPEATED_HEADERS)


def _is_mixed(authorization: str | None, names: frozenset[str]) -> bool:
    """Whether a request that has authentication of this version has further authentication."""
    if not names.isdisjoint(_V4_MARKS):
        return True
    return authorization is not None and not names.isdisjoint(_MARKS | {"expires"})


def _refuse_repeated(query: tuple[Pair, ...]) -> None:
    seen: set[str] = set()
    for name, _ in query:
        if name in seen:
            raise S3Error("InvalidArgument", f"The query parameter {name} was given more than once.")
        if name not in AUTH_PARAMETERS and name.lower() in _AUTH_PARAMETERS_LOWER:
            raise S3Error("InvalidArgument", f"The query parameter {name} is not spelled as expected.")
        seen.add(name)


def _refuse_unsigned(query: tuple[Pair, ...]) -> None:
    """Refuse what the signature does not cover and what is more than a listing's parameter."""
    for name, _ in query:
        if name in SIGNED_PARAMETERS or name in LISTING_PARAMETERS:
            continue
        if name.lower().startswith("x-amz-"):
            raise S3Error("InvalidArgument", f"{name} must be a header: Signature Version 2 takes none from the query.")
        raise S3Error.invalid_request(
            f"The query parameter {name} is not covered by Signature Version 2. Please use AWS4-HMAC-SHA256."
        )


def _read_header(head: RequestHead, authorization: str, now: float) -> V2Claim:
    parts = _AUTHORIZATION(authorization)
    if parts is None:
        raise S3Error("InvalidArgument", "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
    amz_date, date = head.get("x-amz-date"), head.get("date")
    stated = (date or "" if amz_date is None else amz_date).strip(" \t")
    _refuse_date(stated, now)
    return V2Claim(
        access_key=parts[1],
        signature=parts[2],
        date=stated if amz_date is None else "",
        expires_at=None,
        session_token=head.get(SECURITY_TOKEN),
    )


def _read_presigned(head: RequestHead, query: dict[str, str], now: float) -> V2Claim:
    parameters = {name: decode(value).decode("latin-1") for name, value in query.items() if name in AUTH_PARAMETERS}
    access_key, given = parameters.get("AWSAccessKeyId"), parameters.get("Signature")
    if not access_key or not given or "Expires" not in parameters:
        raise S3Error.access_denied(
            message="Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    _refuse_other_headers(head, query)
    return V2Claim(
        access_key=access_key,
        signature=given,
        date=parameters["Expires"],
        expires_at=_expires_at(parameters["Expires"], now),
        session_token=_session_token(head, parameters.get(SECURITY_TOKEN)),
    )


def _refuse_other_headers(head: RequestHead, query: dict[str, str]) -> None:
    """A copy of a header in the query must say what the header says."""
    for name in _REPEATED_HEADERS:
        if name in query and decode(query[name]).decode("latin-1").strip(" \t") != _value(head, name):
            raise S3Error("InvalidArgument", f"The query parameter {name} and the header {name} differ.")


def _session_token(head: RequestHead, in_query: str | None) -> str | None:
    in_header = head.get(SECURITY_TOKEN)
    if in_query is not None and in_header is not None:
        raise S3Error("InvalidArgument", f"{SECURITY_TOKEN} was given in the query and as a header, expected one.")
    return in_header if in_query is None else in_query


def _refuse_date(date: str, now: float) -> None:
    timestamp = _timestamp(date)
    if timestamp is None:
        raise no_date()
    refuse_skewed(timestamp, now, date)


def _timestamp(date: str) -> int | None:
    """Seconds since the epoch of a date as RFC 1123, RFC 850, asctime or ISO 8601 write it, or None."""
    if len(date) > _LONGEST_DATE or not date.isascii():
        return None
    iso = _ISO_DATE.match(date)
    timestamp = parse_amz_date("{}{}{}T{}{}{}Z".format(*iso.groups()) if iso else date)
    if timestamp is not None:
        return timestamp
    try:
        moment = parsedate_to_datetime(date)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _expires_at(text: str, now: float) -> int:
    """When a presigned URL ends. One that has more than a week to live is refused, as Version 4 refuses it.

    AWS takes any date. But such a URL is a key that is never changed, and what is remembered of a URL until it ends
    (how often it was used) must have an end.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise S3Error.access_denied(message=f"Invalid date (should be seconds since epoch): {text}")
    expires_at = int(text)
    if now > expires_at:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            details={"Expires": iso_time(expires_at), "ServerTime": iso_time(now)},
        )
    if expires_at - now > MAX_EXPIRES_SECONDS + MAX_SKEW_SECONDS:
        raise S3Error("AuthorizationQueryParametersError", "Expires must be less than a week (604800 seconds) ahead.")
    return expires_at


def _head_to_sign(claim: V2Claim, head: RequestHead) -> str:
    """All lines before the resource.

    They have no names, so a line break within one would make it another request's: none may have one.
    """
    lines = [head.method, _value(head, "content-md5"), _value(head, "content-type"), claim.date]
    headers = {name: _value(head, name) for name in head.fields if name.startswith("x-amz-")}
    if claim.session_token is not None:  # it is signed as a header, wherever it stands
        headers[SECURITY_TOKEN] = claim.session_token.strip(" \t")
    for name, value in sorted(headers.items()):
        if not _HEADER_NAME(name):
            raise S3Error.invalid_request("The name of a header is not valid.")
        lines.append(f"{name}:{value}")
    if any(is_broken(line) for line in lines):
        raise S3Error.invalid_request("What is signed contains a line break or NUL.")
    return "\n".join(lines) + "\n"


def _value(head: RequestHead, name: str) -> str:
    """A header's value, trimmed; several joined by commas; inner white space as it is."""
    return ",".join([value.strip(" \t") for value in head.fields.get(name, ())])


def _path_to_sign(head: RequestHead, resource: Resource) -> str:
    # Over the path as it was sent, whatever its escapes (`%2d`, `%c3` ...). What goes on to the store is
    # `resource.canonical_path`: another spelling of the same octets, and so the same bucket and key.
    return f"/{resource.bucket}{head.path}" if resource.style is AddressingStyle.VIRTUAL else head.path


def _query_to_sign(query: tuple[Pair, ...]) -> str:
    """The signed parameters, sorted by name, with decoded values; `acl=` counts as `acl`."""
    pieces = []
    for name, value in sorted(pair for pair in query if pair[0] in SIGNED_PARAMETERS):
        text = decode(value).decode("latin-1")
        if "&" in text:
            _refuse_folded(name, text)
        pieces.append(f"{name}={text}" if text else name)
    return "?" + "&".join(pieces) if pieces else ""


def _refuse_folded(name: str, text: str) -> None:
    """Refuse a value that reads as further parameters.

    Values are signed decoded: `response-expires=0&versionId=1` has the string to sign of
    `response-expires=0%26versionId%3D1`, in which another version is read.
    """
    if any(piece.partition("=")[0] in SIGNED_PARAMETERS for piece in text.split("&")[1:]):
        raise S3Error("InvalidArgument", f"The value of the query parameter {name} reads as further parameters.")


def _why_not(query: tuple[Pair, ...]) -> str | None:
    """For the operator: what signers are known to differ in."""
    recent = sorted(name for name, _ in query if name in RECENT_SUB_RESOURCES)
    if not recent:
        return None
    return f"the signature does not match; Signature Version 2 clients often do not sign {', '.join(recent)}"
