"""`sts`: what an operator writes about temporary keys, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from osp_gateway.access.sts.roles import (
    DEFAULT_ROLE_SECONDS,
    DEFAULT_USER_SECONDS,
    MAX_ROLE_SECONDS,
    MAX_USER_SECONDS,
    MIN_SECONDS,
    Role,
    StsSettings,
    role_policy,
)
from osp_gateway.fields import Model, not_a_bool

ISSUER: Final = "iss"


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _as_policy(value: object) -> object:
    return None if value is None else role_policy(value)


Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list)]
SomeTexts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list), Field(min_length=1)]
SealingSecret = Annotated[str, Field(min_length=32)]
ExternalId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@:/\-]{2,1224}$")]
RoleArn = Annotated[
    str,
    Field(pattern=r"^arn:aws[a-z\-]{0,16}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/\-]{0,511}[A-Za-z0-9_+=,.@\-]{1,64}$"),
]


LeastSeconds = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=MIN_SECONDS)]
RoleSeconds = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=MAX_ROLE_SECONDS)]
UserSeconds = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=MAX_USER_SECONDS)]


class RoleModel(Model):
    """One entry of `roles`."""

    principals: Texts = ()
    web_identity: dict[Annotated[str, Field(min_length=1)], SomeTexts] = Field(default_factory=dict)
    external_id: Annotated[tuple[ExternalId, ...], BeforeValidator(_as_list)] | None = None
    max_duration: RoleSeconds = DEFAULT_ROLE_SECONDS
    policy: Annotated[str | None, BeforeValidator(_as_policy)] = None
    buckets: tuple[str, ...] | None = None
    tags: Texts = ()
    claims: Texts = (ISSUER, "sub")


class StsModel(Model):
    """`sts`. Nothing in it is required for pydantic: `mistakes_in` says what is missing."""

    secret: Annotated[tuple[SealingSecret, ...], BeforeValidator(_as_list)] = ()
    roles: dict[RoleArn, RoleModel] = Field(default_factory=dict)
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")] = "0" * 12
    min_duration: LeastSeconds = MIN_SECONDS
    max_duration: UserSeconds = DEFAULT_USER_SECONDS


def mistakes_in(sts: StsModel, client_keys: frozenset[str], *, verifies_tokens: bool) -> Iterator[str]:
    """Mistakes that no single field shows, a line for each. `verifies_tokens`: there is a `jwt`."""
    if not sts.secret:
        yield "sts.secret: missing, session tokens are sealed with it: expected 32 characters or more"
    if sts.min_duration > sts.max_duration:
        yield "sts.max_duration: expected no less than min_duration"
    for arn, role in sts.roles.items():
        place = f"sts.roles[{arn!r}]"
        if arn in client_keys:
            yield f"{place}: a client key in hmac_keystore has this name, expected another"
        if not role.principals and not role.web_identity:
            yield f"{place}: nobody may take it on, expected principals or web_identity"
        if role.external_id is not None and not (role.principals and role.external_id):
            yield f"{place}.external_id: without principals that would give it, expected both"
        if role.web_identity and (ISSUER not in role.web_identity or len(role.web_identity) < 2):
            yield f"{place}.web_identity: anybody whom an issuer knows, expected iss and a condition on another claim"
        if role.web_identity and not verifies_tokens:
            yield f"{place}.web_identity: nobody verifies the tokens, expected jwt"
        if role.max_duration < sts.min_duration:
            yield f"{place}.max_duration: expected no less than sts.min_duration"


def make_sts(sts: StsModel) -> StsSettings:
    """The settings of a section in which no mistake was found."""
    return StsSettings(
        secrets=sts.secret,
        roles=MappingProxyType({arn: _role(arn, role) for arn, role in sts.roles.items()}),
        account=sts.account,
        min_seconds=sts.min_duration,
        max_user_seconds=sts.max_duration,
    )


def role_buckets(sts: StsModel | None) -> dict[str, tuple[str, ...]]:
    """The bucket patterns that are listed with roles, as others are with client keys."""
    roles = sts.roles if sts is not None else {}
    return {arn: role.buckets for arn, role in roles.items() if role.buckets is not None}


def _role(arn: str, role: RoleModel) -> Role:
    return Role(
        arn=arn,
        principals=role.principals,
        web_identity=MappingProxyType(dict(role.web_identity)),
        external_ids=role.external_id or (),
        max_seconds=role.max_duration,
        policy=role.policy,
        tags=role.tags,
        claims=role.claims,
    )
