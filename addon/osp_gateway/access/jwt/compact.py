"""A token's parts, taken apart before anything is believed: RFC 7515, section 3.1 (compact serialization).

There is one way to write each token, and no other is read: no padding, no blanks, no stray bits, no name twice, no
numbers that JSON does not have. Two readers cannot see two tokens in one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

MAX_TOKEN_OCTETS: Final = 8192
MAX_DEPTH: Final = 8
MAX_NUMBER_CHARS: Final = 32
# `{` at the start of a JSON text, in base64url; `.` between the parts.
_LOOKS: Final = re.compile(r"e[w-z0-9][A-Za-z0-9_=+/-]*\.[^.]*\.").match


class TokenError(Exception):
    """A token that is not to be believed. The text says why, for the operator; nothing of the token is in it."""


class TokenExpired(TokenError):
    """A token that was good before."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says, and what its signature is of."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def looks_like_token(text: str) -> bool:
    """Whether somebody means this to be a token: whatever is wrong with it then makes it a wrong token."""
    return _LOOKS(text) is not None


def read(token: str) -> Unverified:
    """The parts of a token.

    Raises:
        TokenError: it is none.
    """
    if len(token) > MAX_TOKEN_OCTETS:
        raise TokenError(f"longer than {MAX_TOKEN_OCTETS} octets")
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenError(f"{len(parts)} parts, expected header, claims and signature")
    header, claims = (_object(part, what) for part, what in zip(parts, ("header", "claims"), strict=False))
    signature = _octets(parts[2], "signature")
    return Unverified(header, claims, f"{parts[0]}.{parts[1]}".encode(), signature)


def _octets(part: str, what: str) -> bytes:
    try:
        octets = base64.b64decode(part + "=" * (-len(part) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError(f"its {what} is not base64url") from None
    # Python takes padding, other alphabets and bits that mean nothing; written again, they are gone.
    if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() != part:
        raise TokenError(f"its {what} is not written as base64url is")
    return octets


def _object(part: str, what: str) -> Mapping[str, Any]:
    try:
        found = strict_json(_octets(part, what))
    except ValueError as error:
        raise TokenError(f"its {what}: {error}") from None
    if not isinstance(found, dict):
        raise TokenError(f"its {what} is no JSON object")
    return found


def strict_json(octets: bytes) -> Any:
    """JSON that has one meaning.

    Raises:
        ValueError: it is none; the text holds nothing of it.
    """
    try:
        found = json.loads(
            octets.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_no_number,
            parse_int=_integer,
            parse_float=_float,
        )
    except _Ambiguous:
        raise
    except (ValueError, RecursionError):
        raise ValueError("not JSON in UTF-8") from None
    if _depth_exceeds(found, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return found


class _Ambiguous(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Ambiguous("a name is given twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise _Ambiguous("a number that JSON does not have")


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER_CHARS:
        raise _Ambiguous("a number of too many digits")
    return int(text)


def _float(text: str) -> float:
    number = float(text) if len(text) <= MAX_NUMBER_CHARS else float("inf")
    if number in (float("inf"), float("-inf")):
        raise _Ambiguous("a number out of range")
    return number


def _depth_exceeds(value: Any, most: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_depth_exceeds(item, most - 1) for item in inner)
