"""What an operator writes, checked: `ProxyServerConfig` in, immutable `Settings` out.

All mistakes are reported at once, one line each, naming the bucket and the field, the type of what was found
(never the value: it may be a secret) and what was expected.
"""

from __future__ import annotations

import difflib
import logging
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from osp_gateway.backends.iam import DEFAULT_URL
from osp_gateway.backends.routes import ApiKey, BucketRoute, Credentials, Endpoint, PayloadMode
from osp_gateway.callables import positional_parameters, required_keywords
from osp_gateway.limits import DEFAULT_LIMITS, Limits
from osp_gateway.s3.address import AddressingStyle
from osp_gateway.sigv4.keys import KeyPair

log = logging.getLogger(__name__)

DEFAULT_TTL_SECONDS: Final = 300
DEFAULT_DOMAINS: Final = ("osp.localhost",)


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` holds one line per mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


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
    clients must have unless `client_certificates_optional`. Timeouts are in seconds.
    """

    routes: tuple[BucketRoute, ...]
    keystore: Mapping[str, KeyPair]
    key_buckets: Mapping[str, tuple[str, ...]]
    bucket_creds_fetcher: Callable[..., Any] | None = field(repr=False)
    validator: Callable[..., Any] | None = field(repr=False)
    validator_takes_request: bool
    authorizer: Callable[..., Any] | None = field(repr=False)
    backend_credentials: Mapping[str, Credentials] = field(repr=False)
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
    iam_url: str
    allow_sigv2: bool
    explain_errors: bool
    limits: Limits
    shutdown_grace: float
    admin_port: int | None
    admin_host: str
    client_ca_path: Path | None
    client_certificates_optional: bool


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


_Port = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=1, le=65535)]
_ListenPort = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=0, le=65535)]
_AtLeastZero = Annotated[float, BeforeValidator(_not_a_bool), Field(ge=0, allow_inf_nan=False)]
_Seconds = Annotated[float, BeforeValidator(_not_a_bool), Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=1)]
_AnyCount = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=0)]
_Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\-]+$")]
_BucketName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*$")]
_Secret = Annotated[str, Field(min_length=1, pattern=r"^[\x21-\x7e]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class _Bucket(_Model):
    host: _Host | None = None
    port: _Port = 443
    region: Annotated[str, Field(min_length=1)] | None = None
    api_key: _Secret | None = Field(None, validation_alias=AliasChoices("apikey", "api_key"))
    access_key: _Secret | None = Field(None, validation_alias=AliasChoices("access_key", "accessKey"))
    secret_key: _Secret | None = Field(None, validation_alias=AliasChoices("secret_key", "secretKey"))
    ttl: _AtLeastZero = Field(DEFAULT_TTL_SECONDS, validation_alias=AliasChoices("ttl", "time-to-live", "time_to_live"))
    addressing_style: Literal["virtual", "path"] | None = None
    is_tls_enabled: bool | None = None
    bucket: _BucketName | None = None
    verify: bool | Path | None = None
    payload: PayloadMode = "auto"


class _Key(_Model):
    access_key: _Secret = Field(validation_alias=AliasChoices("access_key", "accessKey"))
    secret_key: _Secret = Field(validation_alias=AliasChoices("secret_key", "secretKey"))
    session_token: _Secret | None = None
    buckets: tuple[str, ...] | None = None


class _NamedCredentials(_Model):
    api_key: _Secret | None = Field(None, validation_alias=AliasChoices("apikey", "api_key"))
    access_key: _Secret | None = Field(None, validation_alias=AliasChoices("access_key", "accessKey"))
    secret_key: _Secret | None = Field(None, validation_alias=AliasChoices("secret_key", "secretKey"))
    session_token: _Secret | None = None


class _Limits(_Model):
    head_octets: _Count = DEFAULT_LIMITS.head_octets
    head_fields: _Count = DEFAULT_LIMITS.head_fields
    url_octets: _Count = DEFAULT_LIMITS.url_octets
    head_timeout: _Seconds = DEFAULT_LIMITS.head_timeout
    connections_per_address: _AnyCount = DEFAULT_LIMITS.connections_per_address
    requests_per_connection: _AnyCount = DEFAULT_LIMITS.requests_per_connection
    requests_in_flight: _AnyCount = DEFAULT_LIMITS.requests_in_flight
    min_rate: _AnyCount = DEFAULT_LIMITS.min_rate
    max_chunk: _Count = DEFAULT_LIMITS.max_chunk
    hold: _Count = DEFAULT_LIMITS.hold


class _Server(_Model):
    cos_map: dict[Annotated[str, Field(min_length=1)], _Bucket]
    hmac_keystore: tuple[_Key, ...] = ()
    backend_credentials: dict[Annotated[str, Field(min_length=1)], _NamedCredentials] = Field(default_factory=dict)
    http_port: _ListenPort | None = None
    https_port: _ListenPort | None = None
    listen_host: str = ""
    cert_path: Path | None = None
    key_path: Path | None = None
    threads: _Count = 1
    verify: bool = True
    skip_signature_validation: bool = False
    allow_anonymous: bool = False
    connect_timeout: _Seconds = 10.0
    read_timeout: _Seconds = 60.0
    max_presign_url_usage_attempts: _Count | None = None
    server_name: Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")] = "osp"
    domains: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.\-]*$")], ...] = DEFAULT_DOMAINS
    allow_sigv2: bool = False
    explain_errors: bool = False
    limits: _Limits = _Limits()
    shutdown_grace: _AtLeastZero = 30.0
    admin_port: _ListenPort | None = None
    admin_host: _Host = "127.0.0.1"
    client_ca_path: Path | None = None
    client_certificates: Literal["required", "optional"] | None = None
    cache_url: Annotated[str, Field(pattern=r"^(redis|rediss|unix)://")] | None = None
    cache_secret: Annotated[str, Field(min_length=16)] | None = None
    cache_namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:\-]+$")] = "osp"


class ProxyServerConfig:
    """The configuration of a gateway; the constructor takes keyword arguments.

    Args:
        cos_map: bucket name or glob -> dict with `host`, `port`, optional `region`, `apikey`, `access_key`,
            `secret_key`, `ttl` (seconds), `addressing_style`, `is_tls_enabled`, `bucket`, `verify` (a bool, or a
            PEM file with the authorities for this backend), `payload`.
        bucket_creds_fetcher: `(token, bucket)` -> credentials, for buckets that have none in the map.
        validator: `(token, bucket)` or `(token, bucket, request)` -> bool.
        http_port: port for plain HTTP; 0 lets the kernel choose.
        https_port: port for TLS.
        threads: accepted for compatibility; one event loop serves all connections.
        verify: False turns certificate checks towards backends off, where a bucket does not say otherwise.
        hmac_keystore: list of dicts with `access_key`, `secret_key` and optionally `session_token`, `buckets` (globs).
        hmac_fetcher: `(access_key)` or `(access_key, session_token)` -> secret or None.
        skip_signature_validation: True lets unsigned and wrongly signed requests through to the validator.
        max_presign_url_usage_attempts: how often a presigned URL may be used.
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
        admin_port: port for `/-/health` and `/-/ready`; default none, 0 lets the kernel choose.
        admin_host: address of that port; default 127.0.0.1.
        client_ca_path: PEM bundle of authorities: clients need a certificate that one of them signed.
        client_certificates: "optional" lets clients without a certificate in; default "required".
        authorizer: `(request)` -> `Decision` or bool; where there is a validator, too, both must allow.
        backend_credentials: name -> dict with `access_key` and `secret_key` (and `session_token`), or `apikey`; a
            `Decision` may name them, to be used instead of the bucket's own.
        cache_url: `redis://`, `rediss://` or `unix://` of a Redis or Valkey server, where gateways that have the same
            configuration share what they have found out; default none.
        cache_secret: what these gateways alone know, 16 characters or more: entries are sealed with it.
        cache_namespace: begins the names of entries; default `osp`.

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
        client_ca_path: str | os.PathLike[str] | None = None,
        client_certificates: str | None = None,
        authorizer: Callable[..., Any] | None = None,
        backend_credentials: Mapping[str, Mapping[str, Any]] | None = None,
        cache_url: str | None = None,
        cache_secret: str | None = None,
        cache_namespace: str | None = None,
    ) -> None:
        written = {
            "cos_map": _without_none(cos_map),
            "hmac_keystore": _present_keys(hmac_keystore),
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
            "client_ca_path": client_ca_path,
            "client_certificates": client_certificates,
            "backend_credentials": backend_credentials,
            "cache_url": cache_url,
            "cache_secret": cache_secret,
            "cache_namespace": cache_namespace,
        }
        callables = {
            "authorizer": (authorizer, 1, 1),
            "bucket_creds_fetcher": (bucket_creds_fetcher, 2, 2),
            "validator": (validator, 2, 3),
            "hmac_fetcher": (hmac_fetcher, 1, 2),
        }
        problems = [p for name, spec in callables.items() if (p := _callable_problem(name, *spec))]
        model, wrong_fields = _validate({k: v for k, v in written.items() if v is not None})
        contradictions = _contradictions(model, bucket_creds_fetcher, validator or authorizer, hmac_fetcher)
        problems = wrong_fields + problems + [line for line in contradictions if not _follows(line, wrong_fields)]
        if problems:
            raise ConfigError(problems)
        self.settings = _settings(model, bucket_creds_fetcher, validator, hmac_fetcher, authorizer)
        if self.settings.skip_signature_validation:
            _warn_loudly()

    def __repr__(self) -> str:
        """Without secrets."""
        return f"ProxyServerConfig({len(self.settings.routes)} buckets)"


def _validate(written: dict[str, Any]) -> tuple[_Server, list[str]]:
    """What of the configuration is valid, and a line for each part that is not."""
    try:
        return _Server.model_validate(written), []
    except ValidationError as error:
        problems = error.errors(include_url=False)
    rest = {"cos_map": {}, **written}
    for problem in problems:
        field, *inner = problem["loc"]
        if inner and isinstance(rest.get(str(field)), Mapping):
            rest[str(field)] = {k: v for k, v in rest[str(field)].items() if k != inner[0]}
        else:
            rest.pop(str(field), None)
    model, _ = _validate({"cos_map": {}, **rest})
    return model, [_line(problem) for problem in problems]


def _follows(contradiction: str, wrong_fields: Sequence[str]) -> bool:
    """Whether a contradiction may only be there because a wrong field was left out."""
    about = {"hmac_keystore": "hmac_keystore", "validator": "hmac_keystore", "cert_path": "key_path"}
    about |= {"key_path": "cert_path", "https_port": "http_port", "client_certificates": "client_ca_path"}
    field = contradiction.partition(":")[0]
    return any(wrong.startswith((field, about.get(field, field))) for wrong in wrong_fields)


def _without_none(cos_map: object) -> object:
    """The map without fields that are None: `os.getenv` of an unset variable means "not given"."""
    if not isinstance(cos_map, Mapping):
        return cos_map
    return {
        name: {k: v for k, v in entry.items() if v is not None} if isinstance(entry, Mapping) else entry
        for name, entry in cos_map.items()
    }


def _present_keys(keystore: object) -> object:
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


def _callable_problem(name: str, function: object, least: int, most: int) -> str | None:
    if function is None:
        return None
    wanted = f"{least}" if least == most else f"{least} or {most}"
    if not callable(function):
        return f"{name}: expected a callable with {wanted} positional arguments, got {type(function).__name__}"
    try:
        needed, possible = positional_parameters(function)
    except (TypeError, ValueError):
        return None  # a builtin without a signature: calling it will tell
    if required := required_keywords(function):
        return (
            f"{name}: expected a callable with {wanted} positional arguments, got one that needs {required[0]!r}, too"
        )
    if needed > most or possible < least:
        return f"{name}: expected a callable with {wanted} positional arguments, got one with {needed}"
    return None


def _line(problem: Mapping[str, Any]) -> str:
    """One mistake that pydantic found, in one line."""
    place = _place(problem["loc"])
    kind, found = problem["type"], type(problem["input"]).__name__
    if kind == "missing":
        return f"{place}: missing, expected a value"
    if kind == "extra_forbidden":
        return f"{place}: unknown field{_suggestion(problem['loc'])}"
    expected = {
        "string_pattern_mismatch": "expected other characters (no blanks, control or non-ASCII characters)",
        "int_parsing": "expected an integer",
        "model_type": "expected a dict",
    }.get(kind, problem["msg"].removeprefix("Value error, "))
    return f"{place}: {expected}, got {found}"


def _place(location: Sequence[str | int]) -> str:
    """`cos_map['logs'].port` of a location."""
    text = ""
    for depth, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif depth == 1 and location[0] in ("cos_map", "backend_credentials"):
            text += f"[{part!r}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text


_FIELDS: Final[Mapping[str, type[BaseModel]]] = {
    "cos_map": _Bucket,
    "hmac_keystore": _Key,
    "limits": _Limits,
    "backend_credentials": _NamedCredentials,
}


def _suggestion(location: Sequence[str | int]) -> str:
    model = _FIELDS.get(str(location[0]), _Server)
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(model.model_fields)}"


def _contradictions(
    model: _Server,
    fetcher: Callable[..., Any] | None,
    validator: Callable[..., Any] | None,
    hmac_fetcher: Callable[..., Any] | None,
) -> list[str]:
    """Mistakes that no single field shows."""
    problems = []
    for name, bucket in model.cos_map.items():
        place = f"cos_map[{name!r}]"
        if isinstance(bucket.verify, Path) and not _holds_certificates(bucket.verify):
            problems.append(f"{place}.verify: expected true, false or a PEM file with certificates of authorities")
        if (bucket.access_key is None) != (bucket.secret_key is None):
            missing = "secret_key" if bucket.secret_key is None else "access_key"
            problems.append(f"{place}.{missing}: missing, access_key and secret_key go together")
        if bucket.access_key is not None and bucket.api_key is not None:
            problems.append(f"{place}: both an API key and access_key/secret_key, expected one of them")
        if bucket.access_key is None and bucket.secret_key is None and bucket.api_key is None and fetcher is None:
            problems.append(
                f"{place}: no credentials: expected access_key and secret_key, or apikey, or a bucket_creds_fetcher"
            )
        if bucket.api_key is not None and _tls(bucket) is False:
            problems.append(f"{place}.apikey: an IAM token would cross the network in the clear, expected TLS")
    for name, entry in model.backend_credentials.items():
        pair = (entry.access_key is not None, entry.secret_key is not None)
        if pair != ((entry.api_key is None),) * 2:
            problems.append(
                f"backend_credentials[{name!r}]: expected access_key and secret_key, or apikey, and not both"
            )
    seen: set[str] = set()
    for number, key in enumerate(model.hmac_keystore):
        if key.access_key in seen:
            problems.append(f"hmac_keystore[{number}].access_key: listed before, expected each key once")
        seen.add(key.access_key)
    if not model.hmac_keystore and hmac_fetcher is None and not model.skip_signature_validation:
        problems.append("hmac_keystore: no client keys: expected hmac_keystore or hmac_fetcher")
    if validator is None and not any(key.buckets for key in model.hmac_keystore):
        problems.append(
            "validator: missing: expected a validator, an authorizer, or `buckets` with the keys in hmac_keystore"
        )
    if (model.cert_path is None) != (model.key_path is None):
        missing = "key_path" if model.key_path is None else "cert_path"
        problems.append(f"{missing}: missing, cert_path and key_path go together")
    for name in ("cert_path", "key_path", "client_ca_path"):
        path: Path | None = getattr(model, name)
        if path is not None and not path.is_file():
            problems.append(f"{name}: no such file, expected a PEM file")
    if model.client_ca_path is not None and model.cert_path is None:
        problems.append("client_ca_path: without a certificate of the server's own, expected cert_path and key_path")
    if model.cache_url is not None and model.cache_secret is None:
        problems.append("cache_secret: missing, entries in the shared cache are sealed with it")
    if model.cache_url is not None and find_spec("redis") is None:
        problems.append("cache_url: the client library is missing: expected the extra `redis` to be installed")
    if model.client_certificates is not None and model.client_ca_path is None:
        problems.append("client_certificates: nothing to judge them by, expected client_ca_path")
    return problems + _same_ports(model)


def _holds_certificates(path: Path) -> bool:
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError):
        return False
    return True


def _same_ports(model: _Server) -> list[str]:
    ports = {"http_port": model.http_port, "https_port": model.https_port, "admin_port": model.admin_port}
    names: dict[int, str] = {}
    problems = []
    for name, port in ports.items():
        # Left to the kernel, http_port and https_port would be the same for the engine.
        if port is None or (port == 0 and name == "admin_port"):
            continue
        if port in names:
            problems.append(f"{name}: the same as {names[port]}, expected another port")
        names[port] = name
    return problems


def _tls(bucket: _Bucket) -> bool:
    return bucket.port == 443 if bucket.is_tls_enabled is None else bucket.is_tls_enabled


def _settings(
    model: _Server,
    fetcher: Callable[..., Any] | None,
    validator: Callable[..., Any] | None,
    hmac_fetcher: Callable[..., Any] | None,
    authorizer: Callable[..., Any] | None,
) -> Settings:
    ports = ((model.http_port, False), (model.https_port, True))
    return Settings(
        routes=tuple(_route(name, bucket, model.verify) for name, bucket in model.cos_map.items()),
        keystore={
            key.access_key: KeyPair(key.access_key, key.secret_key, key.session_token) for key in model.hmac_keystore
        },
        key_buckets={key.access_key: key.buckets for key in model.hmac_keystore if key.buckets is not None},
        bucket_creds_fetcher=fetcher,
        validator=validator,
        validator_takes_request=_takes(validator, 3),
        authorizer=authorizer,
        backend_credentials={name: _named(entry) for name, entry in model.backend_credentials.items()},
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
        max_presign_uses=model.max_presign_url_usage_attempts,
        server_name=model.server_name,
        domains=tuple(domain.lower() for domain in model.domains),
        iam_url=os.environ.get("IBM_IAM_URL") or DEFAULT_URL,
        allow_sigv2=model.allow_sigv2,
        explain_errors=model.explain_errors,
        limits=Limits(**model.limits.model_dump()),
        shutdown_grace=model.shutdown_grace,
        admin_port=model.admin_port,
        admin_host=model.admin_host,
        client_ca_path=model.client_ca_path,
        client_certificates_optional=model.client_certificates == "optional",
    )


def _takes(function: Callable[..., Any] | None, arguments: int) -> bool:
    """Whether an operator's function takes so many positional arguments."""
    if function is None:
        return False
    try:
        return positional_parameters(function)[1] >= arguments
    except (TypeError, ValueError):
        return False


def _route(name: str, bucket: _Bucket, verify: bool) -> BucketRoute:
    credentials: Credentials | None = None
    if bucket.api_key is not None:
        credentials = ApiKey(bucket.api_key)
    elif bucket.access_key is not None and bucket.secret_key is not None:
        credentials = KeyPair(bucket.access_key, bucket.secret_key)
    return BucketRoute(
        pattern=name,
        endpoint=None if bucket.host is None else Endpoint(bucket.host.lower(), bucket.port, _tls(bucket)),
        region=bucket.region,
        style=AddressingStyle(bucket.addressing_style) if bucket.addressing_style else None,
        backend_bucket=bucket.bucket,
        verify=verify if bucket.verify is None else bucket.verify,
        ttl=bucket.ttl,
        credentials=credentials,
        payload=bucket.payload,
    )


def _named(entry: _NamedCredentials) -> Credentials:
    if entry.api_key is not None:
        return ApiKey(entry.api_key)
    return KeyPair(entry.access_key or "", entry.secret_key or "", entry.session_token)


def _warn_loudly() -> None:
    line = "!" * 100
    log.warning(
        "\n%s\n!! skip_signature_validation is on: ANYONE can send requests as ANY access key.\n"
        "!! Signatures are not checked. Never use this outside of development.\n%s",
        line,
        line,
    )


__all__ = ["ConfigError", "Listener", "ProxyServerConfig", "Settings"]
