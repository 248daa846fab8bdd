"""Signing requests: for the backend, and presigned URLs for people and tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import Header
from osp_gateway.sigv4 import canonical
from osp_gateway.sigv4.claims import CONTENT_SHA256, SERVICE
from osp_gateway.sigv4.keys import KeyPair, SigningKeys, signature

NOT_SIGNED: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "transfer-encoding",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Headers left out of the signature: proxies and load balancers on the way change them."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What chunk signatures are chained to: the signature of the head, and what it was made with."""

    signing_key: bytes = field(repr=False)
    amz_date: str
    scope: str
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signed:
    """Headers ready to be sent; `seed` is None where they carry no signature."""

    headers: list[Header] = field(repr=False)
    seed: Seed | None


def amz_date(now: float) -> str:
    """`YYYYMMDDTHHMMSSZ` of seconds since the epoch."""
    return _amz_date(int(now))


# Requests come many to the second: 0.1 us instead of 3.
@lru_cache(maxsize=16)
def _amz_date(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def sign_head(
    *,
    method: str,
    path: str,
    query: tuple[Pair, ...],
    headers: list[Header],
    payload_hash: str,
    pair: KeyPair,
    region: str,
    now: float,
    keys: SigningKeys,
) -> Signed:
    """The headers with `x-amz-date`, `x-amz-content-sha256`, the session token and `Authorization` added.

    Args:
        method: the HTTP method.
        path: the canonical URI, which is also what is sent.
        query: canonically encoded pairs, in the order in which they are sent.
        headers: lower-case names with their values, `host` among them, none of those that are added here.
        payload_hash: hex SHA-256 of the body or a literal such as `UNSIGNED-PAYLOAD`.
        pair: the key pair to sign with.
        region: the region of the credential scope.
        now: seconds since the epoch.
        keys: derived signing keys.
    """
    date = amz_date(now)
    headers = [*headers, ("x-amz-date", date), (CONTENT_SHA256, payload_hash)]
    if pair.session_token:
        headers.append(("x-amz-security-token", pair.session_token))
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        if name not in NOT_SIGNED:
            fields.setdefault(name, []).append(value)
    signed = sorted(fields)
    scope = f"{date[:8]}/{region}/{SERVICE}/{canonical.TERMINATOR}"
    request = canonical.canonical_request(method, path, canonical.canonical_query(query), fields, signed, payload_hash)
    signing_key = keys.get(pair.secret_key, date[:8], region)
    value = signature(signing_key, canonical.string_to_sign(date, scope, request))
    authorization = (
        f"{canonical.ALGORITHM} Credential={pair.access_key}/{scope}, "
        f"SignedHeaders={';'.join(signed)}, Signature={value}"
    )
    return Signed([*headers, ("authorization", authorization)], Seed(signing_key, date, scope, value))


def presign_query(
    *,
    method: str,
    host: str,
    path: str,
    query: tuple[Pair, ...] = (),
    expires: int,
    pair: KeyPair,
    region: str,
    now: float,
    keys: SigningKeys,
) -> str:
    """The raw query of a presigned URL.

    Args:
        method: the HTTP method that the URL will be used with.
        host: the Host header that the client will send.
        path: the canonical URI.
        query: further canonically encoded pairs.
        expires: the URL's life in seconds, 1 to 604800.
        pair: the key pair to sign with.
        region: the region of the credential scope.
        now: seconds since the epoch.
        keys: derived signing keys.
    """
    date = amz_date(now)
    scope = f"{date[:8]}/{region}/{SERVICE}/{canonical.TERMINATOR}"
    parameters = {
        "X-Amz-Algorithm": canonical.ALGORITHM,
        "X-Amz-Credential": f"{pair.access_key}/{scope}",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": "host",
    }
    if pair.session_token:
        parameters["X-Amz-Security-Token"] = pair.session_token
    pairs = (*query, *((name, encoding.encode(value.encode())) for name, value in parameters.items()))
    request = canonical.canonical_request(
        method, path, canonical.canonical_query(pairs), {"host": [host]}, ["host"], canonical.UNSIGNED_PAYLOAD
    )
    value = signature(keys.get(pair.secret_key, date[:8], region), canonical.string_to_sign(date, scope, request))
    return encoding.join_query((*pairs, ("X-Amz-Signature", value)))
