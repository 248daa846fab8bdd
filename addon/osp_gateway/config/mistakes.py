"""Mistakes in a configuration, one line each."""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from osp_gateway.access.cedar import CedarModel, read_cedar
from osp_gateway.access.jwt.model import GrantModel, IssuerModel
from osp_gateway.access.key_model import KeyModel
from osp_gateway.access.key_sources import key_sources
from osp_gateway.access.keys_model import PresignModel, RevokedModel
from osp_gateway.access.opa import OpaModel
from osp_gateway.access.policy.settings import read_policies
from osp_gateway.access.sts.model import StsModel, mistakes_in, role_buckets
from osp_gateway.callables import positional_parameters, required_keywords
from osp_gateway.config.backends import (
    backend_problems,
    chain_problems,
    default_bucket_problems,
    has_credentials,
    is_botocores,
)
from osp_gateway.config.model import BucketModel, CredentialsModel, LimitsModel, ServerModel, speaks_tls


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` holds one line per mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def validate(written: dict[str, Any]) -> tuple[ServerModel, list[str]]:
    """What of the configuration is valid, and a line for each part that is not."""
    try:
        return ServerModel.model_validate(written), []
    except ValidationError as error:
        problems = error.errors(include_url=False)
    rest = {"cos_map": {}, **written}
    for problem in problems:
        field, *inner = problem["loc"]
        # What is missing cannot be left out: then the whole of it is.
        given = written.get(str(field))
        if inner and field in rest and isinstance(given, Mapping) and inner[0] in given:
            rest[str(field)] = {k: v for k, v in rest[str(field)].items() if k != inner[0]}
        else:
            rest.pop(str(field), None)
    model, _ = validate({"cos_map": {}, **rest})
    return model, [line_of(problem) for problem in problems]


def follows(contradiction: str, wrong_fields: Sequence[str]) -> bool:
    """Whether a contradiction may only be there because a wrong field was left out."""
    about = {"hmac_keystore": "hmac_keystore", "validator": "hmac_keystore", "cert_path": "key_path"}
    about |= {"key_path": "cert_path", "https_port": "http_port", "client_certificates": "client_ca_path"}
    field = contradiction.partition(":")[0]
    if field == "validator" and any(wrong.startswith(("policies", "opa", "cedar")) for wrong in wrong_fields):
        return True
    if field in ("hmac_keystore", "validator") and any(wrong.startswith(("jwt", "keys_")) for wrong in wrong_fields):
        return True
    return any(wrong.startswith((field, about.get(field, field))) for wrong in wrong_fields)


def callable_problem(name: str, function: object, least: int, most: int) -> str | None:
    """What is wrong with an operator's function that is to take so many positional arguments; None: nothing."""
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


def line_of(problem: Mapping[str, Any]) -> str:
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
        elif tuple(location[:depth]) in _NAMED:
            text += f"[{part!r}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text


_NAMED: Final = frozenset({("cos_map",), ("backend_credentials",), ("sts", "roles")})
"""What holds entries under names of the operator's choice."""
_FIELDS: Final[Mapping[str, type[BaseModel]]] = {
    "cos_map": BucketModel,
    "hmac_keystore": KeyModel,
    "limits": LimitsModel,
    "backend_credentials": CredentialsModel,
    "opa": OpaModel,
    "cedar": CedarModel,
    "sts": StsModel,
    "presign": PresignModel,
    "revoked_keys": RevokedModel,
    "jwt": IssuerModel,
}


def _suggestion(location: Sequence[str | int]) -> str:
    model = GrantModel if "grants" in location[:-1] else _FIELDS.get(str(location[0]), ServerModel)
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(model.model_fields)}"


def contradictions(
    model: ServerModel,
    fetcher: Callable[..., Any] | None,
    validator: Callable[..., Any] | None,
    hmac_fetcher: Callable[..., Any] | None,
) -> list[str]:
    """Mistakes that no single field shows."""
    problems = []
    for name, bucket in model.cos_map.items():
        place = f"cos_map[{name!r}]"
        if isinstance(bucket.verify, Path) and not _holds_certificates(bucket.verify):
            problems.append(
                f"{place}.verify: expected true, false or a PEM file with certificates of authorities, got str"
            )
        if (bucket.access_key is None) != (bucket.secret_key is None):
            missing = "secret_key" if bucket.secret_key is None else "access_key"
            problems.append(f"{place}.{missing}: missing, access_key and secret_key go together")
        if bucket.access_key is not None and bucket.api_key is not None:
            problems.append(f"{place}: both an API key and access_key/secret_key, expected one of them")
        if not has_credentials(bucket) and bucket.secret_key is None and fetcher is None:
            problems.append(
                f"{place}: no credentials: expected access_key and secret_key, or apikey, or a bucket_creds_fetcher"
            )
        problems += [f"{place}{problem}" for problem in backend_problems(bucket, name, model.backend_credentials)]
        if bucket.api_key is not None and speaks_tls(bucket) is False:
            problems.append(f"{place}.apikey: an IAM token would cross the network in the clear, expected TLS")
    for name, entry in model.backend_credentials.items():
        pair = (entry.access_key is not None, entry.secret_key is not None)
        if pair != ((entry.api_key is None and not (is_botocores(entry) and not any(pair))),) * 2:
            problems.append(
                f"backend_credentials[{name!r}]: expected access_key and secret_key, or apikey, and not both"
            )
        problems += [f"backend_credentials[{name!r}]{problem}" for problem in chain_problems(entry)]
    problems += default_bucket_problems(model.default_bucket, model.cos_map)
    seen: set[str] = set()
    for number, key in enumerate(model.hmac_keystore):
        if key.access_key in seen:
            problems.append(f"hmac_keystore[{number}].access_key: listed before, expected each key once")
        seen.add(key.access_key)
    sources, wrong_sources = key_sources(model.keys_env, model.keys_file, model.keys_url, model.keys_url_token)
    problems += wrong_sources
    elsewhere = sources or model.jwt
    if not model.hmac_keystore and hmac_fetcher is None and not model.skip_signature_validation and not elsewhere:
        problems.append("hmac_keystore: no client keys: expected hmac_keystore or hmac_fetcher")
    if model.jwt and model.skip_signature_validation:
        problems.append("jwt: tokens are verified, expected skip_signature_validation to be off")
    problems += read_policies(model.policies)[1]
    if model.cedar is not None:
        problems += read_cedar(model.cedar)[1]
    if model.sts is not None:
        problems += mistakes_in(model.sts, frozenset(seen), verifies_tokens=bool(model.jwt))
    if model.presign.max_uses is not None and model.max_presign_url_usage_attempts is not None:
        problems.append("max_presign_url_usage_attempts: the same as presign.max_uses, expected one of them")
    granted = model.policies or model.opa or model.cedar or model.keys_file is not None
    granted = granted or any(issuer.grants for issuer in model.jwt) or any(role_buckets(model.sts).values())
    if validator is None and not granted and not any(key.buckets for key in model.hmac_keystore):
        problems.append(
            "validator: missing: expected a validator, an authorizer, policies, or `buckets` with the keys in "
            "hmac_keystore"
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


def _same_ports(model: ServerModel) -> list[str]:
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
