"""Hypotheses about signed headers, and about the payload hash that is signed with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from itertools import product
from typing import Final

from osp_gateway.sigv4 import canonical
from osp_gateway.sigv4.canonical import EMPTY_SHA256, UNSIGNED_PAYLOAD
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.explain.attempt import DATE, MISSING, PAYLOAD, Parts, Variant, header_part
from osp_gateway.sigv4.explain.case import Case
from osp_gateway.sigv4.explain.knowledge import Cause, is_hidden, shown, shown_header
from osp_gateway.sigv4.explain.reading import http_date
from osp_gateway.sigv4.sign import amz_date

MAX_BASES: Final = 64
"""So many ways of filling in signed headers that did not arrive."""
_STREAMING: Final = (
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)
_USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "accept-encoding": (
        "identity",
        "gzip",
        "gzip, deflate",
        "gzip, deflate, br",
        "",
        "gzip,deflate",
        "gzip, deflate, br, zstd",
        "gzip, br",
        "*",
        "deflate",
        "gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
    ),
    "transfer-encoding": ("chunked", "", "identity"),
    "expect": ("100-continue", "", "100-Continue"),
    "connection": ("keep-alive", "close", "Keep-Alive", "", "TE", "upgrade"),
    "content-type": (
        "application/octet-stream",
        "binary/octet-stream",
        "application/xml",
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json",
        "text/xml",
        "text/plain; charset=utf-8",
        "application/x-www-form-urlencoded; charset=utf-8",
    ),
    "content-length": ("0", ""),
    "content-encoding": ("aws-chunked", "", "gzip", "gzip,aws-chunked", "aws-chunked,gzip"),
    "accept": ("*/*", "", "application/xml", "application/json"),
    "cache-control": ("no-cache", "", "max-age=0", "no-store"),
    "te": ("trailers", ""),
    "range": ("bytes=0-", ""),
    "amz-sdk-request": ("attempt=1", "attempt=1; max=3", "attempt=1; max=10", "attempt=1; max=5", "attempt=2; max=3"),
    "x-amz-acl": ("private", "public-read", "bucket-owner-full-control"),
    "x-amz-checksum-mode": ("ENABLED",),
    "x-amz-sdk-checksum-algorithm": ("CRC32", "CRC64NVME", "CRC32C", "SHA256", "SHA1"),
    "x-amz-trailer": ("x-amz-checksum-crc32", "x-amz-checksum-crc64nvme", "x-amz-checksum-crc32c"),
    "x-amz-storage-class": ("STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING"),
    "x-amz-server-side-encryption": ("AES256", "aws:kms"),
    "x-amz-metadata-directive": ("COPY", "REPLACE"),
    "x-amz-region-set": ("*",),
    CONTENT_SHA256: (UNSIGNED_PAYLOAD, EMPTY_SHA256, *_STREAMING),
}
_ADVICE: Final[Mapping[str, str]] = {
    "accept-encoding": (
        "Proxies set it as they like: let the one in front pass it on (nginx: proxy_set_header Accept-Encoding "
        "$http_accept_encoding), or have the client not sign it (rclone: --s3-use-accept-encoding-gzip=false)."
    ),
    "content-type": "Some HTTP libraries add a charset after signing: set the whole value before it is signed.",
    "expect": "It is meant for the next hop, and proxies take it out: the client should not sign it.",
    "transfer-encoding": "It is meant for the next hop, and proxies replace it: the client should not sign it.",
    "connection": "It is meant for the next hop, and proxies replace it: the client should not sign it.",
    "user-agent": "Proxies rewrite it: the client should not sign it.",
    "content-length": "A proxy that buffers or re-frames bodies changes it: the client should not sign it.",
}
_CHARSETS: Final = ("; charset=utf-8", "; charset=UTF-8", ";charset=utf-8", ";charset=UTF-8", "; charset=ISO-8859-1")


def dropped_headers(case: Case) -> list[tuple[tuple[Cause, ...], Parts]]:
    """The parts with each likely way of filling in signed headers that did not arrive, and the causes for it.

    Where all have arrived, just the parts.
    """
    if not case.missing:
        return [((), case.parts)]
    causes = tuple(_dropped(name) for name in case.missing)
    share = max(1, int(MAX_BASES ** (1 / len(case.missing))))
    choices = [_candidates(case, name)[: max(share, 2) if len(case.missing) > 1 else None] for name in case.missing]
    found: list[tuple[tuple[Cause, ...], Parts]] = []
    for values in product(*choices):
        if len(found) >= MAX_BASES:
            break
        changes: dict[str, str] = {}
        for name, value in zip(case.missing, values, strict=True):
            changes |= _with_header(case, name, value)
        found.append((causes, {**case.parts, **changes}))
    return found


def _dropped(name: str) -> Cause:
    advice = _ADVICE.get(name, "Let the proxy in front pass it on.")
    return Cause(f"header-dropped:{name}", f"The header {shown(name)} was signed, and dropped on the way. {advice}")


def _candidates(case: Case, name: str) -> list[str]:
    """Values that a header which did not arrive may have had."""
    if name == "host":
        known = [*case.knowledge.hosts, *case.knowledge.domains]
        return [*(case.head.get(other) or "" for other in ("x-forwarded-host", "x-original-host")), *known, ""][
            :MAX_BASES
        ]
    if name == "x-amz-date":
        return _dates(case)
    values = list(_USUAL.get(name, ()))
    known_value = {
        CONTENT_SHA256: case.knowledge.body_sha256,
        "content-length": _text_of(case.knowledge.body_length) or case.head.get("x-amz-decoded-content-length"),
        "date": _http_date_of(case.sighting.amz_date),
        "x-amz-decoded-content-length": case.head.get("content-length"),
    }.get(name)
    return list(dict.fromkeys([*([known_value] if known_value else ()), *values, ""]))


def _dates(case: Case) -> list[str]:
    """The Date header's time, and the moments before the request arrived: S3 measures by the second."""
    date = http_date(case.head.get("date") or "")
    now = int(case.knowledge.server_time)
    around = [now - abs(offset) // 2 * (1 if offset % 2 else -1) for offset in range(2 * MAX_BASES)]
    moments = [amz_date(second) for second in dict.fromkeys(around)]
    return [*([date] if date else ()), *moments]


def _with_header(case: Case, name: str, value: str) -> dict[str, str]:
    """The changes that go with a header's value: two of them stand in the signature twice."""
    changes = {header_part(name): value}
    if name == CONTENT_SHA256 and not case.sighting.presigned:
        changes[PAYLOAD] = value
    if name == "x-amz-date" and not case.sighting.presigned:
        changes[DATE] = value
    return changes


def header_variants(case: Case) -> Iterator[Variant]:
    """Another value of a signed header was signed than came: the usual ones first, then how it may be written."""
    names = [name for name in case.sighting.signed_headers if case.header(name) is not None and name != "host"]
    for name in _USUAL:
        if name in names:
            yield from _usual(case, name)
    for name in names:
        yield from _several(case, name)
    for name in names:
        if name not in _USUAL:
            yield from _unusual(case, name)
    for name in names:
        yield from _written_otherwise(case, name)
    yield from _payload(case)


def _usual(case: Case, name: str) -> Iterator[Variant]:
    received = case.header(name) or ""
    if name == "content-type":
        yield from _charsets(case, received)
    for number, value in enumerate(_candidates(case, name)):
        yield _changed(case, name, received, value, pairable=number < 4)


def _charsets(case: Case, received: str) -> Iterator[Variant]:
    media, semicolon, _ = received.partition(";")
    for value in [media.strip()] if semicolon else [received + charset for charset in _CHARSETS]:
        yield _changed(case, "content-type", received, value)
    for charset in _CHARSETS if semicolon else ():
        yield _changed(case, "content-type", received, media.strip() + charset, pairable=False)


def _unusual(case: Case, name: str) -> Iterator[Variant]:
    """A header of which only a guess can be made by what came."""
    received = case.header(name) or ""
    if name == "date":
        for offset in range(-3, 4):
            seconds = parse_amz_date(case.sighting.amz_date)
            if seconds is not None:
                yield _changed(case, name, received, formatdate(seconds + offset, usegmt=True), pairable=offset == 0)
    if name == "user-agent":
        tokens = received.split(" ")
        ends = [" ".join(tokens[:count]) for count in range(max(1, len(tokens) - 12), len(tokens))]
        starts = [" ".join(tokens[count:]) for count in range(1, min(6, len(tokens)))]
        for value in (*reversed(ends), *starts, case.head.get("x-original-user-agent") or ""):
            yield _changed(case, name, received, value, pairable=False)
    if name not in ("x-amz-date", "x-amz-security-token"):
        yield _changed(case, name, received, "", pairable=False)


def _several(case: Case, name: str) -> Iterator[Variant]:
    """Values that were joined on the way, and second ones that were added."""
    values = [canonical.header_value((value,)) for value in case.head.fields.get(name, ())]
    received = case.header(name) or ""
    if len(values) > 1:
        advice = "A header that is signed must come once, as it was signed."
        for value in dict.fromkeys((values[0], values[-1])):
            sentence = (
                f"The header {shown(name)} came {len(values)} times, and {shown_header(name, value)} alone was signed. "
                f"{advice}"
            )
            yield Variant(Cause(f"header-added:{name}", sentence), _with_header(case, name, value))
        for value in (", ".join(values), ",".join(reversed(values)), ",".join(sorted(values)), ";".join(values)):
            yield _joined(case, name, received, value)
    elif "," in received:
        for value in (re.sub(r"\s*,\s*", ",", received), re.sub(r"\s*,\s*", ", ", received)):
            yield _joined(case, name, received, value)


def _joined(case: Case, name: str, received: str, signed: str) -> Variant:
    sentence = (
        f"Values of the header {shown(name)} were joined or split on the way: found {shown_header(name, received)}, "
        f"signed {shown_header(name, signed)}. Send the header once, with values joined by commas."
    )
    return Variant(Cause(f"header-joined:{name}", sentence), _with_header(case, name, signed))


def _written_otherwise(case: Case, name: str) -> Iterator[Variant]:
    received = case.header(name) or ""
    raw = ",".join(case.head.fields.get(name, ()))
    for value in (raw, raw.strip(), re.sub(r"\s+", "", received), re.sub(r"\s+", " ", received)):
        yield _rewritten(case, "header-whitespace", "Blanks in", name, received, value)
    for value in (received.lower(), received.upper()):
        yield _rewritten(case, "header-case", "Upper and lower case in", name, received, value)
    if not received.isascii():
        for value in _other_charsets(received):
            yield _rewritten(case, "header-charset", "The character encoding of", name, received, value)
    unquoted = received.removeprefix("W/").strip('"')
    if name.startswith("if-") or "etag" in name:
        for value in (unquoted, f'"{unquoted}"', f'W/"{unquoted}"'):
            yield _rewritten(case, "header-quotes", "Quotes in", name, received, value)


def _other_charsets(received: str) -> Iterator[str]:
    """What was UTF-8 as latin-1, and the other way round."""
    yield received.encode("utf-8").decode("latin-1")
    try:
        yield received.encode("latin-1").decode("utf-8").encode("latin-1").decode("latin-1")
    except (UnicodeDecodeError, UnicodeEncodeError):
        return


def _rewritten(case: Case, kind: str, what: str, name: str, received: str, signed: str) -> Variant:
    sentence = (
        f"{what} the header {shown(name)} changed on the way, or the client signs others than it sends: found "
        f"{shown_header(name, received)}, signed {shown_header(name, signed)}."
    )
    return Variant(Cause(f"{kind}:{name}", sentence), _with_header(case, name, signed), pairable=False)


def _changed(case: Case, name: str, received: str, signed: str, *, pairable: bool = True) -> Variant:
    advice = _ADVICE.get(name, "Let the proxy in front pass it on as it came.")
    sentence = (
        f"The header {shown(name)} changed on the way: found {shown_header(name, received)}, signed "
        f"{shown_header(name, signed)}. {advice}"
    )
    return Variant(Cause(f"header-changed:{name}", sentence), _with_header(case, name, signed), pairable)


def _payload(case: Case) -> Iterator[Variant]:
    """Another payload hash stands at the end of the canonical request than came with it."""
    received = case.parts[PAYLOAD]
    body = case.knowledge.body_sha256
    hashes = {
        "payload-unsigned": ("The client signed UNSIGNED-PAYLOAD", UNSIGNED_PAYLOAD),
        "payload-empty-hash": ("The client signed the hash of an empty body", EMPTY_SHA256),
        "payload-not-hashed": ("The client signed the word of another payload mode", ""),
    }
    advice = "Sign the very value that is sent in x-amz-content-sha256."
    if body is not None and body not in (received, EMPTY_SHA256):
        what = "The client signed the hash of the body, which is right, and another value came"
        yield _hash("payload-hash-changed", what, received, body, advice)
    if case.sighting.presigned:
        advice = "x-amz-content-sha256 was added after signing: leave it out of requests with presigned URLs."
    for name, (what, value) in hashes.items():
        yield _hash(name, what, received, value, advice)
    for value in _STREAMING:
        yield _hash("payload-mode", "The client signed another payload mode", received, value, advice)


def _hash(name: str, what: str, received: str, signed: str, advice: str) -> Variant:
    sentence = f"{what}: found {shown(received)}, signed {shown(signed)}. {advice}"
    return Variant(Cause(name, sentence), {PAYLOAD: signed}, name in ("payload-unsigned", "payload-empty-hash"))


def _text_of(number: int | None) -> str | None:
    return None if number is None else str(number)


def _http_date_of(date: str) -> str | None:
    seconds = parse_amz_date(date)
    return None if seconds is None else formatdate(seconds, usegmt=True)


__all__ = ["MISSING", "dropped_headers", "header_variants", "is_hidden"]
