"""Session tokens: sealed, self-contained, bounded. Whoever has the secret can open them; nothing is stored.

A token is version, key id and nonce in the clear, then the session as compressed JSON under AES-256-GCM, with the
access key that it belongs to as associated data: another key's token does not open. The secret key is derived from
both, so that it stands nowhere. Several secrets may be known, so that they can be changed: the first one seals, all of
them open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from osp_gateway.access.identity import NO_CLAIMS
from osp_gateway.access.sts.answers import TemporaryKey
from osp_gateway.access.sts.errors import StsError

MAX_TOKEN_CHARS: Final = 4096
"""A token travels in a header or a URL, and S3's clients expect heads of up to 8 KiB to work everywhere."""
MAX_SESSION_OCTETS: Final = 32 * 1024
"""A session before it is compressed."""
_VERSION: Final = b"\x01"
_KEY_ID_OCTETS: Final = 6
_NONCE_OCTETS: Final = 12
_HEADER_OCTETS: Final = len(_VERSION) + _KEY_ID_OCTETS + _NONCE_OCTETS
_TAG_OCTETS: Final = 16
_MAX_SEALED_OCTETS: Final = MAX_TOKEN_CHARS * 3 // 4
_PREFIX: Final = "ASIAOSP"
_ACCESS_KEY: Final = re.compile(_PREFIX + r"[A-Z2-7]{16}\Z").match
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\Z").match


@dataclass(frozen=True, slots=True)
class Session:
    """What a temporary key stands for.

    `principal` is the client key or the role whose rights it has, and whose policies hold. `roles` are all the roles on
    the way there, in their order, and `lineage` all the access keys, from the client's own on (of a web identity, what
    stands for one): what one of them loses is lost. `policies` are documents (JSON), each of which narrows; `tags` are
    the session's, `transitive` the keys of those that go on to further sessions. Times are whole seconds since the
    epoch.
    """

    principal: str
    session_name: str
    issued_at: int
    expires_at: int
    roles: tuple[str, ...] = ()
    lineage: tuple[str, ...] = ()
    policies: tuple[str, ...] = field(default=(), repr=False)
    claims: Mapping[str, Any] = field(default=NO_CLAIMS, repr=False)
    tags: Mapping[str, str] = field(default=NO_CLAIMS, repr=False)
    transitive: frozenset[str] = frozenset()


class TokenError(Exception):
    """A token that cannot be opened: no word on why, it would help nobody but a forger."""


@dataclass(frozen=True, slots=True)
class _Keys:
    """What is derived from one secret."""

    id: bytes
    seal: AESGCM = field(repr=False)
    secrets: bytes = field(repr=False)


class Sealer:
    """Makes temporary keys, and opens their tokens."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """The first of the `secrets` seals, each of them opens."""
        self._keys = tuple(_derive(secret) for secret in secrets)

    def seal(self, session: Session) -> TemporaryKey:
        """A temporary key for a session.

        Raises:
            StsError: PackedPolicyTooLarge (400).
        """
        keys = self._keys[0]
        access_key = _PREFIX + base64.b32encode(os.urandom(10)).decode()
        packed = _pack(session)
        header = _VERSION + keys.id + os.urandom(_NONCE_OCTETS)
        sealed = keys.seal.encrypt(header[-_NONCE_OCTETS:], packed, _bound(header, access_key))
        token = base64.urlsafe_b64encode(header + sealed).rstrip(b"=").decode()
        return TemporaryKey(access_key, _secret_key(keys, access_key, token), token, session.expires_at)

    def open(self, access_key: str, token: str) -> tuple[Session, str]:
        """The session of a temporary key and its secret key. Whether it has ended is for the caller to see.

        Raises:
            TokenError: the token is none, is not this key's, or was sealed with a secret that is not known here.
        """
        # Base64 without a second spelling: else one token could be written in several ways.
        if len(token) > MAX_TOKEN_CHARS or not _TOKEN(token) or len(token) % 4 == 1:
            raise TokenError
        octets = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() != token:
            raise TokenError
        header, sealed = octets[:_HEADER_OCTETS], octets[_HEADER_OCTETS:]
        if header[:1] != _VERSION or len(sealed) <= _TAG_OCTETS:
            raise TokenError
        for keys in self._keys:
            if keys.id == header[1 : 1 + _KEY_ID_OCTETS]:
                try:
                    packed = keys.seal.decrypt(header[-_NONCE_OCTETS:], sealed, _bound(header, access_key))
                except InvalidTag:
                    continue
                return _unpack(packed), _secret_key(keys, access_key, token)
        raise TokenError


def is_temporary(access_key: str) -> bool:
    """Whether an access key is of the kind that is made here."""
    return _ACCESS_KEY(access_key) is not None


def packed_size(session: Session) -> int:
    """How full the session is with policies, tags and claims: 1 to 100, in percent."""
    room = _MAX_SEALED_OCTETS - _HEADER_OCTETS - _TAG_OCTETS
    return max(1, min(100, -(-len(_pack(session)) * 100 // room)))


def _derive(secret: str) -> _Keys:
    def key(purpose: str) -> bytes:
        return hmac.digest(secret.encode(), f"osp session {purpose}".encode(), hashlib.sha256)

    return _Keys(key("key id")[:_KEY_ID_OCTETS], AESGCM(key("seals")), key("secret keys"))


def _bound(header: bytes, access_key: str) -> bytes:
    return header + access_key.encode("utf-8", "surrogateescape")


def _secret_key(keys: _Keys, access_key: str, token: str) -> str:
    octets = hmac.digest(keys.secrets, f"{access_key}\n{token}".encode(), hashlib.sha256)
    return base64.b64encode(octets[:30]).decode()


_FIELDS: Final[Mapping[str, str]] = {
    "p": "principal",
    "n": "session_name",
    "i": "issued_at",
    "e": "expires_at",
    "r": "roles",
    "l": "lineage",
    "o": "policies",
    "c": "claims",
    "t": "tags",
    "x": "transitive",
}


def _pack(session: Session) -> bytes:
    written = {short: _plain(getattr(session, name)) for short, name in _FIELDS.items()}
    text = json.dumps({s: v for s, v in written.items() if v}, separators=(",", ":"), default=_plain).encode()
    packed = zlib.compress(text, 9)
    if len(text) > MAX_SESSION_OCTETS or len(packed) > _MAX_SEALED_OCTETS - _HEADER_OCTETS - _TAG_OCTETS:
        raise StsError(
            "PackedPolicyTooLarge", "The session policies, tags and claims are together larger than a token can hold."
        )
    return packed


def _unpack(packed: bytes) -> Session:
    # Nobody without the secret has made it, but a bound costs nothing.
    try:
        written = json.loads(zlib.decompressobj().decompress(packed, MAX_SESSION_OCTETS))
        return Session(
            principal=written["p"],
            session_name=written.get("n", ""),
            issued_at=int(written["i"]),
            expires_at=int(written["e"]),
            roles=tuple(written.get("r", ())),
            lineage=tuple(written.get("l", ())),
            policies=tuple(written.get("o", ())),
            claims=written.get("c", NO_CLAIMS),
            tags=written.get("t", NO_CLAIMS),
            transitive=frozenset(written.get("x", ())),
        )
    except (ValueError, KeyError, TypeError, zlib.error):
        raise TokenError from None


def _plain(value: Any) -> Any:
    """JSON of what is immutable."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return value
