"""Client keys that an HTTP service knows.

It is sent `{"access_key": ...}` with POST, and answers 200 with a JSON object: `secret_key`, and where need be
`session_token` and `ttl` (seconds); or 404 for a key that it does not know. Anything else is no answer.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osp_gateway.asking import Ask, Question, ServiceUrl
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CircuitBreaker
from osp_gateway.fields import AtLeastZero, Secret
from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import Coding, SharedCache, level
from osp_gateway.sigv4.keys import KeyPair

log = logging.getLogger(__name__)

FOUND_TTL: Final = 300.0
UNKNOWN_TTL: Final = 5.0
CACHE_SIZE: Final = 10_000
MAX_ANSWER_OCTETS: Final = 64 * 1024
MAX_KEY_CHARS: Final = 1024


@dataclass(frozen=True, slots=True)
class KeyServiceAddress:
    """Where the service is, and the bearer token that it wants, if any."""

    url: ServiceUrl
    token: str | None = field(repr=False)


class _Answer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True, strict=True)
    secret_key: Secret
    access_key: str | None = None
    session_token: Annotated[Secret, Field(max_length=16384)] | None = None
    ttl: AtLeastZero = FOUND_TTL


class KeyService:
    """Asks once for a key, however many want it, and remembers the answer for `ttl` seconds, FOUND_TTL at most."""

    def __init__(
        self,
        address: KeyServiceAddress,
        ask: Ask,
        shared: SharedCache | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """`shared` is what other gateways have found out."""
        self._address = address
        self._ask = ask
        self._breaker = breaker or CircuitBreaker()
        self._cache: SingleFlightCache[str, KeyPair] = SingleFlightCache(
            CACHE_SIZE, second=level(shared, f"key of {address.url}", PAIR)
        )

    async def find(self, access_key: str) -> KeyPair | None:
        """A key, or None where the service does not know it.

        Raises:
            S3Error: ServiceUnavailable (503) where it does not answer.
        """
        if len(access_key) > MAX_KEY_CHARS or not access_key.isascii():
            return None
        pair = await self._cache.get(access_key, lambda: self._fetch(access_key))
        return pair if pair.secret_key else None

    def known(self, access_key: str) -> KeyPair | None:
        """A key, where it is at hand without asking."""
        pair = self._cache.peek(access_key)
        return pair if pair is not None and pair.secret_key else None

    async def _fetch(self, access_key: str) -> Entry[KeyPair]:
        if not self._breaker.closed():
            raise _unavailable("keys_url failed too often in a row and is not asked for a while")
        try:
            entry = await self._asked(access_key)
        except (OSError, ValueError) as error:
            self._breaker.failed()
            log.warning("keys_url: no answer from there (%s)", error)
            raise _unavailable(f"keys_url: {error}") from None
        self._breaker.worked()
        return entry

    async def _asked(self, access_key: str) -> Entry[KeyPair]:
        headers = {"Content-Type": "application/json"}
        if self._address.token is not None:
            headers["Authorization"] = f"Bearer {self._address.token}"
        body = json.dumps({"access_key": access_key}).encode()
        answer = await self._ask(Question(self._address.url, headers, body, MAX_ANSWER_OCTETS))
        if answer.status == 404:
            return Entry(KeyPair(access_key, ""), UNKNOWN_TTL)
        if answer.status != 200:
            raise ValueError(f"the answer has status {answer.status}")
        try:
            found = _Answer.model_validate_json(answer.body)
        except ValidationError:
            raise ValueError("the answer is none that is expected") from None
        if found.access_key is not None and found.access_key != access_key:
            raise ValueError("the answer is about another key")
        return Entry(KeyPair(access_key, found.secret_key, found.session_token), min(found.ttl, FOUND_TTL))


def _unavailable(reason: str) -> S3Error:
    return S3Error.unavailable("The access key could not be looked up. Please try again.", reason=reason)


def _read(value: Any) -> KeyPair:
    access_key, secret_key, session_token = value
    if not isinstance(access_key, str) or not isinstance(secret_key, str):
        raise TypeError("a key is a text")
    return KeyPair(access_key, secret_key, session_token)


PAIR: Final[Coding[KeyPair]] = Coding(lambda pair: [pair.access_key, pair.secret_key, pair.session_token], _read)
