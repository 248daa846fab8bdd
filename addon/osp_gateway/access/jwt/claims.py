"""Where claims are, and what they may be used for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

ClaimPath = tuple[str, ...]
Scalar = str | int | bool

_TEMPLATE: Final = re.compile(r"\$\{([^{}]*)\}")
_SEGMENT_END: Final = frozenset("/\\")
MAX_VALUE_CHARS: Final = 256


def claim_path(written: str | list[str] | tuple[str, ...]) -> ClaimPath:
    """`realm_access.roles` as a path; a list is one already, for names with dots in them.

    Raises:
        ValueError: it is none.
    """
    path = tuple(written.split(".")) if isinstance(written, str) else tuple(written)
    if not path or not all(path):
        raise ValueError("expected a claim's name, like sub or realm_access.roles")
    return path


def claim_at(claims: Mapping[str, Any], path: ClaimPath) -> Any:
    """The claim at a path, or None."""
    found: Any = claims
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def holds(claim: Any, wanted: frozenset[tuple[type, Scalar]]) -> bool:
    """Whether a claim is one of the wanted values, or a list that holds one. `true` is not 1, `1` is not "1"."""
    values = claim if isinstance(claim, list | tuple) else (claim,)
    return any(isinstance(value, str | int) and (type(value), value) in wanted for value in values)


class Template:
    """A text with claims in it, `${sub}`: where all of them are there, it is a text; else it is nothing."""

    def __init__(self, text: str) -> None:
        """Raise ValueError where it is not written as a template is."""
        pieces = _TEMPLATE.split(text)
        self.literals = tuple(pieces[0::2])
        if any("${" in literal for literal in self.literals):
            raise ValueError("expected ${CLAIM}")
        self.paths = tuple(claim_path(piece) for piece in pieces[1::2])

    def parts(self, claims: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Literals and values in turn; None where a claim is missing, or no text that can stand within a name."""
        parts = [self.literals[0]]
        for path, literal in zip(self.paths, self.literals[1:], strict=True):
            value = claim_at(claims, path)
            if not _is_plain(value):
                return None
            parts += [str(value), literal]
        return tuple(parts)

    def fill(self, claims: Mapping[str, Any]) -> str | None:
        """The text, or None; see `parts`."""
        parts = self.parts(claims)
        return None if parts is None else "".join(parts)


def _is_plain(value: Any) -> bool:
    """Whether a claim's value can stand for one segment of a name, or a part of it, and for nothing else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    return (
        0 < len(text) <= MAX_VALUE_CHARS
        and text.isprintable()
        and text.strip() == text
        and text not in (".", "..")
        and _SEGMENT_END.isdisjoint(text)
    )
