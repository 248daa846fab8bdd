"""What a request says of its signer, read without judging it: a request to be explained is wrong in some way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import canonical, sigv4a
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256
from osp_gateway.sigv4.presigned import AUTH_PARAMETERS

ALGORITHMS: Final = (canonical.ALGORITHM, sigv4a.ALGORITHM)
_NAMES: Final = {name.lower(): name for name in AUTH_PARAMETERS}
_PART: Final = re.compile(r"(Credential|SignedHeaders|Signature)\s*=\s*\"?([^,\s\"]+)").findall
_AMZ_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z").match


@dataclass(frozen=True, slots=True)
class Sighting:
    """A signature that a request carries, with what it says it was made of. Anything may be empty or wrong.

    `credential_scope` is as it was written; `query_repairs` names what had to be undone to read the query's
    parameters.
    """

    algorithm: str
    access_key: str
    date: str
    region: str
    service: str
    credential_scope: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    amz_date: str
    payload_hash: str | None
    presigned: bool
    expires: str = ""
    query_repairs: tuple[str, ...] = ()


def sightings(head: RequestHead) -> list[Sighting]:
    """The signatures of version 4 in a request, that of the Authorization header first."""
    found = [_in_header(head), _in_query(head)]
    return [sighting for sighting in found if sighting is not None]


def _in_header(head: RequestHead) -> Sighting | None:
    authorization = (head.get("authorization") or "").strip()
    algorithm, _, rest = authorization.partition(" ")
    if algorithm not in ALGORITHMS:
        return None
    parts = dict(_PART(rest))
    payload_hash = head.get(CONTENT_SHA256)
    return _sighting(algorithm, parts, _header_date(head), payload_hash, presigned=False)


def _in_query(head: RequestHead) -> Sighting | None:
    if not head.query:
        return None
    parameters, repairs = _parameters(head.query)
    algorithm = parameters.get("X-Amz-Algorithm", "")
    if algorithm not in ALGORITHMS and "X-Amz-Signature" not in parameters:
        return None
    parts = {
        "Credential": parameters.get("X-Amz-Credential", ""),
        "SignedHeaders": parameters.get("X-Amz-SignedHeaders", ""),
        "Signature": parameters.get("X-Amz-Signature", ""),
    }
    payload_hash = parameters.get("X-Amz-Content-Sha256") or head.get(CONTENT_SHA256) or canonical.UNSIGNED_PAYLOAD
    return _sighting(
        algorithm or canonical.ALGORITHM,
        parts,
        parameters.get("X-Amz-Date", ""),
        payload_hash,
        presigned=True,
        expires=parameters.get("X-Amz-Expires", ""),
        query_repairs=repairs,
    )


def _sighting(
    algorithm: str,
    parts: dict[str, str],
    amz_date: str,
    payload_hash: str | None,
    *,
    presigned: bool,
    expires: str = "",
    query_repairs: tuple[str, ...] = (),
) -> Sighting:
    """Of the parts of a signature; a SigV4A scope has no region."""
    count = 3 if algorithm == sigv4a.ALGORITHM else 4
    access_key, *scope = parts.get("Credential", "").rsplit("/", count)
    pieces = scope if len(scope) == count else [""] * count
    return Sighting(
        algorithm=algorithm,
        access_key=access_key,
        date=pieces[0],
        region=pieces[1] if count == 4 else "",
        service=pieces[-2],
        credential_scope="/".join(scope),
        signed_headers=tuple(parts.get("SignedHeaders", "").lower().split(";")) if "SignedHeaders" in parts else (),
        signature=parts.get("Signature", ""),
        amz_date=amz_date or _date_of_day(pieces[0]),
        payload_hash=payload_hash,
        presigned=presigned,
        expires=expires,
        query_repairs=query_repairs,
    )


def _parameters(query: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """A presigned URL's parameters by their right name, and what had to be undone to find them."""
    found: dict[str, str] = {}
    repairs: set[str] = set()
    for piece in query.split("&"):
        name, _, value = piece.partition("=")
        name, value = _unquoted(name), _unquoted(value)
        if name.startswith("amp;"):
            name = name.removeprefix("amp;")
            repairs.add("html")
        right = _NAMES.get(name.lower())
        if right is None or right in found:
            continue
        if right != name:
            repairs.add("case")
        if "%" in value:
            value = _unquoted(value)
            repairs.add("encoding")
        found[right] = value
    return found, tuple(sorted(repairs))


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1") if "%" in text else text


def _header_date(head: RequestHead) -> str:
    return head.get("x-amz-date") or http_date(head.get("date") or "") or ""


def http_date(text: str) -> str | None:
    """`YYYYMMDDTHHMMSSZ` of a Date header's value, or None."""
    if _AMZ_DATE(text):
        return text
    try:
        return parsedate_to_datetime(text).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        return None


def _date_of_day(day: str) -> str:
    return f"{day}T000000Z" if day else ""
