"""Signing requests: for the backend, and presigned URLs for people and tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final

from osp_gateway.s3 import encoding
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.head import Header
from osp_gateway.sigv4 import canonical, sigv4a
from osp_gateway.sigv4.chunk_signing import ChunkChain, HmacChain
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256, REGION_SET, SECURITY_TOKEN, SERVICE
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
class Signed:
    """Headers ready to be sent.

    `chain` makes the chain of the body's chunk signatures, which starts with the head's own; None where the head
    carries no signature.
    """

    headers: list[Header] = field(repr=False)
    chain: Callable[[], ChunkChain] | None = field(repr=False)


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
    asymmetric: bool = False,
    service: str = SERVICE,
) -> Signed:
    """The headers with `x-amz-date`, `x-amz-content-sha256`, the session token and `Authorization` added.

    Args:
        method: the HTTP method.
        path: the canonical URI, which is also what is sent.
        query: canonically encoded pairs, in the order in which they are sent.
        headers: lower-case names with their values, `host` among them, none of those that are added here.
        payload_hash: hex SHA-256 of the body or a literal such as `UNSIGNED-PAYLOAD`.
        pair: the key pair to sign with.
        region: the region of the credential scope; where asymmetric, the set of regions, joined by commas.
        now: seconds since the epoch.
        keys: derived signing keys.
        asymmetric: with SigV4A: "AWS Signature Version 4A" in the IAM user guide.
        service: the signing name in the credential scope.
    """
    date = amz_date(now)
    if asymmetric:
        return _sign_asymmetric(method, path, query, headers, payload_hash, pair, region, date, keys, service)
    scope = f"{date[:8]}/{region}/{service}/{canonical.TERMINATOR}"
    headers, signed, request = _head_to_sign(method, path, query, headers, payload_hash, pair, date)
    signing_key = keys.get(pair.secret_key, date[:8], region, service)
    value = signature(signing_key, canonical.string_to_sign(date, scope, request))
    headers.append(_authorization(canonical.ALGORITHM, pair.access_key, scope, signed, value))
    return Signed(headers, partial(HmacChain, signing_key, date, scope, value))


def _sign_asymmetric(
    method: str,
    path: str,
    query: tuple[Pair, ...],
    headers: list[Header],
    payload_hash: str,
    pair: KeyPair,
    region_set: str,
    date: str,
    keys: SigningKeys,
    service: str,
) -> Signed:
    scope = f"{date[:8]}/{service}/{canonical.TERMINATOR}"
    headers = [*headers, (REGION_SET, region_set)]
    headers, signed, request = _head_to_sign(method, path, query, headers, payload_hash, pair, date)
    key = keys.key_pair(pair.access_key, pair.secret_key)
    value = sigv4a.sign(key, canonical.string_to_sign(date, scope, request, sigv4a.ALGORITHM))
    headers.append(_authorization(sigv4a.ALGORITHM, pair.access_key, scope, signed, value))
    return Signed(headers, partial(sigv4a.EcdsaChain, key, date, scope, value))


def _head_to_sign(
    method: str,
    path: str,
    query: tuple[Pair, ...],
    headers: list[Header],
    payload_hash: str,
    pair: KeyPair,
    date: str,
) -> tuple[list[Header], list[str], str]:
    """All headers but `Authorization`, the names of those that are signed, and the canonical request."""
    headers = [*headers, ("x-amz-date", date), (CONTENT_SHA256, payload_hash)]
    if pair.session_token:
        headers.append((SECURITY_TOKEN, pair.session_token))
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        if name not in NOT_SIGNED:
            fields.setdefault(name, []).append(value)
    signed = sorted(fields)
    request = canonical.canonical_request(method, path, canonical.canonical_query(query), fields, signed, payload_hash)
    return headers, signed, request


def _authorization(algorithm: str, access_key: str, scope: str, signed: list[str], value: str) -> Header:
    names = ";".join(signed)
    return "authorization", f"{algorithm} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={value}"


def presign_query(
    *,
    method: str,
    host: str,
    path: str,
    query: tuple[Pair, ...] = (),
    headers: Sequence[Header] = (),
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
        headers: those that the client will send besides Host, all of which are signed.
        expires: the URL's life in seconds, 1 to 604800.
        pair: the key pair to sign with.
        region: the region of the credential scope.
        now: seconds since the epoch.
        keys: derived signing keys.
    """
    date = amz_date(now)
    scope = f"{date[:8]}/{region}/{SERVICE}/{canonical.TERMINATOR}"
    signed = {"host": [host]}
    for name, value in headers:
        signed.setdefault(name.lower(), []).append(value)
    parameters = {
        "X-Amz-Algorithm": canonical.ALGORITHM,
        "X-Amz-Credential": f"{pair.access_key}/{scope}",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
    }
    if pair.session_token:
        parameters["X-Amz-Security-Token"] = pair.session_token
    pairs = (*query, *((name, encoding.encode(value.encode())) for name, value in parameters.items()))
    request = canonical.canonical_request(
        method, path, canonical.canonical_query(pairs), signed, sorted(signed), canonical.UNSIGNED_PAYLOAD
    )
    value = signature(keys.get(pair.secret_key, date[:8], region), canonical.string_to_sign(date, scope, request))
    return encoding.join_query((*pairs, ("X-Amz-Signature", value)))
