"""What the fields of a configuration hold. A feature whose configuration is a part of its own builds it of these."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

MAX_PREFIX_OCTETS: Final = 512


def not_a_bool(value: object) -> object:
    """The value, where it is no bool: Python takes True for 1."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def key_prefix(value: str) -> str:
    """A prefix of keys that ends a segment, and that no store could take for another place.

    Raises:
        ValueError: it does not.
    """
    segments = value.split("/")
    if segments.pop() or not all(segments) or not {".", ".."}.isdisjoint(segments):
        raise ValueError('expected a prefix such as "team-a/": a slash at its end, no empty segments, none of dots')
    if not value.isprintable() or not {"%", "+", "\\"}.isdisjoint(value) or len(value.encode()) > MAX_PREFIX_OCTETS:
        raise ValueError(f"expected printable characters but %, + and backslash, {MAX_PREFIX_OCTETS} octets at most")
    if not {"{", "}"}.isdisjoint(value.replace("{name}", "")):
        raise ValueError("expected no braces but those of {name}")
    return value


Port = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=65535)]
ListenPort = Annotated[int, BeforeValidator(not_a_bool), Field(ge=0, le=65535)]
AtLeastZero = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(not_a_bool), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1)]
AnyCount = Annotated[int, BeforeValidator(not_a_bool), Field(ge=0)]
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\-]+$")]
_NAME = r"([A-Za-z0-9]|\{name\})([A-Za-z0-9._\-]|\{name\})*"
BackendBucket = Annotated[str, Field(max_length=2048, pattern=rf"^(arn:[A-Za-z0-9:/._\-]+|{_NAME})$")]
"""A bucket's name, its ARN, or a template with the client's name of it."""
KeyPrefix = Annotated[str, AfterValidator(key_prefix)]
Region = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9\-]+$")]
RoleArn = Annotated[str, Field(pattern=r"^arn:[a-z\-]+:iam::[0-9]{12}:role/[\x21-\x7e]+$")]
SessionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@\-]{2,64}$")]
Secret = Annotated[str, Field(min_length=1, pattern=r"^[\x21-\x7e]+$")]


def _trust(value: object) -> bool | Path:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise ValueError("expected true, false or a PEM file with certificates of authorities")


Trust = Annotated[bool | Path, PlainValidator(_trust)]


def place_of(location: Sequence[int | str]) -> str:
    """Where a mistake is, for people: `faults[0].latency` of what pydantic calls its location."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


class Model(BaseModel):
    """Unknown fields are mistakes; values are not told, they may be secrets."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)
