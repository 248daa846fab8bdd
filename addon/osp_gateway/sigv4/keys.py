"""Key pairs and the signing keys derived from them."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from osp_gateway.sigv4.canonical import TERMINATOR
from osp_gateway.sigv4.sigv4a import derive_private_key

MAX_SIGNING_KEYS: Final = 4096
MAX_KEY_PAIRS: Final = 1024
MAX_REGION_CHARS: Final = 64
"""Keys of longer regions are not kept: a client may name any region, and thousands of long ones would be held."""

MAX_TOLD_CHARS: Final = 128
"""The longest access key that AWS gives out."""
_TOKEN: Final = re.compile(r"e[w-z0-9][A-Za-z0-9_=+/-]{8,}\.").search
"""JSON in base64, and a full stop: as tokens begin."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key with its secret and, for temporary credentials, its session token."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def derive_signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """The signing key of a day, a region and a service: "Calculate the signature" in the SigV4 reference.

    Args:
        secret_key: the secret access key.
        date: `YYYYMMDD`.
        region: for instance `eu-west-3`.
        service: `s3`, or another service's signing name.
    """
    key = ("AWS4" + secret_key).encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("latin-1"), hashlib.sha256)
    return key


class SigningKeys:
    """Keys derived before, bounded in number. Four HMACs cost about 8 us, a look-up 0.2 us; a key pair costs more."""

    def __init__(self, size: int = MAX_SIGNING_KEYS) -> None:
        self._derive = lru_cache(maxsize=size)(derive_signing_key)
        self._derive_pair = lru_cache(maxsize=min(size, MAX_KEY_PAIRS))(derive_private_key)

    def get(self, secret_key: str, date: str, region: str, service: str = "s3") -> bytes:
        """The signing key; see `derive_signing_key`."""
        if len(region) > MAX_REGION_CHARS:
            return derive_signing_key(secret_key, date, region, service)
        return self._derive(secret_key, date, region, service)

    def key_pair(self, access_key: str, secret_key: str) -> ec.EllipticCurvePrivateKey:
        """The key pair of SigV4A; see `sigv4a.derive_private_key`."""
        return self._derive_pair(access_key, secret_key)


def signature(signing_key: bytes, string_to_sign: str) -> str:
    """The hex signature of a string to sign."""
    return hmac.digest(signing_key, string_to_sign.encode("latin-1"), hashlib.sha256).hex()


def told(access_key: str) -> str:
    """An access key as logs and errors may tell it: clients put tokens in its place, and tokens are secrets."""
    return "(a token)" if len(access_key) > MAX_TOLD_CHARS or _TOKEN(access_key) else access_key
