"""The keys of one issuer: listed in the configuration, or published by the issuer and fetched when there is need."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from osp_gateway.access.jwt.keys import VerificationKey, candidates, read_jwks, thumbprint
from osp_gateway.asking import Ask, Question, ServiceUrl
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 600.0
"""After this time keys are fetched anew, while those at hand go on being used."""
PAUSE_SECONDS: Final = 10.0
"""Between two fetches at least, whatever tokens of unknown keys arrive."""
MAX_SET_OCTETS: Final = 256 * 1024


class KeySet(Protocol):
    """Keys of one issuer."""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that a token may be checked with; none where its key is not known.

        Raises:
            S3Error: ServiceUnavailable (503) where no keys are to be had.
        """

    def holds(self, key: VerificationKey) -> bool:
        """Whether a key is still one of the set, and the set still to be believed."""


class ListedKeys:
    """Keys that the operator has listed."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = tuple(keys)

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """See `KeySet`."""
        return candidates(self._keys, kid, algorithm)

    def holds(self, key: VerificationKey) -> bool:
        """See `KeySet`."""
        return key in self._keys


@dataclass(frozen=True, slots=True)
class Published:
    """Where keys are published, and for how many seconds they are used while that address cannot be reached."""

    url: ServiceUrl
    max_age: float


class PublishedKeys:
    """A JWK set at a URL. One fetch is in flight, however many wait for it."""

    def __init__(self, published: Published, ask: Ask, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._published = published
        self._ask = ask
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._flight: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """See `KeySet`. A key that is not known is looked for once, where it has not just been looked for."""
        if not self._usable():
            await self._fetch()
            if not self._usable():
                raise S3Error.unavailable(
                    "The token could not be verified. Please try again.", reason="no keys of the token's issuer"
                )
        elif self._clock() - self._fetched_at >= FRESH_SECONDS:
            self._begin()
        found = candidates(self._keys, kid, algorithm)
        if found:
            return found
        await self._fetch()
        return candidates(self._keys, kid, algorithm)

    def holds(self, key: VerificationKey) -> bool:
        """See `KeySet`."""
        if self._clock() - self._fetched_at >= FRESH_SECONDS:
            self._begin()
        return self._usable() and key in self._keys

    def _usable(self) -> bool:
        return self._clock() - self._fetched_at < self._published.max_age

    async def _fetch(self) -> None:
        """Wait for a fetch, unless it is too early for one."""
        flight = self._begin()
        if flight is not None:
            await asyncio.shield(flight)

    def _begin(self) -> asyncio.Task[None] | None:
        if self._flight is not None and not self._flight.done():
            return self._flight
        if self._clock() - self._tried_at < PAUSE_SECONDS:
            return None
        self._tried_at = self._clock()
        self._flight = asyncio.ensure_future(self._fly())
        return self._flight

    async def _fly(self) -> None:
        url = self._published.url
        try:
            answer = await self._ask(Question(url, max_octets=MAX_SET_OCTETS))
            if answer.status != 200:
                raise ValueError(f"the answer has status {answer.status}")
            keys, unusable = read_jwks(answer.body)
        except (OSError, ValueError) as error:
            log.warning("%s: no keys from there (%s); %s", url.shown, error, self._what_is_left())
        except Exception:
            log.exception("%s: no keys from there; %s", url.shown, self._what_is_left())
        else:
            self._take(keys, unusable)

    def _take(self, keys: Sequence[VerificationKey], unusable: int) -> None:
        known = {thumbprint(key): key for key in self._keys}
        taken = tuple(known.get(thumbprint(key), key) for key in keys)
        if set(taken) != set(self._keys):
            more = f"; {unusable} of another kind are left alone" if unusable else ""
            log.info("%s: %d keys for tokens%s", self._published.url.shown, len(taken), more)
        self._keys, self._fetched_at = taken, self._clock()

    def _what_is_left(self) -> str:
        return "those that are known go on being used" if self._usable() else "its tokens cannot be verified"
