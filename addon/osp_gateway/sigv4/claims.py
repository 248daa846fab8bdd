"""What a request says about its signer, read and judged before any secret is looked up.

A `Claim` comes from the Authorization header or from a presigned URL's query. See "Authenticating Requests
(AWS Signature Version 4)" in the Amazon S3 API reference; codes and messages are AWS's.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from osp_gateway.s3.encoding import Pair, decode
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead, is_broken
from osp_gateway.sigv4.canonical import ALGORITHM, TERMINATOR, UNSIGNED_PAYLOAD

SERVICE: Final = "s3"
MAX_SKEW_SECONDS: Final = 15 * 60
MAX_EXPIRES_SECONDS: Final = 7 * 24 * 3600

CONTENT_SHA256: Final = "x-amz-content-sha256"
AUTH_PARAMETERS: Final = frozenset(
    {
        "X-Amz-Algorithm",
        "X-Amz-Content-Sha256",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    }
)
"""The query parameters that carry a presigned URL's authentication."""
_AUTH_PARAMETERS_LOWER: Final = frozenset(name.lower() for name in AUTH_PARAMETERS)

_HEX_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}\Z").match
_SIGNED_HEADERS: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+(;[!#$%&'*+\-.^_`|~0-9a-z]+)*\Z").match
_HOISTED_NAME: Final = re.compile(r"x-amz-(?:meta-[0-9a-z._~-]+|[0-9a-z-]+)\Z").match
# The SDK for JavaScript presigns the checksum of a body that it does not have yet. Stores ignore it in a query: as a
# header it would be the checksum of another body.
_IS_CHECKSUM: Final = re.compile(r"x-amz-(?:checksum-.*|sdk-checksum-algorithm)\Z").match
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z").match


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a request says it is from, and over what its signature goes.

    `query` are the canonically encoded pairs that the signature covers; `expires` is None for a signature in
    the Authorization header, else the presigned URL's life in seconds.
    """

    access_key: str
    amz_date: str
    region: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    payload_hash: str
    query: tuple[Pair, ...] = field(repr=False)
    expires: int | None
    session_token: str | None = field(repr=False)

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.amz_date[:8]}/{self.region}/{SERVICE}/{TERMINATOR}"


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
    presigned = not names.isdisjoint(_AUTH_PARAMETERS_LOWER)
    if "awsaccesskeyid" in names or "signature" in names:  # SigV2
        raise _unsupported_mechanism()
    if authorization is None:
        return _read_presigned(head, query, now) if presigned else None
    if presigned:
        raise S3Error(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
        )
    if any(name.startswith("x-amz-") for name in names):
        raise S3Error("InvalidArgument", "x-amz-* query parameters belong to presigned requests only.")
    return _read_header(head, authorization, query, now)


def _read_header(head: RequestHead, authorization: str, query: tuple[Pair, ...], now: float) -> Claim:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise _unsupported_mechanism()
    parts = _authorization_parts(rest)
    amz_date = _header_date(head)
    access_key, date, region = _credential(parts["Credential"], amz_date, _HEADER)
    signed = _signed_headers(head, parts["SignedHeaders"], _HEADER)
    signature = parts["Signature"]
    if not _HEX_SIGNATURE(signature):
        raise _HEADER.malformed("the Signature must be 64 lower-case hex digits.")
    timestamp = parse_amz_date(amz_date)
    if timestamp is None or date != amz_date[:8]:
        raise S3Error.access_denied(message="AWS authentication requires a valid Date or x-amz-date header")
    if abs(now - timestamp) > MAX_SKEW_SECONDS:
        raise S3Error(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            details={
                "RequestTime": amz_date,
                "ServerTime": iso_time(now),
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW_SECONDS * 1000),
            },
        )
    payload_hash = head.get(CONTENT_SHA256)
    if payload_hash is None:
        raise S3Error.invalid_request("Missing required header for this request: x-amz-content-sha256")
    return Claim(
        access_key=access_key,
        amz_date=amz_date,
        region=region,
        signed_headers=signed,
        signature=signature,
        payload_hash=payload_hash,
        query=query,
        expires=None,
        session_token=head.get("x-amz-security-token"),
    )


def _read_presigned(head: RequestHead, query: tuple[Pair, ...], now: float) -> Claim:
    parameters = _presigned_parameters(query)
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise _QUERY.malformed('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    amz_date = parameters["X-Amz-Date"]
    timestamp = parse_amz_date(amz_date)
    if timestamp is None:
        raise _QUERY.malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    access_key, date, region = _credential(parameters["X-Amz-Credential"], amz_date, _QUERY)
    if date != amz_date[:8]:
        raise _QUERY.malformed(f'Invalid credential date "{date}". This date is not the same as X-Amz-Date.')
    expires = _expires(parameters["X-Amz-Expires"])
    signed = _signed_headers(head, parameters["X-Amz-SignedHeaders"], _QUERY)
    if not _HEX_SIGNATURE(parameters["X-Amz-Signature"]):
        raise _QUERY.malformed("X-Amz-Signature must be 64 lower-case hex digits.")
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
    header_hash, query_hash = head.get(CONTENT_SHA256), parameters.get("X-Amz-Content-Sha256")
    if header_hash and query_hash and header_hash != query_hash:
        raise S3Error("InvalidArgument", "x-amz-content-sha256 differs between the query and the header.")
    return Claim(
        access_key=access_key,
        amz_date=amz_date,
        region=region,
        signed_headers=signed,
        signature=parameters["X-Amz-Signature"],
        payload_hash=query_hash or header_hash or UNSIGNED_PAYLOAD,
        query=tuple(pair for pair in query if pair[0] != "X-Amz-Signature"),
        expires=expires,
        session_token=parameters.get("X-Amz-Security-Token") or head.get("x-amz-security-token"),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a credential was written: the two places differ in the code of their errors."""

    code: str
    prefix: str

    def malformed(self, message: str) -> S3Error:
        """The error for something wrong in this place."""
        return S3Error(self.code, self.prefix + message)


_HEADER: Final = _Place("AuthorizationHeaderMalformed", "The authorization header is malformed; ")
_QUERY: Final = _Place("AuthorizationQueryParametersError", "")
_PARTS: Final = frozenset({"Credential", "SignedHeaders", "Signature"})
# As every SDK writes it: 1 us, against 4 for any order.
_USUAL_ORDER: Final = re.compile(
    r"Credential=(?P<Credential>[^,\s]+),\x20?SignedHeaders=(?P<SignedHeaders>[^,\s]+),\x20?"
    r"Signature=(?P<Signature>[^,\s]+)\Z"
).match


def _authorization_parts(text: str) -> dict[str, str]:
    """`Credential`, `SignedHeaders` and `Signature`, with or without spaces after the commas."""
    usual = _USUAL_ORDER(text)
    if usual is not None:
        return usual.groupdict()
    parts: dict[str, str] = {}
    for piece in text.split(","):
        name, equals, value = piece.strip(" \t").partition("=")
        if not equals or not value or name in parts or name not in _PARTS:
            raise _HEADER.malformed("expected Credential, SignedHeaders and Signature, each once.")
        parts[name] = value
    if len(parts) != len(_PARTS):
        missing = ", ".join(sorted(_PARTS - parts.keys()))
        raise _HEADER.malformed(f"missing: {missing}.")
    return parts


_REQUIRED_PARAMETERS: Final = AUTH_PARAMETERS - {"X-Amz-Content-Sha256", "X-Amz-Security-Token"}


def _presigned_parameters(query: tuple[Pair, ...]) -> dict[str, str]:
    """The authentication parameters, decoded; each at most once and spelled as AWS spells it."""
    parameters: dict[str, str] = {}
    for name, value in query:
        if name in AUTH_PARAMETERS and name not in parameters:
            parameters[name] = decode(value).decode("latin-1")
        elif name.lower() in _AUTH_PARAMETERS_LOWER:
            raise _QUERY.malformed(f"The query parameter {name} is given twice or not spelled as expected.")
    if not parameters.keys() >= _REQUIRED_PARAMETERS:
        raise _QUERY.malformed(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    return parameters


def _credential(credential: str, amz_date: str, place: _Place) -> tuple[str, str, str]:
    """Access key, date and region of `key/date/region/s3/aws4_request`. The key itself may hold slashes."""
    pieces = credential.rsplit("/", 4)
    if len(pieces) != 5 or not pieces[0]:
        raise place.malformed(
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    access_key, date, region, service, terminator = pieces
    if date != amz_date[:8]:
        raise place.malformed(
            f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{amz_date[:8]}".'
        )
    if service != SERVICE:
        raise place.malformed(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminator != TERMINATOR:
        raise place.malformed(f'incorrect terminal "{terminator}". This endpoint uses "aws4_request".')
    if not region:
        raise place.malformed("the region is empty.")
    return access_key, date, region


def _signed_headers(head: RequestHead, text: str, place: _Place) -> tuple[str, ...]:
    """The signed headers' names: sorted, present, and covering `host` and every `x-amz-*` header."""
    names, signed, problem = _parse_signed_headers(text)
    if problem:
        raise place.malformed(problem)
    if "host" not in signed:
        raise _unsigned("host")
    if not signed <= head.fields.keys():
        missing = sorted(signed - head.fields.keys())
        raise S3Error(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            f"Signed but not received: {', '.join(missing)}",
        )
    unsigned = [name for name in head.fields.keys() - signed if name.startswith("x-amz-")]
    if unsigned:
        raise _unsigned(", ".join(sorted(unsigned)))
    return names


# A client signs the same headers again and again: 0.1 us instead of 3.
@lru_cache(maxsize=1024)
def _parse_signed_headers(text: str) -> tuple[tuple[str, ...], frozenset[str], str]:
    """The names in order and as a set, and what is wrong with them."""
    if not _SIGNED_HEADERS(text):
        return (), frozenset(), "SignedHeaders must be lower-case header names joined by semicolons."
    names = tuple(text.split(";"))
    signed = frozenset(names)
    if names != tuple(sorted(signed)):
        return (), frozenset(), "SignedHeaders must be sorted, each name once."
    return names, signed, ""


def _unsigned(names: str) -> S3Error:
    return S3Error(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        details={"HeadersNotSigned": names},
    )


def _expires(text: str) -> int:
    # AWS takes digits only; a bound on their number keeps int() from working for an attacker.
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise _QUERY.malformed("X-Amz-Expires should be a number")
    expires = int(text)
    if not 1 <= expires <= MAX_EXPIRES_SECONDS:
        raise _QUERY.malformed(
            "X-Amz-Expires must be between 1 and 604800 seconds (a week); it was " + str(expires) + "."
        )
    return expires


def _header_date(head: RequestHead) -> str:
    """The request's time as `YYYYMMDDTHHMMSSZ`: x-amz-date, else the Date header."""
    amz_date = head.get("x-amz-date")
    if amz_date is not None:
        return amz_date
    date = head.get("date")
    if date is not None:
        if _DATE(date):
            return date
        try:
            moment = parsedate_to_datetime(date)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            return moment.strftime("%Y%m%dT%H%M%SZ")
        except (ValueError, OverflowError):
            pass  # said below, as for a missing date
    raise S3Error.access_denied(message="AWS authentication requires a valid Date or x-amz-date header")


@lru_cache(maxsize=1024)
def parse_amz_date(text: str) -> int | None:
    """Seconds since the epoch of `YYYYMMDDTHHMMSSZ`, or None where it is not such a date."""
    if not _DATE(text):
        return None
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return calendar.timegm(moment.utctimetuple())


def iso_time(seconds: float) -> str:
    """`2026-01-31T12:00:00Z` of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def _unsupported_mechanism() -> S3Error:
    return S3Error.invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )
