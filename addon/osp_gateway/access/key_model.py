"""Client keys as operators write them: in the configuration, in a file of their own, in the environment."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AliasChoices, Field, ValidationError

from osp_gateway.fields import Model, Secret
from osp_gateway.sigv4.keys import KeyPair


class KeyModel(Model):
    """One entry of `hmac_keystore`, or of `keys` in a key file."""

    access_key: Secret = Field(validation_alias=AliasChoices("access_key", "accessKey"))
    secret_key: Secret = Field(validation_alias=AliasChoices("secret_key", "secretKey"))
    session_token: Secret | None = None
    buckets: tuple[str, ...] | None = None


class KeyFileModel(Model):
    """A key file."""

    keys: tuple[KeyModel, ...]


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key, and the patterns of buckets that are listed with it, None where there are none."""

    pair: KeyPair
    buckets: tuple[str, ...] | None = None


Listed = Mapping[str, ListedKey]
SUFFIXES: Final = (".toml", ".json")


class KeyProblem(ValueError):
    """Keys that cannot be used: one line, without anything of them."""


def listed(entries: tuple[KeyModel, ...]) -> Listed:
    """Keys by access key.

    Raises:
        KeyProblem: one is there twice.
    """
    found: dict[str, ListedKey] = {}
    for number, entry in enumerate(entries):
        if entry.access_key in found:
            raise KeyProblem(f"keys[{number}].access_key: listed before, expected each key once")
        pair = KeyPair(entry.access_key, entry.secret_key, entry.session_token)
        found[entry.access_key] = ListedKey(pair, entry.buckets)
    return found


def read_keys(octets: bytes, suffix: str) -> Listed:
    """The keys in a file: `[[keys]]` in TOML, `{"keys": [...]}` in JSON.

    Raises:
        KeyProblem: they cannot be used.
    """
    try:
        text = octets.decode("utf-8")
        written: Any = tomllib.loads(text) if suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError):
        raise KeyProblem(f"expected {suffix.removeprefix('.').upper()}, in UTF-8") from None
    try:
        return listed(KeyFileModel.model_validate(written).keys)
    except ValidationError as error:
        raise KeyProblem(_first_of(error)) from None


def _first_of(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).removeprefix(".")
    more = f" ({error.error_count() - 1} more mistakes)" if error.error_count() > 1 else ""
    return f"{place or 'the file'}: {problem['msg']}{more}"


def from_environment(prefix: str, environment: Mapping[str, str]) -> Listed:
    """Keys in variables `PREFIX...=ACCESS_KEY:SECRET_KEY`; empty ones count as not set.

    Raises:
        KeyProblem: one is written otherwise, or a key is there twice.
    """
    found: dict[str, ListedKey] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(prefix) or not value:
            continue
        access_key, _, secret_key = value.partition(":")
        if not access_key or not secret_key or not value.isascii() or not value.isprintable() or " " in value:
            raise KeyProblem(f"the environment variable {name}: expected ACCESS_KEY:SECRET_KEY")
        if access_key in found:
            raise KeyProblem(f"the environment variable {name}: its access key is in another one, too")
        found[access_key] = ListedKey(KeyPair(access_key, secret_key))
    return found
