"""The shape of what an operator writes: fields, their types and their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from osp_gateway.access.cedar import CedarModel
from osp_gateway.access.jwt.model import Issuers
from osp_gateway.access.key_model import KeyModel
from osp_gateway.access.keys_model import NO_PRESIGN, PresignModel, RevokedEntry
from osp_gateway.access.opa import OpaModel
from osp_gateway.access.sts.model import StsModel
from osp_gateway.backends.routes import PayloadMode
from osp_gateway.fields import (
    AnyCount,
    AtLeastZero,
    BackendBucket,
    Count,
    Host,
    KeyPrefix,
    ListenPort,
    Model,
    Port,
    Region,
    RoleArn,
    Seconds,
    Secret,
    SessionName,
    Trust,
)
from osp_gateway.limits import DEFAULT_LIMITS

DEFAULT_TTL_SECONDS: Final = 300
DEFAULT_DOMAINS: Final = ("osp.localhost",)


def _options(value: object) -> object:
    """`True` stands for a dict without any options, `False` for none."""
    return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


class AwsModel(Model):
    """`aws` of a bucket: how it is reached there."""

    dualstack: bool = False
    fips: bool = False
    accelerate: bool = False


class BucketModel(Model):
    """One entry of `cos_map`."""

    host: Host | None = None
    port: Port = 443
    region: Annotated[str, Field(min_length=1)] | None = None
    api_key: Secret | None = Field(None, validation_alias=AliasChoices("apikey", "api_key"))
    access_key: Secret | None = Field(None, validation_alias=AliasChoices("access_key", "accessKey"))
    secret_key: Secret | None = Field(None, validation_alias=AliasChoices("secret_key", "secretKey"))
    ttl: AtLeastZero = Field(DEFAULT_TTL_SECONDS, validation_alias=AliasChoices("ttl", "time-to-live", "time_to_live"))
    addressing_style: Literal["virtual", "path"] | None = None
    is_tls_enabled: bool | None = None
    bucket: BackendBucket | None = None
    prefix: KeyPrefix | None = None
    read_only: bool = False
    aws: Annotated[AwsModel | None, BeforeValidator(_options)] = None
    credentials: Annotated[str, Field(min_length=1)] | None = None
    profile: Secret | None = None
    role_arn: RoleArn | None = None
    external_id: Secret | None = None
    role_session_name: SessionName | None = None
    verify: Trust | None = None
    payload: PayloadMode = "auto"


class CredentialsModel(Model):
    """One entry of `backend_credentials`."""

    api_key: Secret | None = Field(None, validation_alias=AliasChoices("apikey", "api_key"))
    access_key: Secret | None = Field(None, validation_alias=AliasChoices("access_key", "accessKey"))
    secret_key: Secret | None = Field(None, validation_alias=AliasChoices("secret_key", "secretKey"))
    session_token: Secret | None = None
    credentials: Literal["botocore"] | None = None
    profile: Secret | None = None
    role_arn: RoleArn | None = None
    external_id: Secret | None = None
    role_session_name: SessionName | None = None
    region: Region | None = None


class LimitsModel(Model):
    """`limits`."""

    head_octets: Count = DEFAULT_LIMITS.head_octets
    head_fields: Count = DEFAULT_LIMITS.head_fields
    url_octets: Count = DEFAULT_LIMITS.url_octets
    head_timeout: Seconds = DEFAULT_LIMITS.head_timeout
    connections_per_address: AnyCount = DEFAULT_LIMITS.connections_per_address
    requests_per_connection: AnyCount = DEFAULT_LIMITS.requests_per_connection
    requests_in_flight: AnyCount = DEFAULT_LIMITS.requests_in_flight
    min_rate: AnyCount = DEFAULT_LIMITS.min_rate
    max_chunk: Count = DEFAULT_LIMITS.max_chunk
    hold: Count = DEFAULT_LIMITS.hold


class ServerModel(Model):
    """All of it, but for the operator's functions."""

    cos_map: dict[Annotated[str, Field(min_length=1)], BucketModel]
    default_bucket: Annotated[str, Field(min_length=1)] | None = None
    hmac_keystore: tuple[KeyModel, ...] = ()
    backend_credentials: dict[Annotated[str, Field(min_length=1)], CredentialsModel] = Field(default_factory=dict)
    http_port: ListenPort | None = None
    https_port: ListenPort | None = None
    listen_host: str = ""
    cert_path: Path | None = None
    key_path: Path | None = None
    threads: Count = 1
    verify: bool = True
    skip_signature_validation: bool = False
    allow_anonymous: bool = False
    connect_timeout: Seconds = 10.0
    read_timeout: Seconds = 60.0
    max_presign_url_usage_attempts: Count | None = None
    server_name: Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")] = "osp"
    domains: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.\-]*$")], ...] = DEFAULT_DOMAINS
    allow_sigv2: bool = False
    explain_errors: bool = False
    limits: LimitsModel = LimitsModel()
    shutdown_grace: AtLeastZero = 30.0
    admin_port: ListenPort | None = None
    admin_host: Host = "127.0.0.1"
    access_log: Annotated[str, Field(min_length=1)] | None = None
    client_ca_path: Path | None = None
    client_certificates: Literal["required", "optional"] | None = None
    cache_url: Annotated[str, Field(pattern=r"^(redis|rediss|unix)://")] | None = None
    cache_secret: Annotated[str, Field(min_length=16)] | None = None
    policies: tuple[Any, ...] = ()
    opa: OpaModel | None = None
    cedar: CedarModel | None = None
    cache_namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:\-]+$")] = "osp"
    sts: StsModel | None = None
    presign: PresignModel = NO_PRESIGN
    revoked_keys: tuple[RevokedEntry, ...] = ()
    keys_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    keys_file: Path | None = None
    keys_url: Annotated[str, Field(min_length=1)] | None = None
    keys_url_token: Secret | None = None
    jwt: Issuers = ()


def speaks_tls(bucket: BucketModel) -> bool:
    """Whether a bucket's store speaks TLS: port 443 does, where nothing is said."""
    return bucket.port == 443 if bucket.is_tls_enabled is None else bucket.is_tls_enabled
