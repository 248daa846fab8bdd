"""A valid configuration, immutable."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osp_gateway.access.cedar import Cedar, read_cedar
from osp_gateway.access.jwt.model import IssuerModel
from osp_gateway.access.key_sources import KeySources, key_sources
from osp_gateway.access.keys_model import revoked
from osp_gateway.access.opa import Opa
from osp_gateway.access.policy import Attached
from osp_gateway.access.policy.settings import attached_policies
from osp_gateway.access.revocation import Revoked
from osp_gateway.access.sts.model import make_sts, role_buckets
from osp_gateway.access.sts.roles import StsSettings
from osp_gateway.asking import ServiceUrl
from osp_gateway.backends.iam import DEFAULT_URL
from osp_gateway.backends.routes import BucketRoute, CredentialSource, Endpoint
from osp_gateway.callables import positional_parameters
from osp_gateway.config.backends import aws_options, source_of
from osp_gateway.config.model import BucketModel, ServerModel, speaks_tls
from osp_gateway.limits import Limits
from osp_gateway.s3.address import AddressingStyle
from osp_gateway.sigv4.keys import KeyPair


@dataclass(frozen=True, slots=True)
class Listener:
    """A port to listen on."""

    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """A valid configuration.

    `keystore` maps client access keys to their secrets and session tokens; `key_buckets` maps them to the bucket
    patterns listed with them; `cert_path` and `key_path` are PEM files for TLS listeners, or None for a certificate
    that mitmproxy makes; `client_ca_path` a PEM bundle of the authorities that sign clients' certificates, which
    clients must have unless `client_certificates_optional`; `access_log` a file's path, or `-` for standard output.
    Timeouts are in seconds.
    """

    routes: tuple[BucketRoute, ...]
    keystore: Mapping[str, KeyPair]
    key_buckets: Mapping[str, tuple[str, ...]]
    bucket_creds_fetcher: Callable[..., Any] | None = field(repr=False)
    validator: Callable[..., Any] | None = field(repr=False)
    validator_takes_request: bool
    authorizer: Callable[..., Any] | None = field(repr=False)
    backend_credentials: Mapping[str, CredentialSource] = field(repr=False)
    cache_url: str | None = field(repr=False)
    cache_secret: str = field(repr=False)
    cache_namespace: str
    hmac_fetcher: Callable[..., Any] | None = field(repr=False)
    hmac_fetcher_takes_token: bool
    listeners: tuple[Listener, ...]
    listen_host: str
    cert_path: Path | None
    key_path: Path | None
    skip_signature_validation: bool
    allow_anonymous: bool
    connect_timeout: float
    read_timeout: float
    max_presign_uses: int | None
    server_name: str
    domains: tuple[str, ...]
    iam_url: ServiceUrl
    allow_sigv2: bool
    explain_errors: bool
    limits: Limits
    shutdown_grace: float
    admin_port: int | None
    admin_host: str
    access_log: str | None
    client_ca_path: Path | None
    client_certificates_optional: bool
    policies: tuple[Attached, ...]
    opa: Opa | None
    cedar: Cedar | None
    sts: StsSettings | None
    max_presign_lifetime: int | None
    revoked: tuple[Revoked, ...]
    key_sources: KeySources
    issuers: tuple[IssuerModel, ...]
    default_bucket: str | None = None
    before_send: Callable[..., Any] | None = field(default=None, repr=False)
    after_response: Callable[..., Any] | None = field(default=None, repr=False)


def make_settings(
    model: ServerModel,
    fetcher: Callable[..., Any] | None,
    validator: Callable[..., Any] | None,
    hmac_fetcher: Callable[..., Any] | None,
    authorizer: Callable[..., Any] | None,
) -> Settings:
    """The settings of a configuration in which no mistake was found."""
    named = {
        name: source
        for name, entry in model.backend_credentials.items()
        if (source := source_of(entry, {})) is not None
    }
    ports = ((model.http_port, False), (model.https_port, True))
    return Settings(
        routes=tuple(_route(name, bucket, model.verify, named) for name, bucket in model.cos_map.items()),
        keystore={
            key.access_key: KeyPair(key.access_key, key.secret_key, key.session_token) for key in model.hmac_keystore
        },
        key_buckets={
            **{key.access_key: key.buckets for key in model.hmac_keystore if key.buckets is not None},
            **role_buckets(model.sts),
        },
        bucket_creds_fetcher=fetcher,
        validator=validator,
        validator_takes_request=_takes(validator, 3),
        authorizer=authorizer,
        backend_credentials=named,
        cache_url=model.cache_url,
        cache_secret=model.cache_secret or "",
        cache_namespace=model.cache_namespace,
        hmac_fetcher=hmac_fetcher,
        hmac_fetcher_takes_token=_takes(hmac_fetcher, 2),
        listeners=tuple(Listener(port, tls) for port, tls in ports if port is not None),
        listen_host=model.listen_host,
        cert_path=model.cert_path,
        key_path=model.key_path,
        skip_signature_validation=model.skip_signature_validation,
        allow_anonymous=model.allow_anonymous,
        connect_timeout=model.connect_timeout,
        read_timeout=model.read_timeout,
        max_presign_uses=model.presign.max_uses or model.max_presign_url_usage_attempts,
        server_name=model.server_name,
        domains=tuple(domain.lower() for domain in model.domains),
        iam_url=ServiceUrl(os.environ.get("IBM_IAM_URL") or DEFAULT_URL),
        allow_sigv2=model.allow_sigv2,
        explain_errors=model.explain_errors,
        limits=Limits(**model.limits.model_dump()),
        shutdown_grace=model.shutdown_grace,
        admin_port=model.admin_port,
        admin_host=model.admin_host,
        access_log=model.access_log,
        client_ca_path=model.client_ca_path,
        client_certificates_optional=model.client_certificates == "optional",
        sts=None if model.sts is None else make_sts(model.sts),
        max_presign_lifetime=model.presign.max_lifetime,
        revoked=revoked(model.revoked_keys),
        key_sources=key_sources(model.keys_env, model.keys_file, model.keys_url, model.keys_url_token)[0],
        issuers=model.jwt,
        policies=attached_policies(model.policies),
        opa=None if model.opa is None else Opa(**model.opa.model_dump()),
        cedar=None if model.cedar is None else read_cedar(model.cedar)[0],
        default_bucket=model.default_bucket,
    )


def _takes(function: Callable[..., Any] | None, arguments: int) -> bool:
    """Whether an operator's function takes so many positional arguments."""
    if function is None:
        return False
    try:
        return positional_parameters(function)[1] >= arguments
    except (TypeError, ValueError):
        return False


def _route(name: str, bucket: BucketModel, verify: bool, named: Mapping[str, CredentialSource]) -> BucketRoute:
    return BucketRoute(
        pattern=name,
        endpoint=None if bucket.host is None else Endpoint(bucket.host.lower(), bucket.port, speaks_tls(bucket)),
        region=bucket.region,
        style=AddressingStyle(bucket.addressing_style) if bucket.addressing_style else None,
        backend_bucket=bucket.bucket,
        verify=verify if bucket.verify is None else bucket.verify,
        ttl=bucket.ttl,
        credentials=source_of(bucket, named),
        payload=bucket.payload,
        prefix=bucket.prefix or "",
        read_only=bucket.read_only,
        aws=aws_options(name, bucket),
    )
