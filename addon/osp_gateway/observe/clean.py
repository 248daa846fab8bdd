"""What clients wrote, made fit for a log: bounded, one line, and without the secrets in URLs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from osp_gateway import parameters, tokens
from osp_gateway.parameters import Extent, folded

MASK: Final = "***"
CUT: Final = "..."

_SECRET_NAMES: Final = frozenset({"signature", "token", "assertion", "password", "authorization"})
_SECRET_PARTS: Final = (
    "x-amz-signature",
    "x-amz-credential",
    "awsaccesskeyid",
    "access-token",
    "id-token",
    "security-token",
    "customer-key",
    "webidentitytoken",
    "samlassertion",
    "session-token",
    "sessiontoken",
    "secret",
    "apikey",
    "api-key",
)
_HINTS: Final = (
    "signature",
    "token",
    "assertion",
    "secret",
    "apikey",
    "api-key",
    "accesskey",
    "customer-key",
    "credential",
    "password",
    "authorization",
)
"""In each of these names there is one of them."""
_LONGEST_KNOWN: Final = 64
_NO_NAMES: Final = frozenset[str]()
_PIECES: Final = re.compile(r"([&;?])")
_SECRET_PART: Final = re.compile("|".join(_SECRET_PARTS)).search
_IS_WORD: Final = re.compile(r"[a-z0-9-]*").fullmatch
_WORDS: Final = re.compile(r"[a-z0-9-]+").findall
_ENCODED_QUESTION: Final = re.compile(r"\?|%(?:25)*3f", re.IGNORECASE)
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


def masked_text(text: str, names: frozenset[str] = _NO_NAMES) -> str:
    """Text with names in it that clients chose, such as a key, or a path.

    What follows a question mark is masked like a query, however often it was encoded: a presigned URL whose `?` became
    `%3F` on its way still opens a door. So do JSON Web Tokens, wherever they stand.

    Args:
        text: the text.
        names: of further parameters whose values are masked, `folded`.
    """
    question = _ENCODED_QUESTION.search(text)
    if question is not None:
        text = text[: question.end()] + _Doors(names).masked(text[question.end() :])
    return tokens.replaced(text, lambda _: MASK)


def masked_words(text: str, names: frozenset[str] = _NO_NAMES) -> str:
    """Text in which there may be URLs, as what clients call themselves; for `names` see `masked_text`."""
    return tokens.replaced(_Doors(names).masked(text, words=True), lambda _: MASK)


def masked_target(target: str, names: frozenset[str] = _NO_NAMES) -> str:
    """A request's target, or a URL, with the values of parameters that can open a door masked, however spelt.

    Everything after a `#` is left out: it is no business of a server's. For `names` see `masked_text`.
    """
    path, question, query = target.partition("#")[0].partition("?")
    path = masked_text(path, names)
    if not question:
        return path
    return path + question + tokens.replaced(_Doors(names).masked_query(query), lambda _: MASK)


class _Doors:
    """Masks the values of parameters that open a door."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def masked_query(self, query: str) -> str:
        if not self._may_be_in(query):
            return query
        pieces = _PIECES.split(self.masked(query))
        return "".join([MASK if "=" not in piece and self._opened_by(piece) else piece for piece in pieces])

    def masked(self, text: str, *, words: bool = False) -> str:
        if not parameters.may_be_in(text) or not self._may_be_in(text):
            return text
        masked = parameters.replaced(text, self._extent, lambda _, __: MASK, words=words)
        return MASK if "%" in masked and self._is_open_in(masked) else masked

    def _may_be_in(self, text: str) -> bool:
        plain = folded(parameters.decoded(text))
        for hint in _HINTS:  # twice as fast as any()
            if hint in plain:
                return True
        return bool(self._names) and any(name in plain for name in self._names)

    def _is_open_in(self, masked: str) -> bool:
        """Whether there is a value left whose name is written too oddly."""
        plain = parameters.decoded(masked)
        found = parameters.found(plain, self._extent, words=True)
        return any(not plain[begin:end].startswith(MASK) for _, begin, end in found if begin < end)

    def _extent(self, name: str) -> Extent | None:
        return Extent.LONG if self._opened_by(name) else None

    def _opened_by(self, name: str) -> bool:
        # The same few names come all the time: known ones take a tenth of the time.
        return _known(name, self._names) if len(name) <= _LONGEST_KNOWN else _opens(name, self._names)


def _opens(name: str, names: frozenset[str]) -> bool:
    plain = folded(parameters.decoded(name))
    if plain in _SECRET_NAMES or plain in names or _SECRET_PART(plain):
        return True
    return not _IS_WORD(plain) and any(word in _SECRET_NAMES or word in names for word in _WORDS(plain))


_known: Final = lru_cache(maxsize=256)(_opens)
