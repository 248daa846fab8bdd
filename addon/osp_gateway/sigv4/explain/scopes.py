"""Hypotheses about the credential scope, the signing key's own scope, and the time that was signed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.sigv4 import sigv4a
from osp_gateway.sigv4.canonical import canonical_query
from osp_gateway.sigv4.claim_parts import SERVICE
from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.explain.attempt import DATE, KEY, QUERY, SCOPE, Variant, header_part
from osp_gateway.sigv4.explain.case import Case, scope_of
from osp_gateway.sigv4.explain.knowledge import Cause, shown
from osp_gateway.sigv4.explain.reading import http_date
from osp_gateway.sigv4.sign import amz_date

_REGIONS: Final = (
    "us-east-1",
    "aws-global",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "eu-west-3",
    "us-east-2",
    "us-west-1",
    "ap-southeast-1",
    "ap-northeast-1",
    "eu-de",
    "us-south",
    "auto",
    "default",
    "us",
    "local",
    "global",
    "s3",
    "",
)
_SERVICES: Final = (SERVICE, "s3express", "s3-outposts", "execute-api", "sts", "s3v4", "iam", "")
_QUARTER: Final = 15 * 60
_DAY: Final = 24 * 3600


def scope_variants(case: Case) -> Iterator[Variant]:
    """The string to sign, or the signing key, was made with another scope than the request writes."""
    sighting = case.sighting
    date, region, service = sighting.date, sighting.region, sighting.service
    if sighting.algorithm != sigv4a.ALGORITHM:
        for other in dict.fromkeys((case.knowledge.region, *_REGIONS)):
            if other != region:
                yield from _other_scope(case, "region", region, other, (date, other, service))
    for other in _SERVICES:
        if other != service:
            yield from _other_scope(case, "service", service, other, (date, region, other))
    for other in _days(case):
        if other != date:
            yield from _other_scope(case, "day", date, other, (other, region, service))


def _other_scope(case: Case, what: str, written: str, signed: str, scope: tuple[str, str, str]) -> Iterator[Variant]:
    """In the string to sign and the key; in the key alone; in the string alone."""
    text = {SCOPE: scope_of(case, *scope)}
    key = {KEY: "/".join(scope)}
    advice = {
        "region": "Configure one region in the client, and have it sign with the region that it writes.",
        "service": "S3 requests are signed for the service s3: use the S3 signer of the client's SDK.",
        "day": "Take the scope's day and the signing key's day from x-amz-date, in UTC; keep no key over midnight.",
    }[what]
    places = ((f"scope-{what}", "was signed", text | key), (f"signing-key-{what}", "the signing key is for", key))
    likely = signed in _REGIONS[:2] or signed == case.knowledge.region or what != "region"
    for name, verb, changes in (*places, (f"scope-{what}", "stands in the string to sign", text)):
        sentence = (
            f"The {what} in Credential is another than the one that was signed with: found {shown(written)}, but "
            f"{verb} {shown(signed)}. {advice}"
        )
        yield Variant(Cause(name, sentence), changes, likely and name.startswith("scope"))


def _days(case: Case) -> list[str]:
    """The days around the one that is written, and around the day on which the request came."""
    found = [case.sighting.amz_date[:8]]
    written = parse_amz_date(f"{case.sighting.date}T000000Z")
    for moment in (written, case.knowledge.server_time):
        if moment is not None:
            found += [amz_date(moment + days * _DAY)[:8] for days in (0, -1, 1)]
    return list(dict.fromkeys(found))


def date_variants(case: Case) -> Iterator[Variant]:
    """Another time was signed than came."""
    received = case.sighting.amz_date
    date = http_date(case.head.get("date") or "")
    if date is not None and date != received:
        sentence = (
            f"The time of the Date header was signed, not that of x-amz-date: found {shown(received)}, signed "
            f"{shown(date)}. Where x-amz-date is sent, it is the one that counts."
        )
        yield Variant(Cause("date-header-signed", sentence), {DATE: date})
        yield from _shifted(case, received, date, pairable=False)
    yield from _one_place(received)
    seconds = parse_amz_date(received)
    if seconds is None:
        return
    for quarters in _shifts():
        yield from _shifted(case, received, amz_date(seconds + quarters * _QUARTER), pairable=False)
    for offset in (1, -1, 2, -2):
        yield from _shifted(case, received, amz_date(seconds + offset), pairable=False)
    for other in dict.fromkeys((case.sighting.date, amz_date(case.knowledge.server_time)[:8])):
        yield from _shifted(case, received, other + received[8:], pairable=False)


def _shifts() -> list[int]:
    """Whole hours first, then the time zones that are half an hour or a quarter off; in quarters of an hour."""
    hours = [sign * 4 * hour for hour in range(1, 15) for sign in (1, -1)]
    rest = [sign * quarter for quarter in (14, 18, 22, 23, 26, 35, 38, 51, 2, 1, 6, 10) for sign in (1, -1)]
    return hours + rest


def _one_place(received: str) -> Iterator[Variant]:
    """The time of the string to sign is another one than that of the header."""
    seconds = parse_amz_date(received)
    for offset in (1, -1) if seconds is not None else ():
        assert seconds is not None
        other = amz_date(seconds + offset)
        sentence = (
            f"The client asked the clock twice: found {shown(received)} in x-amz-date, {shown(other)} was signed. Take "
            "the time once for a request."
        )
        yield Variant(Cause("date-taken-twice", sentence), {DATE: other}, pairable=False)


def _shifted(case: Case, received: str, signed: str, *, pairable: bool) -> Iterator[Variant]:
    if signed == received:
        return
    sentence = (
        f"The request's time changed on the way: found {shown(received)}, signed {shown(signed)}. x-amz-date must "
        "stay as it was signed, in UTC."
    )
    changes = {DATE: signed}
    if case.sighting.presigned:
        pairs = [(name, signed if name.lower() == "x-amz-date" else value) for name, value in case.pairs]
        changes[QUERY] = canonical_query(pairs)
    elif case.header("x-amz-date") is not None:
        changes[header_part("x-amz-date")] = signed
    yield Variant(Cause("date-changed", sentence), changes, pairable)


def expiry_variants(case: Case) -> Iterator[Variant]:
    """A presigned URL's life was changed after signing: somebody wants it to last longer."""
    if not case.sighting.presigned:
        return
    received = case.sighting.expires
    for other in ("3600", "900", "604800", "86400", "300", "60", "600", "1800", "7200", "43200", "100", "1000"):
        if other != received:
            pairs = [(n, encoding.encode(other.encode()) if n.lower() == "x-amz-expires" else v) for n, v in case.pairs]
            sentence = f"X-Amz-Expires was changed after signing: found {shown(received)}, signed {shown(other)}."
            changed = {QUERY: canonical_query(pairs)}
            yield Variant(Cause("expires-changed", sentence), changed, pairable=False)
