"""Continuation tokens that tell nothing: some stores write the last key into them, the backend's prefix included."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from osp_gateway.backends.routes import ApiKey, BucketRoute, CredentialSource
from osp_gateway.sigv4.keys import KeyPair

_PURPOSE: Final = b"osp continuation tokens"


class TokenSeal:
    """Encrypts and authenticates tokens, always to the same text (RFC 5297): stores repeat them in their answers."""

    def __init__(self, key: bytes) -> None:
        """`key` has 64 octets."""
        self._cipher = AESSIV(key)

    @classmethod
    def of_secrets(cls, secrets: Iterable[str]) -> TokenSeal:
        """A seal that all who know the same secrets share. Without any it is one of this process alone."""
        digest = hmac.new(_PURPOSE, digestmod=hashlib.sha512)
        known = False
        for secret in secrets:
            known = True
            digest.update(len(secret).to_bytes(8, "big") + secret.encode())
        return cls(digest.digest() if known else os.urandom(64))

    def seal(self, token: str, place: str) -> str:
        """The token for clients; it is good for one `place` only."""
        sealed = self._cipher.encrypt(token.encode(), [place.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, sealed: str, place: str) -> str:
        """The store's token.

        Raises:
            ValueError: it is none that was sealed here for this place.
        """
        try:
            octets = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return self._cipher.decrypt(octets, [place.encode()]).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise ValueError("not a token of this listing") from None


def secrets_of(shared: str, routes: Iterable[BucketRoute], credentials: Iterable[CredentialSource | None]) -> list[str]:
    """What gateways with the same configuration know, and clients do not.

    Args:
        shared: the secret of the shared cache, which is enough where there is one.
        routes: the buckets, with their credentials.
        credentials: further ones.
    """
    if shared:
        return [shared]
    sources = [*(route.credentials for route in routes), *credentials]
    pairs = [source.secret_key for source in sources if isinstance(source, KeyPair)]
    return sorted([*pairs, *(source.value for source in sources if isinstance(source, ApiKey))])
