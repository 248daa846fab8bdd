"""Parameters in URLs and in text, `NAME=VALUE`, whose parts may have been percent-encoded, and encoded again."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

_ROUNDS: Final = 8
_NESTED: Final = re.compile(r"%(?:25)+")
_PLACES: Final = re.compile(
    r"(=|%(?:25)*3d)|[?&;#,\s\"'<>(){}|]|%(?:25)*(?:0[9ad]|2[023678c9]|3[bcef]|7[bcd])", re.IGNORECASE
)
"""An equals sign, or what cannot be within a parameter's name."""
_TO_ITS_END: Final = tuple(re.compile(rf"(?:(?!{end})[^&])*").match for end in ("&", "%26", "%(?:25)?26"))
_IN_WORDS: Final = tuple(re.compile(rf"(?:(?!{end})[^&\s\"<>])*").match for end in ("&", "%26", "%(?:25)?26"))
_EQUALS: Final = r"(?:=|%(?:25)*3d)"
_SHORT: Final = re.compile(
    rf"(?:(?!{_EQUALS}|%(?:25)*(?:26|3b))[^&;\s\"<>]|{_EQUALS}+(?=/|%(?:25)*2f))*", re.IGNORECASE
).match
_QUOTED: Final = re.compile(r"[^\"]*").match
"""Values, by how often their equals signs were encoded: an ampersand that was encoded more often belongs to them."""


class Extent(enum.Enum):
    """Where a value ends."""

    LONG = enum.auto()
    """At an ampersand that was encoded no more often than the equals sign."""
    SHORT = enum.auto()
    """At whatever may separate parameters."""


def folded(name: str) -> str:
    """A header's or a parameter's name as names are compared with it."""
    return name.strip().lower().replace("_", "-")


def decoded(text: str) -> str:
    """`text` without any percent-encoding, however often it was encoded."""
    for _ in range(_ROUNDS):
        if "%" not in text:
            break
        once = unquote(_NESTED.sub("%", text), "latin-1")
        if once == text:
            break
        text = once
    return text


def may_be_in(text: str) -> bool:
    """Whether there may be any in it: that is quickly told."""
    return "=" in text or "%3" in text or "%25" in text


def replaced(
    text: str, wanted: Callable[[str], Extent | None], replacement: Callable[[str, str], str], *, words: bool = False
) -> str:
    """`text` with some values in the place of others. It is linear if the functions are.

    Args:
        text: anything.
        wanted: how far the value of a parameter of this name, as it is written, extends; None where it is not
            replaced, and others may be in it.
        replacement: takes such a name and its value, as they are written.
        words: whether values end at blanks and quotes, too, as they do in text but not in URLs.
    """
    done, pieces = 0, list[str]()
    for name, begin, end in found(text, wanted, words=words):
        pieces += [text[done:begin], replacement(name, text[begin:end])]
        done = end
    return "".join(pieces) + text[done:] if pieces else text


def found(text: str, wanted: Callable[[str], Extent | None], *, words: bool = False) -> Iterator[tuple[str, int, int]]:
    """The names that are wanted, and where their values begin and end; see `replaced`."""
    place, name = 0, ""
    for match in _PLACES.finditer(text):
        if match.start() < place:
            continue  # within a value
        # What is nothing but separators belongs to the name before: `NAME%20=VALUE`.
        name = text[place : match.start()] or name
        place = match.end()
        if not match[1]:
            continue
        extent, written, name = wanted(name) if name else None, name, ""
        if extent is not None:
            begin, place = _value(text, place, extent, len(match[1]) // 2, words=words)
            yield written, begin, place


def _value(text: str, begin: int, extent: Extent, depth: int, *, words: bool) -> tuple[int, int]:
    """Where a value begins and ends behind an equals sign that was encoded so many times."""
    if words and text.startswith('"', begin):
        match = _QUOTED(text, begin + 1)
    elif extent is Extent.SHORT:
        match = _SHORT(text, begin)
    elif depth >= len(_TO_ITS_END):
        return begin, len(text)
    else:
        match = (_IN_WORDS if words else _TO_ITS_END)[depth](text, begin)
    assert match is not None
    return match.span()
