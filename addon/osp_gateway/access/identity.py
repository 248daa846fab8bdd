"""Who a request is from, once that has been verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Final

NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Identity:
    """A verified caller.

    `access_key` is what the request was signed with, empty where it was not signed; for temporary keys it is the client
    key or the role whose rights they have. `name` is the user's: for plain keys the access key, for tokens their
    subject, empty for nobody. `session_name` is that of an assumed role. `claims` are
    a verified token's, immutable to their leaves. `policies` are the session's policy documents (JSON), which only ever
    narrow what else is allowed. `expires_at`, in seconds since the epoch, is the end of all of it, or None.
    """

    access_key: str = ""
    name: str = ""
    session_name: str = ""
    claims: Mapping[str, Any] = field(default=NO_CLAIMS, hash=False, repr=False)
    policies: tuple[str, ...] = field(default=(), repr=False)
    expires_at: float | None = None

    @property
    def shown(self) -> str:
        """For people: the name, with that of the session where there is one."""
        return f"{self.name}/{self.session_name}" if self.session_name else self.name

    @cached_property
    def fingerprint(self) -> tuple[object, ...]:
        """All of it, hashable: two identities that differ in anything an authorizer can see differ in this."""
        claims = json.dumps(self.claims, sort_keys=True, default=_plain) if self.claims else ""
        return (self.access_key, self.name, self.session_name, claims, self.policies, self.expires_at)


NOBODY: Final = Identity()


@lru_cache(maxsize=4096)
def of_key(access_key: str) -> Identity:
    """The identity of a plain key: it is its own name."""
    return Identity(access_key, access_key) if access_key else NOBODY


def frozen(value: Any) -> Any:
    """JSON as immutable values: objects as read-only mappings, arrays as tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({name: frozen(inner) for name, inner in value.items()})
    if isinstance(value, list | tuple):
        return tuple(frozen(inner) for inner in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"claims hold {type(value).__name__}, expected what JSON has")
