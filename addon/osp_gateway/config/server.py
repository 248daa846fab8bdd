"""`ProxyServerConfig`: the arguments that an operator gives."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from osp_gateway.config.mistakes import ConfigError, callable_problem, contradictions, follows, validate
from osp_gateway.config.settings import Settings, make_settings

log = logging.getLogger(__name__)


class ProxyServerConfig:
    """The configuration of a gateway; the constructor takes keyword arguments.

    Args:
        cos_map: bucket name or glob -> dict with `host`, `port`, optional `region`, `apikey`, `access_key`,
            `secret_key`, `ttl` (seconds), `addressing_style`, `is_tls_enabled`, `bucket`, `verify` (a bool, or a
            PEM file with the authorities for this backend), `payload`, `prefix`, `read_only`, `aws`, `credentials`,
            `profile`, `role_arn`, `external_id`, `role_session_name`.
        bucket_creds_fetcher: `(token, bucket)` -> credentials, for buckets that have none in the map.
        validator: `(token, bucket)` or `(token, bucket, request)` -> bool.
        http_port: port for plain HTTP; 0 lets the kernel choose.
        https_port: port for TLS.
        threads: accepted for compatibility; one event loop serves all connections.
        verify: False turns certificate checks towards backends off, where a bucket does not say otherwise.
        hmac_keystore: list of dicts with `access_key`, `secret_key` and optionally `session_token`, `buckets` (globs).
        hmac_fetcher: `(access_key)` or `(access_key, session_token)` -> secret or None.
        skip_signature_validation: True lets unsigned and wrongly signed requests through to the validator.
        max_presign_url_usage_attempts: how often a presigned URL may be used: an older name of `presign`'s `max_uses`.
        server_name: the Server header of the gateway's own answers.
        cert_path: PEM certificate chain for TLS; default `TLS_CERT_PATH` from the environment.
        key_path: its PEM key; default `TLS_KEY_PATH`.
        listen_host: address to listen on; default all.
        domains: domains below which the first label names a bucket; default `osp.localhost`.
        allow_anonymous: True asks the validator about unsigned requests, with an empty token, and forwards those that
            it allows without a signature.
        connect_timeout: seconds for a connection to a backend, TLS handshake included; default 10.
        read_timeout: seconds without any progress after which a request is given up; default 60.
        allow_sigv2: True verifies Signature V2, which is refused otherwise.
        explain_errors: True tells clients, in the error, what was signed here and why their signature differs.
        limits: dict of bounds on what clients may send; see `limits.Limits`.
        shutdown_grace: seconds that requests in flight have to finish after SIGTERM; default 30.
        admin_port: port for `/-/health`, `/-/ready` and `/metrics`; default none, 0 lets the kernel choose.
        admin_host: address of that port; default 127.0.0.1.
        access_log: file for a line of JSON for each request, or `-` for standard output; default none.
        client_ca_path: PEM bundle of authorities: clients need a certificate that one of them signed.
        client_certificates: "optional" lets clients without a certificate in; default "required".
        authorizer: `(request)` -> `Decision` or bool; where there is a validator, too, both must allow.
        backend_credentials: name -> dict with `access_key` and `secret_key` (and `session_token`), or `apikey`; a
            `Decision` may name them, to be used instead of the bucket's own.
        cache_url: `redis://`, `rediss://` or `unix://` of a Redis or Valkey server, where gateways that have the same
            configuration share what they have found out; default none.
        cache_secret: what these gateways alone know, 16 characters or more: entries are sealed with it.
        cache_namespace: begins the names of entries; default `osp`.
        sts: dict with `secret` (32 characters or more, or a list of which the first one seals) and `roles`: the gateway
            answers STS calls and takes the temporary keys that it gives; see `StsModel` and `RoleModel`.
        presign: dict with `max_lifetime` (seconds) and `max_uses` of presigned URLs.
        revoked_keys: patterns of access keys, role ARNs and temporary keys that are refused, or dicts with `key` and
            `issued_before` (a time): sessions that are older are refused.
        keys_env: prefix of environment variables that hold `ACCESS_KEY:SECRET_KEY`; default none.
        keys_file: .toml or .json file with client keys, read again when it changes.
        keys_url: HTTP service that is asked for client keys that nothing else knows.
        keys_url_token: bearer token for that service.
        jwt: dict, or list of dicts, one per issuer whose JSON Web Tokens are believed: `issuer`, `audience`,
            `algorithms`, one of `jwks_url`, `public_keys` and `secret`, and what its bearers may do, `grants`.
        policies: list of IAM policy documents (dicts, or paths of JSON files), or of dicts with `principals` (patterns
            of callers' names) and `document`; where there is a validator or an authorizer, too, all must allow.
        opa: dict with the `url` of a decision of Open Policy Agent, and optionally `token`, `timeout` and `max_ttl`.
        cedar: dict with the paths `policies`, and optionally `schema_path` and `entities` (JSON); extra `cedar`.
        default_bucket: the bucket in `cos_map` that stands in for all names which are not there; default none.
        before_send: `(request)`, a `BackendRequest`: may change its headers and query; False refuses it.
        after_response: `(request, response)`, a `BackendResponse`: may change the headers for the client.

    Raises:
        ConfigError: with one line per mistake.
    """

    settings: Settings

    def __init__(
        self,
        cos_map: Mapping[str, Mapping[str, Any]],
        bucket_creds_fetcher: Callable[..., Any] | None = None,
        validator: Callable[..., Any] | None = None,
        http_port: int | None = None,
        https_port: int | None = None,
        threads: int | None = None,
        verify: bool | None = None,
        hmac_keystore: Sequence[Mapping[str, Any]] | None = None,
        skip_signature_validation: bool | None = None,
        hmac_fetcher: Callable[..., Any] | None = None,
        max_presign_url_usage_attempts: int | None = None,
        server_name: str | None = None,
        cert_path: str | os.PathLike[str] | None = None,
        key_path: str | os.PathLike[str] | None = None,
        listen_host: str | None = None,
        domains: Sequence[str] | None = None,
        allow_anonymous: bool | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        allow_sigv2: bool | None = None,
        explain_errors: bool | None = None,
        limits: Mapping[str, Any] | None = None,
        shutdown_grace: float | None = None,
        admin_port: int | None = None,
        admin_host: str | None = None,
        access_log: str | os.PathLike[str] | None = None,
        client_ca_path: str | os.PathLike[str] | None = None,
        client_certificates: str | None = None,
        authorizer: Callable[..., Any] | None = None,
        backend_credentials: Mapping[str, Mapping[str, Any]] | None = None,
        cache_url: str | None = None,
        cache_secret: str | None = None,
        cache_namespace: str | None = None,
        sts: Mapping[str, Any] | None = None,
        presign: Mapping[str, Any] | None = None,
        revoked_keys: Sequence[str | Mapping[str, Any]] | None = None,
        keys_env: str | None = None,
        keys_file: str | os.PathLike[str] | None = None,
        keys_url: str | None = None,
        keys_url_token: str | None = None,
        jwt: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        policies: Sequence[Any] | None = None,
        opa: Mapping[str, Any] | None = None,
        cedar: Mapping[str, Any] | None = None,
        default_bucket: str | None = None,
        before_send: Callable[..., Any] | None = None,
        after_response: Callable[..., Any] | None = None,
    ) -> None:
        written = {
            "cos_map": without_none(cos_map),
            "hmac_keystore": present_keys(hmac_keystore),
            "http_port": http_port,
            "https_port": https_port,
            "threads": threads,
            "verify": verify,
            "skip_signature_validation": skip_signature_validation,
            "max_presign_url_usage_attempts": max_presign_url_usage_attempts,
            "server_name": server_name,
            "cert_path": cert_path or os.environ.get("TLS_CERT_PATH") or None,
            "key_path": key_path or os.environ.get("TLS_KEY_PATH") or None,
            "listen_host": listen_host,
            "domains": domains,
            "allow_anonymous": allow_anonymous,
            "connect_timeout": connect_timeout,
            "read_timeout": read_timeout,
            "allow_sigv2": allow_sigv2,
            "explain_errors": explain_errors,
            "limits": limits,
            "shutdown_grace": shutdown_grace,
            "admin_port": admin_port,
            "admin_host": admin_host,
            "access_log": os.fspath(access_log) if isinstance(access_log, os.PathLike) else access_log,
            "client_ca_path": client_ca_path,
            "client_certificates": client_certificates,
            "backend_credentials": backend_credentials,
            "cache_url": cache_url,
            "cache_secret": cache_secret,
            "cache_namespace": cache_namespace,
            "sts": sts,
            "presign": presign,
            "revoked_keys": revoked_keys,
            "keys_env": keys_env,
            "keys_file": keys_file,
            "keys_url": keys_url,
            "keys_url_token": keys_url_token,
            "jwt": [jwt] if isinstance(jwt, Mapping) else jwt,
            "policies": policies,
            "opa": opa,
            "cedar": cedar,
            "default_bucket": default_bucket,
        }
        callables = {
            "authorizer": (authorizer, 1, 1),
            "bucket_creds_fetcher": (bucket_creds_fetcher, 2, 2),
            "validator": (validator, 2, 3),
            "hmac_fetcher": (hmac_fetcher, 1, 2),
            "before_send": (before_send, 1, 1),
            "after_response": (after_response, 2, 2),
        }
        problems = [p for name, spec in callables.items() if (p := callable_problem(name, *spec))]
        model, wrong_fields = validate({k: v for k, v in written.items() if v is not None})
        found = contradictions(model, bucket_creds_fetcher, validator or authorizer, hmac_fetcher)
        problems = wrong_fields + problems + [line for line in found if not follows(line, wrong_fields)]
        if problems:
            raise ConfigError(problems)
        settings = make_settings(model, bucket_creds_fetcher, validator, hmac_fetcher, authorizer)
        self.settings = replace(settings, before_send=before_send, after_response=after_response)
        if self.settings.skip_signature_validation:
            _warn_loudly()

    def __repr__(self) -> str:
        """Without secrets."""
        return f"ProxyServerConfig({len(self.settings.routes)} buckets)"


def without_none(cos_map: object) -> object:
    """The map without fields that are None: `os.getenv` of an unset variable means "not given"."""
    if not isinstance(cos_map, Mapping):
        return cos_map
    return {
        name: {k: v for k, v in entry.items() if v is not None} if isinstance(entry, Mapping) else entry
        for name, entry in cos_map.items()
    }


def present_keys(keystore: object) -> object:
    """The keystore without entries in which neither key nor secret is set."""
    if keystore is None or isinstance(keystore, str) or not isinstance(keystore, Sequence):
        return keystore
    present = []
    for number, entry in enumerate(keystore):
        if isinstance(entry, Mapping) and entry and all(value is None for value in entry.values()):
            log.warning("hmac_keystore[%d]: neither access_key nor secret_key is set, ignored", number)
        else:
            present.append(entry)
    return present


def _warn_loudly() -> None:
    line = "!" * 100
    log.warning(
        "\n%s\n!! skip_signature_validation is on: ANYONE can send requests as ANY access key.\n"
        "!! Signatures are not checked. Never use this outside of development.\n%s",
        line,
        line,
    )
