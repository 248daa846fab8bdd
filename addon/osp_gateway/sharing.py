"""What several gateways remember together: a second level behind the caches of each, in Redis or Valkey.

Nothing in there is taken on trust. Names of entries are keyed hashes, and entries are sealed with AES-GCM together with
their name and the time at which they end: whoever can write to the server can make a gateway forget, but not believe.
A gateway works without the server, more slowly: what fails is not asked for a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from osp_gateway.cache import Entry
from osp_gateway.callables import CircuitBreaker
from osp_gateway.tallies import CacheTally

log = logging.getLogger(__name__)

CALL_SECONDS: Final = 0.25
"""For one call to the server: longer would cost more than finding the answer out."""
FAILURES_IN_A_ROW: Final = 3
REST_SECONDS: Final = 5.0
MAX_ENTRY_OCTETS: Final = 64 * 1024
_NONCE_OCTETS: Final = 12


class Store(Protocol):
    """The few commands of Redis that are needed. Whatever goes wrong is raised."""

    async def get(self, name: str) -> bytes | None:
        """An entry."""

    async def set(self, name: str, value: bytes, milliseconds: int) -> None:
        """Keep an entry for so long."""

    async def count(self, name: str, milliseconds: int) -> int:
        """Add one to a number that ends after so long, beginning with its first use; the sum."""

    async def close(self) -> None:
        """Give its connections back."""


@dataclass(frozen=True, slots=True)
class Coding[V]:
    """How values of one kind become JSON and come back. `decode` raises ValueError, KeyError or TypeError."""

    encode: Callable[[V], Any]
    decode: Callable[[Any], V]


class SharedCache:
    """The server, behind seals and a circuit breaker."""

    def __init__(
        self,
        store: Store,
        secret: str,
        namespace: str,
        clock: Callable[[], float] = time.time,
        *,
        not_before: float = 0.0,
        breaker: CircuitBreaker | None = None,
        tally: CacheTally | None = None,
    ) -> None:
        """Use a server.

        Args:
            store: its commands.
            secret: known to the gateways that share it, and to nobody else.
            namespace: of gateways that decide alike; part of each entry's name.
            clock: seconds since the epoch.
            not_before: what was written before this time is not looked at.
            breaker: gives the server a rest.
            tally: counts what is found, and calls to the server that failed.
        """
        self._store = store
        self._names = hmac.digest(secret.encode(), b"osp entry names", hashlib.sha256)
        self._seal = AESGCM(hmac.digest(secret.encode(), b"osp entry seals", hashlib.sha256))
        self._namespace = namespace
        self._clock = clock
        self._not_before = not_before
        self._breaker = breaker or CircuitBreaker(FAILURES_IN_A_ROW, REST_SECONDS)
        self._tally = tally or CacheTally()
        self._away = False

    async def load(self, kind: str, key: Hashable) -> Entry[Any] | None:
        """An entry's JSON and the seconds that are left to it; None where there is none that can be believed."""
        entry = await self._load(kind, key)
        if entry is None:
            self._tally.misses += 1
        else:
            self._tally.hits += 1
        return entry

    async def _load(self, kind: str, key: Hashable) -> Entry[Any] | None:
        name = self._name(kind, key)
        sealed = await self._try(self._store.get(name), None)
        if sealed is None or len(sealed) > 2 * MAX_ENTRY_OCTETS:
            return None
        try:
            opened = json.loads(self._seal.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], name.encode()))
        except (InvalidTag, ValueError):
            log.warning("the shared cache holds an entry that was not written by these gateways; it is left alone")
            return None
        left = opened["ends"] - self._clock()
        if left <= 0 or opened["written"] < self._not_before:
            return None
        return Entry(opened["value"], left)

    async def save(self, kind: str, key: Hashable, entry: Entry[Any]) -> None:
        """Keep an entry, JSON and seconds. Entries that are too long, or end at once, are not kept."""
        name, now = self._name(kind, key), self._clock()
        text = json.dumps({"value": entry.value, "written": now, "ends": now + entry.ttl}).encode()
        milliseconds = int(entry.ttl * 1000)
        if len(text) > MAX_ENTRY_OCTETS or milliseconds < 1:
            return
        nonce = os.urandom(_NONCE_OCTETS)
        sealed = nonce + self._seal.encrypt(nonce, text, name.encode())
        await self._try(self._store.set(name, sealed, milliseconds), None)

    async def count(self, kind: str, key: Hashable, seconds: float) -> int | None:
        """How often this was counted in `seconds` since its first time, this time included; None: not known."""
        return await self._try(self._store.count(self._name(kind, key), max(1, int(seconds * 1000))), None)

    async def close(self) -> None:
        """Give its connections back."""
        await self._store.close()

    def _name(self, kind: str, key: Hashable) -> str:
        # `repr` tells texts, numbers, octets and tuples of them apart, and is the same in every process.
        keyed = hmac.new(self._names, f"{kind}\n{key!r}".encode("utf-8", "backslashreplace"), hashlib.sha256)
        return f"{self._namespace}:{kind}:{keyed.hexdigest()}"

    async def _try[T](self, call: Any, otherwise: T) -> Any | T:
        """A call's result, or something else while the server is away."""
        if not self._breaker.closed():
            call.close()
            return otherwise
        try:
            async with asyncio.timeout(CALL_SECONDS):
                result = await call
        except Exception as error:  # noqa: BLE001 - a cache that fails, however it does, is a cache that has nothing
            self._breaker.failed()
            self._tally.failures += 1
            if not self._away:
                self._away = True
                log.warning("the shared cache cannot be used (%s): working without it", type(error).__name__)
            return otherwise
        self._breaker.worked()
        if self._away:
            self._away = False
            log.info("the shared cache can be used again")
        return result


class SharedLevel[K: Hashable, V]:
    """The entries of one kind."""

    def __init__(self, shared: SharedCache, kind: str, coding: Coding[V]) -> None:
        self._shared = shared
        self._kind = kind
        self._coding = coding

    async def load(self, key: K) -> Entry[V] | None:
        """An entry that another gateway has left."""
        entry = await self._shared.load(self._kind, key)
        if entry is None:
            return None
        try:
            return Entry(self._coding.decode(entry.value), entry.ttl)
        except (ValueError, KeyError, TypeError):
            log.warning("the shared cache holds a %s of another version; it is left alone", self._kind)
            return None

    async def save(self, key: K, entry: Entry[V]) -> None:
        """Leave an entry for others."""
        await self._shared.save(self._kind, key, Entry(self._coding.encode(entry.value), entry.ttl))


def level[K: Hashable, V](shared: SharedCache | None, kind: str, coding: Coding[V]) -> SharedLevel[K, V] | None:
    """The second level for a cache of one `kind`, where there is a server."""
    return SharedLevel(shared, kind, coding) if shared is not None else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


TEXT: Final[Coding[str]] = Coding(str, _text)
