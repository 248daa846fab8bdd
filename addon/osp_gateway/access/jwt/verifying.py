"""Is this token good, and whom does it stand for?

The signature is checked by PyJWT; everything around it is decided here: which issuer, which key, which algorithm, and
what the claims must be. See RFC 7519, section 4.1, and RFC 8725 for what goes wrong elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache

from osp_gateway.access.identity import Identity, frozen
from osp_gateway.access.jwt.claims import claim_at
from osp_gateway.access.jwt.compact import MAX_TOKEN_OCTETS, TokenError, TokenExpired, Unverified, read
from osp_gateway.access.jwt.keys import MAX_KID_CHARS, VerificationKey
from osp_gateway.access.jwt.keysets import KeySet

VERIFIED_TOKENS: Final = 10_000
MAX_NAME_CHARS: Final = 256
MAX_TRIES: Final = 8
"""Keys without a name that one token is tried with."""
MAX_TIME: Final = 2.0**40
TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
BRING_THEIR_OWN_KEY: Final = frozenset({"jwk", "jku", "x5u", "x5c"})
"""Header parameters that name a key: whoever writes a token would choose what it is checked with."""
NOT_UNDERSTOOD: Final = frozenset({"crit", "b64", "zip", "enc", "epk"})
"""Header parameters that change what a token means."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are believed, and which: times are in seconds."""

    name: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    keys: KeySet
    leeway: float
    name_claim: tuple[str, ...]

    def access_key_of(self, name: str) -> str:
        """What stands for the bearer where others have their access key: no two bearers have the same."""
        return f"{self.name}#{name}"


@dataclass(frozen=True, slots=True)
class _Verified:
    identity: Identity
    issuer: Issuer
    key: VerificationKey
    ends: float


class TokenVerifier:
    """Verifies tokens, and remembers those that it has verified, under their hash, for as long as they are good."""

    def __init__(self, issuers: Sequence[Issuer], clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._clock = clock
        self._verified: LRUCache[bytes, _Verified] = LRUCache(VERIFIED_TOKENS)

    def stands_for_bearer(self, access_key: str) -> bool:
        """Whether a plain access key is written like that of a token's bearer."""
        return any(access_key.startswith(f"{name}#") for name in self._issuers)

    async def identity(self, token: str) -> Identity:
        """Whom a token stands for.

        Raises:
            TokenExpired, TokenError: it is not to be believed.
            S3Error: ServiceUnavailable (503) where its issuer's keys are not to be had.
        """
        if len(token) > MAX_TOKEN_OCTETS:
            raise TokenError(f"longer than {MAX_TOKEN_OCTETS} octets")
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(name)
        if known is not None and known.issuer.keys.holds(known.key):
            if self._clock() >= known.ends:
                raise TokenExpired("it has expired")
            return known.identity
        verified = await self._verify(token)
        self._verified[name] = verified
        return verified.identity

    async def _verify(self, token: str) -> _Verified:
        parts = read(token)
        algorithm, kid = _header(parts.header)
        issuer = self._issuer(parts.claims)
        if algorithm not in issuer.algorithms:
            raise TokenError("its algorithm is not one that its issuer uses")
        key = _signer(await issuer.keys.find(kid, algorithm), algorithm, parts)
        ends = _life(parts.claims, issuer.leeway, self._clock())
        _check_audience(parts.claims, issuer.audiences)
        name = _name(parts.claims, issuer.name_claim)
        identity = Identity(
            access_key=issuer.access_key_of(name),
            name=name,
            claims=frozen(parts.claims),
            expires_at=ends - issuer.leeway,
        )
        return _Verified(identity, issuer, key, ends)

    def _issuer(self, claims: Mapping[str, Any]) -> Issuer:
        name = claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise TokenError("its issuer is not known here")
        return issuer


def _header(header: Mapping[str, Any]) -> tuple[str, str | None]:
    """Algorithm and key id."""
    if not BRING_THEIR_OWN_KEY.isdisjoint(header):
        raise TokenError("it brings a key of its own")
    if not NOT_UNDERSTOOD.isdisjoint(header):
        raise TokenError("its header demands what is not understood here")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise TokenError("it is a token of another type")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise TokenError("its header has no alg")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= MAX_KID_CHARS):
        raise TokenError("its kid is no text of reasonable length")
    return algorithm, kid


def _signer(keys: Sequence[VerificationKey], algorithm: str, parts: Unverified) -> VerificationKey:
    if not keys:
        raise TokenError("none of its issuer's keys is the one that it names")
    for key in keys[:MAX_TRIES]:
        if key.verifies(algorithm, parts.signed, parts.signature):
            return key
    raise TokenError("its signature is wrong")


def _life(claims: Mapping[str, Any], leeway: float, now: float) -> float:
    """When it ends, leeway included."""
    expires = _time(claims, "exp")
    if expires is None:
        raise TokenError("it has no exp")
    for begins in ("nbf", "iat"):
        since = _time(claims, begins)
        if since is not None and since > now + leeway:
            raise TokenError(f"its {begins} lies in the future")
    if now >= expires + leeway:
        raise TokenExpired("it has expired")
    return expires + leeway


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_TIME:
        raise TokenError(f"its {name} is no time")
    return float(value)


def _check_audience(claims: Mapping[str, Any], ours: frozenset[str]) -> None:
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise TokenError("its aud is no audience")
    if ours.isdisjoint(named):
        raise TokenError("it is for another audience")


def _name(claims: Mapping[str, Any], path: tuple[str, ...]) -> str:
    name = claim_at(claims, path)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise TokenError(f"its {'.'.join(path)} is no name")
    return name
