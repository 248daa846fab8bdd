"""The parts that a claim has wherever it is written: credential, signed headers, signature, region set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import sigv4a
from osp_gateway.sigv4.canonical import ALGORITHM, TERMINATOR

SERVICE: Final = "s3"
MAX_KEPT_CHARS: Final = 1024
"""A list of signed headers of up to this length is kept; SDKs sign some twenty."""
CONTENT_SHA256: Final = "x-amz-content-sha256"
SECURITY_TOKEN: Final = "x-amz-security-token"  # noqa: S105 - a header's name
REGION_SET: Final = "x-amz-region-set"

_HMAC_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}\Z").match
# DER: a sequence of two integers, at most 72 octets for P-256.
_ECDSA_SIGNATURE: Final = re.compile(r"30[0-9a-f]{12,142}\Z").match
_SIGNED_HEADERS: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+(;[!#$%&'*+\-.^_`|~0-9a-z]+)*\Z").match
_REGION_SET: Final = re.compile(r"[A-Za-z0-9*-]{1,64}(, ?[A-Za-z0-9*-]{1,64}){0,63}\Z").match


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a request says it is from, and over what its signature goes.

    `query` are the canonically encoded pairs that the signature covers; `expires` is None for a signature in
    the Authorization header, else the presigned URL's life in seconds. `algorithm` is AWS4-HMAC-SHA256, or
    AWS4-ECDSA-P256-SHA256, whose scope has no region: `region` is empty then.
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
    algorithm: str = ALGORITHM
    service: str = SERVICE

    @property
    def scope(self) -> str:
        """The credential scope."""
        region = f"{self.region}/" if self.region else ""
        return f"{self.amz_date[:8]}/{region}{self.service}/{TERMINATOR}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a claim was written: the two places differ in the code of their errors."""

    code: str
    prefix: str

    def malformed(self, message: str) -> S3Error:
        """The error for something wrong in this place."""
        return S3Error(self.code, self.prefix + message)


HEADER: Final = Place("AuthorizationHeaderMalformed", "The authorization header is malformed; ")
QUERY: Final = Place("AuthorizationQueryParametersError", "")


@dataclass(frozen=True, slots=True)
class _Form:
    """How an algorithm's credentials and signatures are written."""

    slashes: int
    credential: str


_FORMS: Final[Mapping[str, _Form]] = {
    ALGORITHM: _Form(4, "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"),
    sigv4a.ALGORITHM: _Form(3, "<YOUR-AKID>/YYYYMMDD/SERVICE/aws4_request"),
}
ALGORITHMS: Final = frozenset(_FORMS)


def parse_credential(
    algorithm: str, credential: str, amz_date: str, place: Place, wanted: str = SERVICE
) -> tuple[str, str]:
    """Access key and region of `key/date/region/s3/aws4_request`; SigV4A leaves the region out.

    `wanted` is the service that the credential must be for.

    The key itself may hold slashes.

    Raises:
        S3Error: with the place's code (400).
    """
    form = _FORMS[algorithm]
    pieces = credential.rsplit("/", form.slashes)
    if len(pieces) != form.slashes + 1 or not pieces[0]:
        raise place.malformed(f'the Credential is mal-formed; expecting "{form.credential}".')
    access_key, date, *regions, service, terminator = pieces
    if date != amz_date[:8]:
        raise place.malformed(
            f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{amz_date[:8]}".'
        )
    if service != wanted:
        raise place.malformed(f'incorrect service "{service}". This endpoint belongs to "{wanted}".')
    if terminator != TERMINATOR:
        raise place.malformed(f'incorrect terminal "{terminator}". This endpoint uses "aws4_request".')
    region = regions[0] if regions else ""
    if regions and not region:
        raise place.malformed("the region is empty.")
    return access_key, region


def check_signature_form(algorithm: str, signature: str, place: Place) -> None:
    """Raise the place's `S3Error` where a signature is not written as its algorithm writes it."""
    if algorithm == ALGORITHM:
        if not _HMAC_SIGNATURE(signature):
            raise place.malformed("the Signature must be 64 lower-case hex digits.")
    elif not _ECDSA_SIGNATURE(signature):
        raise place.malformed("the Signature must be an ECDSA signature: DER in lower-case hex digits.")


def check_region_set(algorithm: str, region_set: str | None, place: Place) -> None:
    """Raise where the set of regions that a SigV4A signature is for is missing or not one.

    The gateway stands for no region of its own, so any set will do, as any region of a SigV4 scope does.

    Raises:
        S3Error: with the place's code (400).
    """
    if algorithm != ALGORITHM and not (region_set and _REGION_SET(region_set)):
        raise place.malformed("X-Amz-Region-Set must name the regions of the signature, joined by commas.")


def signed_headers(head: RequestHead, text: str, place: Place) -> tuple[str, ...]:
    """The signed headers' names: sorted, present, and covering `host` and every `x-amz-*` header."""
    # A list as long as a head takes 1.4 MiB when parsed: a thousand of them must not be kept.
    parse = _kept_signed_headers if len(text) <= MAX_KEPT_CHARS else _parse_signed_headers
    names, signed, problem = parse(text)
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


def _parse_signed_headers(text: str) -> tuple[tuple[str, ...], frozenset[str], str]:
    """The names in order and as a set, and what is wrong with them."""
    if not _SIGNED_HEADERS(text):
        return (), frozenset(), "SignedHeaders must be lower-case header names joined by semicolons."
    names = tuple(text.split(";"))
    signed = frozenset(names)
    if names != tuple(sorted(signed)):
        return (), frozenset(), "SignedHeaders must be sorted, each name once."
    return names, signed, ""


# A client signs the same headers again and again: 0.1 us instead of 3.
_kept_signed_headers: Final = lru_cache(maxsize=1024)(_parse_signed_headers)


def _unsigned(names: str) -> S3Error:
    return S3Error(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        details={"HeadersNotSigned": names},
    )


def two_mechanisms() -> S3Error:
    """The error for a request that is signed in more than one way."""
    return S3Error(
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
        "parameter or the Authorization header should be specified",
    )
