"""What clients wrote, made fit for a log: bounded, one line, and without the secrets in URLs."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from osp_gateway import tokens

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
_ENCODED_QUESTION: Final = re.compile(r"\?|%(?:25)?3f", re.IGNORECASE)
_ENCODED_PIECES: Final = re.compile(r"([&;?]|%(?:25)?(?:26|3b|3f))", re.IGNORECASE)
_ENCODED_EQUALS: Final = re.compile(r"=|%(?:25)?3d", re.IGNORECASE)
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


def masked_text(text: str) -> str:
    """Text with names in it that clients chose, such as a key, or a path.

    What follows a question mark is masked like a query, however often it was encoded: a presigned URL whose `?` became
    `%3F` on its way still opens a door. So do JSON Web Tokens, wherever they stand.
    """
    question = _ENCODED_QUESTION.search(text)
    if question is not None:
        pieces = _ENCODED_PIECES.split(text[question.end() :])
        text = text[: question.end()] + "".join(map(_masked_in_text, pieces))
    return tokens.replaced(text, lambda _: MASK)


def masked_target(target: str) -> str:
    """A request's target, or a URL, with the values of parameters that can open a door masked, however spelt.

    Everything after a `#` is left out: it is no business of a server's.
    """
    path, question, query = target.partition("#")[0].partition("?")
    path = masked_text(path)
    if not question:
        return path
    return path + question + "".join(_masked(piece) for piece in _PIECES.split(query))


def _masked(piece: str) -> str:
    name, equals, _ = piece.partition("=")
    if not _opens_a_door(name):
        return masked_text(piece)
    return f"{name}={MASK}" if equals else MASK


def _masked_in_text(piece: str) -> str:
    equals = _ENCODED_EQUALS.search(piece)
    if equals is None or not _opens_a_door(piece[: equals.start()]):
        return piece
    return piece[: equals.end()] + MASK


def _opens_a_door(name: str) -> bool:
    decoded = unquote(unquote(name.replace("+", " "))).strip().lower()
    return decoded in _SECRET_NAMES or any(part in decoded for part in _SECRET_PARTS)
