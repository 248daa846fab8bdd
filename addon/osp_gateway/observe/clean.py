"""What clients wrote, made fit for a log: bounded, one line, and without the secrets in URLs."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"
CUT: Final = "..."

_SECRET_NAMES: Final = frozenset(
    {"signature", "awsaccesskeyid", "token", "access_token", "id_token", "assertion", "password", "authorization"}
)
_SECRET_PARTS: Final = (
    "x-amz-signature",
    "x-amz-credential",
    "security-token",
    "customer-key",
    "webidentitytoken",
    "samlassertion",
    "session-token",
    "sessiontoken",
    "secret",
    "apikey",
    "api_key",
    "api-key",
)
_PIECES: Final = re.compile(r"([&;?])")
_DELETE: Final = {0x7F: "\\x7f"}


def bounded(text: str, limit: int) -> str:
    """`text`, cut at `limit` characters, the dots that say so included."""
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def from_octets(text: str, limit: int) -> str:
    """A header's value or a path, in which each character is an octet, as the text that it is meant to be.

    Octets that are no UTF-8 are written as `\\xNN`.
    """
    if not text.isascii():
        text = text[: 4 * limit].encode("latin-1", "replace").decode("utf-8", "backslashreplace")
    return readable(text, limit)


def readable(text: str, limit: int) -> str:
    """`text` without what JSON would let through but no terminal or parser should see."""
    text = text[: 2 * limit].encode("utf-8", "backslashreplace").decode()
    return bounded(text.translate(_DELETE) if "\x7f" in text else text, limit)


def masked_target(target: str) -> str:
    """A request's target, or a URL, with the values of parameters that can open a door masked, however spelt.

    Everything after a `#` is left out: it is no business of a server's.
    """
    path, question, query = target.partition("#")[0].partition("?")
    if not question:
        return path
    return path + question + "".join(_masked(piece) for piece in _PIECES.split(query))


def _masked(piece: str) -> str:
    name, equals, _ = piece.partition("=")
    if not _opens_a_door(name):
        return piece
    return f"{name}={MASK}" if equals else MASK


def _opens_a_door(name: str) -> bool:
    decoded = unquote(unquote(name.replace("+", " "))).strip().lower()
    return decoded in _SECRET_NAMES or any(part in decoded for part in _SECRET_PARTS)
