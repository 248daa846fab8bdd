"""Texts with wildcards and policy variables.

`*` stands for any run of characters, `?` for one; `${key}` for the value that a condition key has in the request, and
`${key, 'default'}` for another one where it has none; `${*}`, `${?}` and `${$}` for themselves. What a variable stands
for is taken literally: a user who is called `*` is no wildcard. See "Policy variables" in the IAM user guide.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_COMPILED: Final = 4096


class Wild(enum.Enum):
    """A wildcard."""

    RUN = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """What a condition key has in the request, else the default, if there is one."""

    key: str
    default: str | None


Token = str | Wild | Variable
Lookup = Callable[[str], str | None]
"""The one value of a condition key in the request, or None."""
Names = Callable[[str], str]
"""How a condition key is spelled everywhere. Raises ValueError for what is none."""

_PIECE: Final = re.compile(r"\$\{(?P<variable>[^{}]*)\}|(?P<wild>[*?])|(?P<text>[^$*?]+|\$(?!\{))")
_VARIABLE: Final = re.compile(r"\s*(?P<key>[^,'\s]+)\s*(?:,\s*'(?P<default>[^'{}]*)'\s*)?\Z")


def read_tokens(text: str, names: Names | None = None, *, wildcards: bool = True) -> tuple[Token, ...]:
    """The parts of a pattern.

    Args:
        text: as written.
        names: of policy variables; None where there are none, and `${` is a mistake.
        wildcards: whether `*` and `?` are any.

    Raises:
        ValueError: what is wrong with it, for people.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError("expected }, a policy variable is not closed")
        at = piece.end()
        if piece["variable"] is not None:
            if names is None:
                raise ValueError('policy variables are possible with "Version": "2012-10-17" only')
            tokens.append(_variable(piece["variable"], names))
        elif piece["wild"] is not None:
            tokens.append(Wild(piece["wild"]) if wildcards else piece["wild"])
        else:
            tokens.append(piece["text"])
    return _joined(tokens)


def _variable(inner: str, names: Names) -> Token:
    if inner in ("*", "?", "$"):
        return inner
    found = _VARIABLE.match(inner)
    if found is None:
        raise ValueError("expected a policy variable like ${aws:username} or ${aws:username, 'default'}")
    return Variable(names(found["key"]), found["default"])


def _joined(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """Neighbouring texts as one, so that a pattern without wildcards is one text."""
    joined: list[Token] = []
    for token in tokens:
        if isinstance(token, str) and joined and isinstance(joined[-1], str):
            joined[-1] += token
        elif not (token is Wild.RUN and joined and joined[-1] is Wild.RUN):
            joined.append(token)
    return tuple(joined)


class Pattern:
    """A pattern, compiled. With `fold`, upper and lower case are the same."""

    __slots__ = ("_fold", "_matches", "_tokens", "text")

    def __init__(self, text: str, tokens: tuple[Token, ...], *, fold: bool = False) -> None:
        self.text = text
        self._tokens = tokens
        self._fold = fold
        variable = any(isinstance(token, Variable) for token in tokens)
        self._matches = None if variable else _compiled(tokens, fold)

    def matches(self, text: str, lookup: Lookup) -> bool | None:
        """Whether it matches all of the text; None where a variable stands for nothing, which matches nothing."""
        matches = self._matches
        if matches is None:
            tokens = _resolved(self._tokens, lookup)
            if tokens is None:
                return None
            matches = _compiled(tokens, self._fold)
        return matches(text)


def _resolved(tokens: tuple[Token, ...], lookup: Lookup) -> tuple[Token, ...] | None:
    found: list[Token] = []
    for token in tokens:
        if isinstance(token, Variable):
            value = lookup(token.key) or token.default
            if value is None:
                return None
            found.append(value)
        else:
            found.append(token)
    return _joined(found)


@lru_cache(maxsize=MAX_COMPILED)
def _compiled(tokens: tuple[Token, ...], fold: bool) -> Callable[[str], bool]:
    if fold:
        tokens = tuple(token.casefold() if isinstance(token, str) else token for token in tokens)
    matches = _test(tokens)
    return (lambda text: matches(text.casefold())) if fold else matches


def _test(tokens: tuple[Token, ...]) -> Callable[[str], bool]:
    if all(isinstance(token, str) for token in tokens):
        return "".join(str(token) for token in tokens).__eq__
    if tokens == (Wild.RUN,):
        return lambda _: True
    fullmatch = re.compile(_expression(tokens), re.DOTALL).fullmatch
    return lambda text: fullmatch(text) is not None


def _expression(tokens: tuple[Token, ...]) -> str:
    """A regular expression that never tries a run twice: what stands between two runs is taken where it first is.

    The time is that of finding each piece once, whatever the text and the pattern are.
    """
    pieces = [""]
    for token in tokens:
        if token is Wild.RUN:
            pieces.append("")
        elif token is Wild.ONE:
            pieces[-1] += "."
        else:
            pieces[-1] += re.escape(str(token))
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}"
