"""A configuration, for people: what is in effect, without secrets.

A field that the configuration keeps out of its own `repr` is a secret, or may hold one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from osp_gateway.asking import ServiceUrl
from osp_gateway.callables import name_of
from osp_gateway.config import Settings
from osp_gateway.mitm.columns import visible

NOT_SHOWN: Final = "(set, not shown)"


def described(settings: Settings) -> Iterator[str]:
    """A line for each setting, and for each part of one."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if callable(value):
            yield f"{field.name} = {name_of(value)}"
        elif not field.repr and not _is_named(value):
            yield f"{field.name} = {NOT_SHOWN if value else '-'}"
        else:
            yield from _lines(field.name, value)


def _is_named(value: Any) -> bool:
    """Whether something is a mapping, whose names may be shown: its values judge for themselves."""
    return isinstance(value, Mapping) and all(is_dataclass(one) for one in value.values())


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _lines(f"{name}.{key}", inner)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, inner in enumerate(value):
            yield from _lines(f"{name}[{index}]", inner)
    elif is_dataclass(value):
        yield visible(f"{name} = {_parts(value)}")
    else:
        yield visible(f"{name} = {_plain(value)}")


def _parts(value: Any) -> str:
    shown = []
    for field in fields(value):
        inner = getattr(value, field.name)
        if inner is not None and not field.repr:
            shown.append(f"{field.name}: {NOT_SHOWN}")
        elif inner is not None:
            shown.append(f"{field.name}: {'{' + _parts(inner) + '}' if is_dataclass(inner) else _plain(inner)}")
    return ", ".join(shown)


def _plain(value: Any) -> str:
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return value.shown if isinstance(value, ServiceUrl) else str(value)
