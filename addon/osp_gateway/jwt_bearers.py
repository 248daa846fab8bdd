"""Clients who come with a JSON Web Token: as their access key, as their session token, or without any signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from osp_gateway.access.identity import Identity
from osp_gateway.access.jwt.compact import TokenError, TokenExpired, looks_like_token
from osp_gateway.access.jwt.model import IssuerModel
from osp_gateway.access.jwt.verifying import TokenVerifier
from osp_gateway.access.keystore import Keystore
from osp_gateway.identifying import Known
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.claim_parts import SECURITY_TOKEN, two_mechanisms

SCHEME: Final = "bearer"
_SIGNATURES: Final = ("awsaccesskeyid", "signature")


class JwtBearers:
    """Tokens as identities. What they may do is not decided here."""

    def __init__(self, issuers: Sequence[IssuerModel], verifier: TokenVerifier, keystore: Keystore) -> None:
        """`keystore` knows the secrets of the access keys that tokens come with."""
        self._issuers: Mapping[str, IssuerModel] = {issuer.issuer: issuer for issuer in issuers}
        self._verifier = verifier
        self._keystore = keystore

    async def resolve(self, access_key: str, session_token: str | None) -> Known | None:
        """See `KeyResolver`.

        A token that stands for an access key is signed with the secret that `hmac_fetcher` has for it, else with its
        issuer's `secret_key`. Beside an access key that the keystore knows, a token is signed with that key's secret.
        """
        if looks_like_token(access_key):
            if session_token is not None:
                raise _invalid("a token as access key, and a session token beside it")
            identity = self._nobodys_key(await self._identity(access_key))
            return self._known(identity, await self._keystore.fetched(access_key))
        if self._verifier.stands_for_bearer(access_key):
            raise _invalid("the access key is written like the name of a token's bearer")
        if session_token is None or not looks_like_token(session_token):
            return None
        if await self._keystore.lists(access_key, session_token):
            return None  # some stores give out session tokens that are JWTs
        identity = await self._identity(session_token)
        try:
            secret = await self._keystore.secret(access_key)
        except S3Error as error:
            if error.code != "InvalidAccessKeyId":
                raise
            return self._known(self._nobodys_key(identity), "")
        return Known(_with_key(identity, access_key), secret)

    async def bearer(self, head: RequestHead, query: tuple[Pair, ...], *, tls: bool) -> Identity | None:
        """The bearer of a token in the Authorization header; None where there is none.

        Raises:
            S3Error: InvalidArgument (400) where there is a second mechanism, else see `resolve`.
        """
        scheme, _, token = (head.get("authorization") or "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        names = [name.lower() for name, _ in query]
        if SECURITY_TOKEN in head.fields or any(n.startswith("x-amz-") or n in _SIGNATURES for n in names):
            raise two_mechanisms()
        identity = self._nobodys_key(await self._identity(token))
        wanted = self._issuer_of(identity).bearer
        if wanted == "never" or (wanted == "tls" and not tls):
            raise S3Error.access_denied(
                message="Bearer tokens are not accepted here.",
                reason="a bearer token in the clear" if wanted == "tls" else "the issuer's tokens need a signature",
            )
        return identity

    async def __call__(self, token: str, /) -> Identity:
        """Whom a token stands for that is exchanged for a temporary key; see `WebIdentityVerifier`."""
        return self._nobodys_key(await self._identity(token))

    def _nobodys_key(self, identity: Identity) -> Identity:
        """The identity, where its name is not a listed access key's: policies go by names."""
        if self._keystore.listed(identity.name) is not None:
            raise _invalid("its bearer has the name of an access key")
        return identity

    def _known(self, identity: Identity, secret: str) -> Known:
        secret = secret or self._issuer_of(identity).secret_key or ""
        if not secret:
            raise S3Error.access_denied(reason="there is no secret that requests with this token are signed with")
        return Known(identity, secret)

    def _issuer_of(self, identity: Identity) -> IssuerModel:
        return self._issuers[identity.claims["iss"]]

    async def _identity(self, token: str) -> Identity:
        try:
            return await self._verifier.identity(token)
        except TokenExpired as error:
            raise S3Error("ExpiredToken", "The provided token has expired.", reason=f"jwt: {error}") from None
        except TokenError as error:
            raise _invalid(str(error)) from None


@lru_cache(maxsize=1024)
def _with_key(identity: Identity, access_key: str) -> Identity:
    """The bearer, by way of an access key that was verified, too."""
    return Identity(access_key, identity.name, "", identity.claims, (), identity.expires_at)


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.", reason=f"jwt: {why}")
