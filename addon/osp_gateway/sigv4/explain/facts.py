"""What is wrong with a request whatever its signature is: seen in the request itself, not recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256, SERVICE
from osp_gateway.sigv4.dates import MAX_EXPIRES_SECONDS, MAX_SKEW_SECONDS, iso_time, parse_amz_date
from osp_gateway.sigv4.explain.attempt import DATE, MISSING, PAYLOAD, Parts
from osp_gateway.sigv4.explain.case import Case
from osp_gateway.sigv4.explain.knowledge import Cause, shown

MAX_NAMED: Final = 8
_ZONE_TOLERANCE: Final = 90
# Seconds by which time zones differ from UTC, where it is not whole hours: India, Nepal, Newfoundland and others.
_BROKEN_ZONES: Final = frozenset(
    int(sign * hours * 3600) for sign in (1, -1) for hours in (3.5, 4.5, 5.5, 5.75, 6.5, 8.75, 9.5, 10.5, 12.75)
)
_STREAMING: Final = "STREAMING-"


def facts(case: Case, signed: Parts | None) -> tuple[Cause, ...]:
    """The facts of a case, those that explain most first.

    `signed` are the parts under which the signature fits, or None where there are none.
    """
    parts, proven = signed or case.parts, signed is not None
    date = parts[DATE]
    times = _time(case, date) if proven or "x-amz-date" not in case.missing else ()
    found = [*_mechanisms(case), *times, *_signed_headers(case), *_scope(case, date), *_body(case, parts[PAYLOAD])]
    return tuple(replace(cause, proven=proven) for cause in found)


def _mechanisms(case: Case) -> Iterator[Cause]:
    names = {piece.partition("=")[0].lower() for piece in case.head.query.split("&")}
    if "authorization" in case.head.fields and not names.isdisjoint({"x-amz-signature", "signature"}):
        yield Cause(
            "header-and-query",
            "The request carries a signature in its Authorization header and another one in its query, and S3 takes "
            "one of them only. Do not send an Authorization header with a presigned URL.",
        )


def _time(case: Case, date: str) -> Iterator[Cause]:
    signed_at = parse_amz_date(date)
    if signed_at is None:
        written = shown(date)
        yield Cause("date-malformed", f"The request's time is {written}; S3 wants YYYYMMDDTHHMMSSZ, in UTC.")
        return
    ahead = signed_at - case.knowledge.server_time
    if case.sighting.presigned:
        yield from _life(case, signed_at, ahead)
    elif abs(ahead) > MAX_SKEW_SECONDS:
        yield _skew(case, date, ahead)


def _skew(case: Case, date: str, ahead: float) -> Cause:
    direction = "ahead of" if ahead > 0 else "behind"
    times = f"signed {date}, arrived {iso_time(case.knowledge.server_time)}"
    if _is_time_zone(ahead):
        hours = f"{abs(round(ahead / 900)) / 4:g}"
        return Cause(
            "time-zone-slip",
            f"The request's time is {hours} hours {direction} the gateway's ({times}): local time was written as UTC. "
            "x-amz-date is in UTC, whatever the client's time zone.",
        )
    return Cause(
        "clock-skew",
        f"The request's time is {round(abs(ahead))} seconds {direction} the gateway's ({times}); "
        f"{MAX_SKEW_SECONDS} are allowed. Set the clocks (NTP); a request must also be sent soon after it is signed.",
    )


def _is_time_zone(seconds: float) -> bool:
    """Whether a difference is that of a time zone, but for the time that a request takes."""
    if abs(seconds) > 14 * 3600 + _ZONE_TOLERANCE:
        return False
    near = {round(seconds / 3600) * 3600} - {0} | _BROKEN_ZONES
    return any(abs(seconds - zone) <= _ZONE_TOLERANCE for zone in near)


def _life(case: Case, signed_at: int, ahead: float) -> Iterator[Cause]:
    expires = case.sighting.expires
    seconds = int(expires) if expires.isascii() and expires.isdecimal() and len(expires) < 12 else 0
    if not 1 <= seconds <= MAX_EXPIRES_SECONDS:
        yield Cause("expires-malformed", f"X-Amz-Expires is {shown(expires)}; S3 wants 1 to {MAX_EXPIRES_SECONDS}.")
    elif ahead + seconds < 0:
        yield Cause(
            "expired",
            f"The presigned URL expired at {iso_time(signed_at + seconds)}; it came at "
            f"{iso_time(case.knowledge.server_time)}. Presign anew; where that is much too early, set the clocks.",
        )
    if ahead > MAX_SKEW_SECONDS:
        yield Cause(
            "not-yet-valid",
            f"The presigned URL is valid from {iso_time(signed_at)} on; it came at "
            f"{iso_time(case.knowledge.server_time)}. Set the clock of what made it; X-Amz-Date is in UTC.",
        )


def _signed_headers(case: Case) -> Iterator[Cause]:
    signed = case.sighting.signed_headers
    if "host" not in signed:
        yield Cause("host-not-signed", "The Host header is not signed. Sign it: S3 requires that.")
    unsigned = [name for name in case.head.fields if name.startswith("x-amz-") and name not in signed]
    for name in unsigned[:MAX_NAMED]:
        yield Cause(
            f"header-added:{name}",
            f"The header {shown(name)} is not signed: it was added on the way, or after signing. Every x-amz-* header "
            "must be signed: add it before, or let the proxy in front leave it out.",
        )
    if tuple(sorted(set(signed))) != signed:
        yield Cause("signed-headers-unsorted", "SignedHeaders is not sorted, or names a header twice. Sort it.")


def _scope(case: Case, date: str) -> Iterator[Cause]:
    sighting = case.sighting
    if sighting.date != date[:8] and parse_amz_date(date) is not None:
        yield Cause(
            "date-slip",
            f"The day in Credential, {shown(sighting.date)}, is not that of the request's time, "
            f"{shown(date)}. Take both from the same moment, in UTC.",
        )
    if sighting.service != SERVICE:
        yield Cause(
            "scope-service",
            f"Credential names the service {shown(sighting.service)}; here it must be s3. Use the S3 signer of the "
            "client's SDK.",
        )
    if sighting.signature != sighting.signature.lower():
        yield Cause("signature-case", "The signature is in upper case; it must be lower-case hex.")


def _body(case: Case, signed: str) -> Iterator[Cause]:
    if signed == MISSING and CONTENT_SHA256 not in case.missing:
        yield Cause(
            "header-dropped:" + CONTENT_SHA256,
            "The header x-amz-content-sha256 did not arrive. S3 requires it: send and sign it, and let it pass.",
        )
    received = case.sighting.payload_hash or signed
    if case.knowledge.body_sha256 not in (None, signed, received) and _is_hash(received):
        yield Cause(
            "body-altered",
            "The body is not the one that was signed: its SHA-256 differs from x-amz-content-sha256. Something on the "
            "way changes bodies (compression, line ends, character sets), or the client signs another body than it "
            f"sends. Received: {case.knowledge.body_sha256}, signed: {shown(received)}.",
        )


def _is_hash(text: str) -> bool:
    return text not in (UNSIGNED_PAYLOAD, MISSING) and not text.startswith(_STREAMING)
