"""`jwt` in the configuration: whose tokens are believed, and what their bearers may do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from osp_gateway.access.jwt import keys
from osp_gateway.access.jwt.claims import ClaimPath, Template, claim_path
from osp_gateway.access.jwt.grants import Grant, action_pattern
from osp_gateway.access.jwt.keysets import Published
from osp_gateway.asking import ServiceUrl, address_problem
from osp_gateway.fields import AtLeastZero, Model, Seconds

MAX_LEEWAY_SECONDS: Final = 300.0
MAX_KEY_FILE_OCTETS: Final = 64 * 1024

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
IssuerName = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[\x21-\x22\x24-\x7e]+$")]
"""Without `#`, which stands between it and a bearer's name."""
Text = Annotated[str, Field(min_length=1, max_length=1024)]


def _listed(value: object) -> object:
    """One as a list of one."""
    return [value] if isinstance(value, str | int) else value


def _path(value: object) -> object:
    if not isinstance(value, str | list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("expected a claim's name, or a list of names for one within others")
    return claim_path(value if isinstance(value, str) else list(value))


def _bucket(written: str) -> str:
    template = Template(written)
    if len(template.paths) > 1 or (template.paths and not {"*", "?"}.isdisjoint("".join(template.literals))):
        raise ValueError("expected a bucket's name with * and ?, or one with a single ${CLAIM} and neither of them")
    return written


def _prefix(written: str) -> str:
    template = Template(written)
    if "*" in "".join(template.literals) or "?" in "".join(template.literals):
        raise ValueError("expected a prefix as it is, it takes neither * nor ?")
    if any("/" not in literal for literal in template.literals[1:]):
        raise ValueError('expected "/" after each ${CLAIM}, or bearers would reach each other\'s keys')
    return written


def _action(written: str) -> str:
    if not written.removeprefix("s3:").replace("*", "").replace("?", "").isalnum() and written not in ("*", "s3:*"):
        raise ValueError("expected an operation like GetObject, or an action like s3:GetObject, with * and ?")
    return written


Path_ = Annotated[ClaimPath, BeforeValidator(_path)]


class GrantModel(Model):
    """One entry of `grants`."""

    claim: Path_ | None = None
    value: Annotated[tuple[str | int | bool, ...], BeforeValidator(_listed), Field(min_length=1)] | None = None
    buckets: Annotated[
        tuple[Annotated[Text, AfterValidator(_bucket)], ...], BeforeValidator(_listed), Field(min_length=1)
    ]
    prefixes: (
        Annotated[tuple[Annotated[Text, AfterValidator(_prefix)], ...], BeforeValidator(_listed), Field(min_length=1)]
        | None
    ) = None
    actions: Annotated[
        tuple[Annotated[Text, AfterValidator(_action)], ...], BeforeValidator(_listed), Field(min_length=1)
    ]

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.claim is None) != (self.value is None):
            raise ValueError("claim and value go together")
        return self

    def grant(self) -> Grant:
        """As the authorizer wants it."""
        return Grant(
            claim=self.claim,
            values=frozenset((type(value), value) for value in self.value or ()),
            buckets=tuple(map(Template, self.buckets)),
            prefixes=tuple(map(Template, self.prefixes or ())),
            actions=tuple(map(action_pattern, self.actions)),
        )


class IssuerModel(Model):
    """One entry of `jwt`."""

    issuer: IssuerName
    audience: Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(_listed), Field(min_length=1)] = ("RS256", "ES256")
    jwks_url: Annotated[Text, AfterValidator(ServiceUrl)] | None = None
    jwks_max_age: Seconds = 24 * 3600.0
    allow_http: bool = False
    public_keys: (
        Annotated[tuple[str | Path | dict[str, Any], ...], BeforeValidator(_listed), Field(min_length=1)] | None
    ) = Field(None, repr=False)
    secret: Annotated[str, Field(min_length=1)] | None = Field(None, repr=False)
    name_claim: Path_ = ("sub",)
    leeway: Annotated[AtLeastZero, Field(le=MAX_LEEWAY_SECONDS)] = 30.0
    secret_key: Annotated[str, Field(min_length=16, pattern=r"^[\x21-\x7e]+$")] | None = Field(None, repr=False)
    bearer: Literal["tls", "any", "never"] = "tls"
    grants: tuple[GrantModel, ...] = ()
    _listed_keys: tuple[keys.VerificationKey, ...] = PrivateAttr(())

    @field_validator("public_keys", mode="before")
    @classmethod
    def _one_key(cls, value: object) -> object:
        return [value] if isinstance(value, dict | Path) else value

    @model_validator(mode="after")
    def _keys_that_fit(self) -> Self:
        sources = [self.jwks_url, self.public_keys, self.secret]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("expected one of jwks_url, public_keys and secret")
        symmetric = [name for name in self.algorithms if name in keys.HMAC]
        if self.secret is not None and len(symmetric) != len(self.algorithms):
            raise ValueError("with a secret, expected algorithms of HS256, HS384, HS512 and no others")
        if self.secret is None and symmetric:
            raise ValueError(
                "HS256, HS384 and HS512 need a secret: with a public key, whoever has it could make tokens"
            )
        if self.jwks_url is not None and (problem := address_problem(self.jwks_url, allow_http=self.allow_http)):
            raise ValueError(f"jwks_url: {problem}")
        self._listed_keys = self._read_keys()
        return self

    def _read_keys(self) -> tuple[keys.VerificationKey, ...]:
        if self.secret is not None:
            return (_read("secret", keys.of_secret, self.secret),)
        read = tuple(_public_key(f"public_keys[{number}]", key) for number, key in enumerate(self.public_keys or ()))
        if read and not any(key.algorithms & set(self.algorithms) for key in read):
            raise ValueError("public_keys: none is good for one of the algorithms")
        return read

    @property
    def listed_keys(self) -> tuple[keys.VerificationKey, ...]:
        """The keys that are in the configuration."""
        return self._listed_keys

    @property
    def published(self) -> Published | None:
        """Where keys are published."""
        return None if self.jwks_url is None else Published(ServiceUrl(self.jwks_url), self.jwks_max_age)


def _issuers(value: object) -> object:
    """One issuer as a list of one."""
    return [value] if isinstance(value, dict) else value


def _each_once(issuers: Sequence[IssuerModel]) -> Sequence[IssuerModel]:
    names = [issuer.issuer for issuer in issuers]
    if len(set(names)) != len(names):
        raise ValueError("an issuer is listed twice")
    return issuers


Issuers = Annotated[tuple[IssuerModel, ...], BeforeValidator(_issuers), AfterValidator(_each_once)]


def _public_key(place: str, written: str | Path | dict[str, Any]) -> keys.VerificationKey:
    if isinstance(written, dict):
        return _read(place, keys.of_jwk, written)
    if isinstance(written, str) and "-----BEGIN" in written:
        return _read(place, keys.of_pem, written)
    try:
        with Path(written).open("rb") as file:
            text = file.read(MAX_KEY_FILE_OCTETS).decode()
    except (OSError, ValueError):
        raise ValueError(f"{place}: no such file, expected a PEM file, PEM itself or a JWK") from None
    return _read(place, keys.of_pem, text)


def _read(place: str, reader: Any, written: Any) -> keys.VerificationKey:
    try:
        key: keys.VerificationKey = reader(written)
    except keys.UnusableKey as error:
        raise ValueError(f"{place}: {error}") from None
    return key
