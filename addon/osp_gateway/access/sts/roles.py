"""Roles: who may take them on, for how long, and what narrows their sessions."""

from __future__ import annotations

import hmac
import json
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, Protocol

from osp_gateway.access.identity import Identity
from osp_gateway.access.patterns import like
from osp_gateway.access.policy import PolicyError, read_policy
from osp_gateway.access.sts.errors import StsError

MIN_SECONDS: Final = 900
MAX_CHAINED_SECONDS: Final = 3600
"""For a session that another session opens."""
DEFAULT_ROLE_SECONDS: Final = 3600
DEFAULT_USER_SECONDS: Final = 43_200
MAX_USER_SECONDS: Final = 129_600
MAX_POLICY_CHARS: Final = 2048
MAX_ROLE_SECONDS: Final = 43_200


class WebIdentityVerifier(Protocol):
    """Says whose a web identity token is."""

    async def __call__(self, token: str, /) -> Identity:
        """The token's subject and claims.

        Raises:
            S3Error: ExpiredToken; ServiceUnavailable where the issuer's keys cannot be had; another code where the
                token is not to be believed.
        """


@dataclass(frozen=True, slots=True)
class Role:
    """A role.

    `principals` are patterns of client keys and of roles' ARNs; `web_identity` are the patterns, of which one must
    match, for each claim that a web identity token must have; `external_ids` are those of which a caller must give one,
    where there are any; `policy` is a document (JSON) that narrows every session; `tags` are patterns of the keys of
    tags that callers may set; `claims` the names of the token's claims that a session keeps.
    """

    arn: str
    principals: tuple[str, ...] = ()
    web_identity: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    external_ids: tuple[str, ...] = field(default=(), repr=False)
    max_seconds: int = DEFAULT_ROLE_SECONDS
    policy: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name, without its path."""
        return self.arn.rsplit("/", 1)[1]

    @property
    def account(self) -> str:
        """The account that its ARN names."""
        return self.arn.split(":")[4]

    @property
    def id(self) -> str:
        """A unique identifier, as IAM has it: it follows from the ARN."""
        return "AROA" + b32encode(sha256(self.arn.encode()).digest()[:10]).decode()

    def trusts(self, principal: str) -> bool:
        """Whether the role may be taken on by a client key, or by sessions of a role."""
        return any(like(pattern, principal) for pattern in self.principals)

    def accepts_external_id(self, given: str | None) -> bool:
        """Whether that is the external id that is asked for. Each is compared, in constant time."""
        if not self.external_ids:
            return True
        octets = (given or "").encode()
        matches = [hmac.compare_digest(octets, wanted.encode()) for wanted in self.external_ids]
        return bool(given) and any(matches)

    def trusts_claims(self, claims: Mapping[str, Any]) -> bool:
        """Whether a web identity token's claims are those that are asked for."""
        return bool(self.web_identity) and all(
            any(like(pattern, value) for pattern in patterns for value in _texts(claims.get(name)))
            for name, patterns in self.web_identity.items()
        )

    def may_be_tagged(self, key: str) -> bool:
        """Whether callers may set the tag of this key."""
        return any(like(pattern, key) for pattern in self.tags)


@dataclass(frozen=True, slots=True)
class StsSettings:
    """What the service needs to know. Times are in seconds; `max_user_seconds` is for GetSessionToken."""

    secrets: tuple[str, ...] = field(repr=False)
    roles: Mapping[str, Role]
    account: str = "0" * 12
    min_seconds: int = MIN_SECONDS
    max_user_seconds: int = DEFAULT_USER_SECONDS


def session_policy(text: str) -> str:
    """A policy that a caller narrows a session with, as it is kept: JSON without blanks.

    Raises:
        StsError: MalformedPolicyDocument or PackedPolicyTooLarge (400).
    """
    if len(text) > MAX_POLICY_CHARS:
        raise StsError("PackedPolicyTooLarge", f"A session policy has up to {MAX_POLICY_CHARS} characters.")
    try:
        read_policy(text, principals=False)
    except PolicyError as error:
        raise StsError("MalformedPolicyDocument", f"The session policy: {error.problems[0]}") from None
    return json.dumps(json.loads(text), separators=(",", ":"))


def role_policy(document: object) -> str:
    """The policy of a role as it is kept: JSON without blanks.

    Raises:
        ValueError: it is none, or has a mistake.
    """
    written = document if isinstance(document, str | Mapping) else ""
    try:
        read_policy(written, principals=False)
    except PolicyError as error:
        raise ValueError(error.problems[0]) from None
    return json.dumps(json.loads(written) if isinstance(written, str) else written, separators=(",", ":"))


def _texts(claim: Any) -> tuple[str, ...]:
    """The texts of a claim: one, or those of a list. Numbers and truth values are no texts."""
    values = claim if isinstance(claim, list | tuple) else (claim,)
    return tuple(value for value in values if isinstance(value, str))
