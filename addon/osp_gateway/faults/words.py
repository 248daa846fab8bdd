"""A rule as words of a command line: `type=latency latency=500 operations=GetObject,PutObject`.

What a field is decides how its word is read. Texts are what stands there, whatever they look like; globs are separated
by commas; both may be in TOML's quotes. Everything else is TOML's, or a list of it with commas.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args, get_origin

from osp_gateway.faults.rules import Fault, FaultRules, FaultsError, Rule, read

_GLOBS: Final = frozenset({"operations", "buckets", "keys", "identities"})
_ITEM: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^,]*?)\s*,""")


def read_words(words: Sequence[str]) -> FaultRules:
    """The rule that `name=value` words are.

    Raises:
        FaultsError: with a line for each mistake.
    """
    written: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise FaultsError([f"expected name=value, got {word!r}"])
        if name in written:
            raise FaultsError([f"{name}: expected once, got another one: {value!r}"])
        written[name] = _value(name, value)
    return read({"faults": [written]})


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return _unquoted(text)
    if name in _GLOBS:
        return _globs(text)
    found = _toml(text)
    if found is not None:
        return found
    return [_value(name, part.strip()) for part in text.split(",")] if "," in text else text


def _globs(text: str) -> list[str]:
    found = _toml(text)
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    return [_unquoted(item) for item in _ITEM.findall(f"{text},")]


def _unquoted(text: str) -> str:
    found = _toml(text) if text[:1] in ("'", '"') else None
    return found if isinstance(found, str) else text


def _toml(text: str) -> Any:
    """A value of TOML's; None where it is none."""
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return None
    return document["value"] if document.keys() == {"value"} else None


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(one, str) for one in get_args(annotation))
    return annotation is str


_TEXTS: Final = frozenset(
    name
    for model in (Rule, *get_args(Fault))
    for name, field in model.model_fields.items()
    if _is_text(field.annotation)
)
