"""Temporary keys as one kind of client keys: what a sealed session token says, as far as it holds here and now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from cachetools import LRUCache

from osp_gateway.access.identity import Identity, frozen
from osp_gateway.access.revocation import Revocations
from osp_gateway.access.sts.answers import TemporaryKey
from osp_gateway.access.sts.errors import StsError
from osp_gateway.access.sts.roles import StsSettings
from osp_gateway.access.sts.tokens import Sealer, Session, TokenError, is_temporary
from osp_gateway.identifying import Known
from osp_gateway.s3.errors import S3Error

CACHE_SIZE: Final = 4096
_Opened = tuple[Session, Known]


class SessionKeys:
    """Resolves temporary keys; a `KeyResolver`."""

    def __init__(self, settings: StsSettings, revocations: Revocations, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self.settings = settings
        self._roles = settings.roles
        self._sealer = Sealer(settings.secrets)
        self._revocations = revocations
        self._clock = clock
        # Opening takes some 30 us. Tokens are long, and whoever sends them chooses them: the cache holds their hashes,
        # and of those only that have been opened.
        self._opened: LRUCache[tuple[str, bytes], _Opened] = LRUCache(CACHE_SIZE)

    async def resolve(self, access_key: str, session_token: str | None) -> Known | None:
        """See `KeyResolver`.

        Raises:
            S3Error: InvalidAccessKeyId (403), InvalidToken or ExpiredToken (400).
        """
        if not is_temporary(access_key):
            if access_key in self._roles:
                raise _unknown(access_key)  # a role is no key, whatever a keystore says
            return None
        return self._valid(access_key, session_token)[1]

    def session(self, access_key: str, session_token: str | None) -> Session | None:
        """The session of a temporary key, None for other keys; see `resolve`."""
        return self._valid(access_key, session_token)[0] if is_temporary(access_key) else None

    def seal(self, session: Session) -> TemporaryKey:
        """A temporary key for a session.

        Raises:
            StsError: AccessDenied (403) where it would be revoked as soon as it was there; see `Sealer.seal`.
        """
        try:
            self._revocations.refuse_session((*session.lineage, *session.roles), session.issued_at)
        except S3Error as error:
            raise StsError("AccessDenied", "Access denied", reason=error.reason) from error
        return self._sealer.seal(session)

    def _valid(self, access_key: str, session_token: str | None) -> _Opened:
        if not session_token:
            raise _unknown(access_key)
        session, known = self._open(access_key, session_token)
        if self._clock() >= session.expires_at:
            raise S3Error("ExpiredToken", "The provided token has expired.")
        self._revocations.refuse_session((access_key, *session.lineage, *session.roles), session.issued_at)
        return session, known

    def _open(self, access_key: str, token: str) -> _Opened:
        name = access_key, hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        opened = self._opened.get(name)
        if opened is None:
            try:
                session, secret = self._sealer.open(access_key, token)
            except TokenError:
                raise _invalid("the session token was not sealed here for this key") from None
            opened = self._opened[name] = session, Known(self._identity(session), secret)
        return opened

    def _identity(self, session: Session) -> Identity:
        """Whom the session stands for: with the rights of a key or a role, and never with more."""
        policies = [*session.policies]
        for arn in session.roles:
            role = self._roles.get(arn)
            if role is None:
                raise _invalid(f"there is no role {arn} here")
            if role.policy is not None:
                policies.append(role.policy)
        return Identity(
            access_key=session.principal,
            name=session.principal,
            session_name=session.session_name,
            claims=_claims(session),
            policies=tuple(policies),
            expires_at=float(session.expires_at),
        )


def _claims(session: Session) -> MappingProxyType[str, Any]:
    """What is known of the session's beginning. None of it stands where a token's own claims would."""
    parts = {"role": session.roles[-1] if session.roles else "", "web_identity": session.claims, "tags": session.tags}
    return MappingProxyType({name: frozen(value) for name, value in parts.items() if value})


def _unknown(access_key: str) -> S3Error:
    return S3Error(
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        details={"AWSAccessKeyId": access_key},
    )


def _invalid(reason: str) -> S3Error:
    return S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.", reason=reason)
