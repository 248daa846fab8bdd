"""What the fields of a configuration hold. A feature whose configuration is a part of its own builds it of these."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator


def not_a_bool(value: object) -> object:
    """The value, where it is no bool: Python takes True for 1."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Port = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=65535)]
ListenPort = Annotated[int, BeforeValidator(not_a_bool), Field(ge=0, le=65535)]
AtLeastZero = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(not_a_bool), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1)]
AnyCount = Annotated[int, BeforeValidator(not_a_bool), Field(ge=0)]
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\-]+$")]
BucketName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*$")]
Secret = Annotated[str, Field(min_length=1, pattern=r"^[\x21-\x7e]+$")]


def _trust(value: object) -> bool | Path:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise ValueError("expected true, false or a PEM file with certificates of authorities")


Trust = Annotated[bool | Path, PlainValidator(_trust)]


class Model(BaseModel):
    """Unknown fields are mistakes; values are not told, they may be secrets."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)
