"""Who sent a request: step 2 of the path.

A signature is checked with the secret of its access key, and there are several kinds of keys: each kind is a
`KeyResolver`, asked in turn, and the keystore is the last of them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from osp_gateway.access.identity import NOBODY, Identity, of_key
from osp_gateway.access.keystore import Keystore
from osp_gateway.access.revocation import Revocations
from osp_gateway.case import Case
from osp_gateway.config import Settings
from osp_gateway.questions import NOTHING
from osp_gateway.s3.address import Resource
from osp_gateway.s3.encoding import Pair
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import claims, sigv2
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.claim_parts import CONTENT_SHA256, Claim
from osp_gateway.sigv4.dates import parse_amz_date
from osp_gateway.sigv4.keys import SigningKeys, told
from osp_gateway.sigv4.presigned import hoisted_headers, without_authentication
from osp_gateway.sigv4.sigv2 import V2Claim
from osp_gateway.sigv4.verify import signed_content, verify

MAX_CHECKED_CHARS: Final = 1024
"""Of unknown keys that are verified all the same. What is derived for a key is kept for a while, and so is the key."""
_NOBODYS: Final = frozenset({"InvalidAccessKeyId", "InvalidToken"})
_DECOYS: Final = os.urandom(32)


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a key stands for, and the secret that its signatures are made with."""

    identity: Identity
    secret: str = field(repr=False)
    problem: S3Error | None = None
    """Why it stands for nobody: its secret is nobody's then."""

    def check[T](self, verification: Callable[[str], T]) -> T:
        """What a verification with the secret gives.

        A key that nobody has is verified all the same before it is refused: how long that takes tells nothing.

        Raises:
            S3Error: what the verification raises, or the problem.
        """
        if self.problem is None:
            return verification(self.secret)
        with suppress(S3Error):
            verification(self.secret)
        raise self.problem


class KeyResolver(Protocol):
    """One kind of client keys."""

    async def resolve(self, access_key: str, session_token: str | None) -> Known | None:
        """Who that is; None where the key is of another kind. Raises `S3Error` where it is of this one, but no good."""


class Bearers(Protocol):
    """Those who come with a token instead of a signature."""

    async def bearer(self, head: RequestHead, query: tuple[Pair, ...], *, tls: bool) -> Identity | None:
        """Who that is; None where there is no token. Raises `S3Error` where there is one, but no good."""


@dataclass(slots=True)
class Identified:
    """A request whose sender is known, or known to be nobody."""

    identity: Identity
    claim: Claim | None
    query: tuple[Pair, ...]
    hoisted: Mapping[str, str]
    payload_hash: str
    secret: str | None = field(default=None, repr=False)
    anonymous: bool = False
    presigned: tuple[str, float] | None = field(default=None, repr=False)
    """What tells a presigned URL from others, and when it expires in seconds since the epoch."""

    @property
    def token(self) -> str:
        """The access key, empty for nobody."""
        return self.identity.access_key


class Identifier:
    """Finds out who sent a request, and refuses those of whom that cannot be said."""

    def __init__(
        self,
        settings: Settings,
        keystore: Keystore,
        signing_keys: SigningKeys,
        clock: Callable[[], float],
        resolvers: Sequence[KeyResolver] = (),
        bearers: Bearers | None = None,
    ) -> None:
        """`resolvers` are asked before the keystore; `clock` gives seconds since the epoch."""
        self._bearers = bearers
        self._settings = settings
        self._keystore = keystore
        self._signing_keys = signing_keys
        self._clock = clock
        self._resolvers = tuple(resolvers)
        self._revocations = Revocations(settings.revoked)

    async def known(self, access_key: str, session_token: str | None) -> Known:
        """Whom a key stands for; for a plain key that nobody has, or another session token, its `problem` says so.

        Raises:
            S3Error: InvalidToken (400), ExpiredToken (400), AccessDenied (403), ServiceUnavailable (503).
        """
        self._revocations.refuse_key(access_key)
        for resolver in self._resolvers:
            found = await resolver.resolve(access_key, session_token)
            if found is not None:
                self._revocations.refuse_key(found.identity.access_key)
                return found
        try:
            return Known(of_key(access_key), await self._keystore.secret(access_key, session_token))
        except S3Error as error:
            if error.code not in _NOBODYS or len(access_key) > MAX_CHECKED_CHARS:
                raise
            return Known(NOBODY, _decoy(access_key), error)

    async def identify(self, case: Case, resource: Resource, query: tuple[Pair, ...]) -> Identified:
        """The sender of a request, as far as its head tells.

        Raises:
            S3Error: with the code and message that AWS gives.
        """
        head = case.arrival.head
        if self._settings.skip_signature_validation:
            return self._take_their_word(case, query)
        if head.method == "OPTIONS" and self._settings.allow_anonymous and "authorization" not in head.fields:
            # A browser asks for a presigned URL with its whole query, whose signature is for another method.
            query = without_authentication(query)
            if self._settings.allow_sigv2:
                query = sigv2.without_authentication(query)
            return self._nobody(case, query)
        if self._bearers is not None and (identity := await self._bearers.bearer(head, query, tls=case.arrival.tls)):
            self._revocations.refuse_key(identity.access_key)
            case.who = identity.name
            return Identified(identity, None, query, NOTHING, head.get(CONTENT_SHA256) or UNSIGNED_PAYLOAD)
        if self._settings.allow_sigv2 and (old := sigv2.read(head, query, self._now(case))) is not None:
            return await self._identify_v2(case, resource, query, old)
        claim = claims.read(head, query, self._now(case))
        if claim is None:
            return self._nobody(case, query)
        case.who = told(claim.access_key)
        known = await self.known(claim.access_key, claim.session_token)
        known.check(lambda secret: verify(claim, head, resource.canonical_path, secret, self._signing_keys))
        case.who = known.identity.shown
        identified = _identified(known.identity, claim, query, claim.payload_hash, known.secret)
        if identified.presigned is not None and claim.expires is not None:
            name = signed_content(claim, head, resource.canonical_path)
            identified.presigned = name, self._end(known.identity, identified.presigned[1], claim.expires)
        return identified

    def _now(self, case: Case) -> float:
        return self._clock() + case.arrival.skew

    async def _identify_v2(self, case: Case, resource: Resource, query: tuple[Pair, ...], claim: V2Claim) -> Identified:
        """Signature V2, which says nothing of the body but its Content-MD5."""
        head = case.arrival.head
        case.who = told(claim.access_key)
        known = await self.known(claim.access_key, claim.session_token)
        known.check(lambda secret: sigv2.verify(claim, head, resource, query, secret))
        case.who = known.identity.shown
        payload_hash = head.get(CONTENT_SHA256) or UNSIGNED_PAYLOAD
        plain = sigv2.without_authentication(query) if claim.expires_at is not None else query
        identified = Identified(known.identity, None, plain, NOTHING, payload_hash)
        if claim.expires_at is not None:
            left = claim.expires_at - self._now(case)
            identified.presigned = claim.signature, self._end(known.identity, claim.expires_at, left)
        return identified

    def _end(self, identity: Identity, expires_at: float, lifetime: float) -> float:
        """When a presigned URL ends, in seconds since the epoch: not later than the key that it was made with.

        Args:
            identity: whose key that is.
            expires_at: when the URL itself ends.
            lifetime: for how many seconds it was made; of Version 2, which does not tell, the seconds that are left.

        Raises:
            S3Error: AuthorizationQueryParametersError (400) where it was made for longer than is allowed here.
        """
        most = self._settings.max_presign_lifetime
        if most is not None and lifetime > most:
            raise S3Error(
                "AuthorizationQueryParametersError", f"Presigned URLs must not live longer than {most} seconds here."
            )
        return expires_at if identity.expires_at is None else min(expires_at, identity.expires_at)

    def _nobody(self, case: Case, query: tuple[Pair, ...]) -> Identified:
        """An unsigned request: refused, unless the operator lets the validator judge such requests."""
        if not self._settings.allow_anonymous:
            raise S3Error.access_denied(reason="the request is not signed")
        case.who = "anonymous"
        payload_hash = case.arrival.head.get(CONTENT_SHA256) or UNSIGNED_PAYLOAD
        nobody = _identified(NOBODY, None, query, payload_hash)
        nobody.anonymous = True
        return nobody

    def _take_their_word(self, case: Case, query: tuple[Pair, ...]) -> Identified:
        """`skip_signature_validation`: whoever they say they are."""
        head = case.arrival.head
        try:
            claim = claims.read(head, query, self._clock())
        except S3Error:
            claim = None
        case.who = f"{told(claim.access_key)} (unverified)" if claim else "anonymous (unverified)"
        payload_hash = claim.payload_hash if claim else head.get(CONTENT_SHA256) or UNSIGNED_PAYLOAD
        return _identified(of_key(claim.access_key) if claim else NOBODY, claim, query, payload_hash)


def _identified(
    identity: Identity, claim: Claim | None, query: tuple[Pair, ...], payload_hash: str, secret: str | None = None
) -> Identified:
    """With a presigned URL's headers taken out of its query."""
    if claim is not None and claim.expires is None:
        return Identified(identity, claim, query, NOTHING, payload_hash, secret)
    plain = without_authentication(query)
    hoisted = hoisted_headers(plain)
    if hoisted:
        plain = tuple(pair for pair in plain if pair[0].lower() not in hoisted)
    identified = Identified(identity, claim, plain, hoisted, payload_hash, secret)
    if claim is not None and claim.expires is not None:
        identified.presigned = claim.signature, (parse_amz_date(claim.amz_date) or 0) + claim.expires
    return identified


def _decoy(access_key: str) -> str:
    """A secret that nobody has, always the same for a key: what is derived of it is remembered as for others."""
    return hmac.digest(_DECOYS, access_key.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()
