"""IBM Cloud IAM: an API key is exchanged for a bearer token, kept and renewed before it expires.

See "Generating an IBM Cloud IAM token by using an API key" in IBM's IAM identity services reference.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from cachetools import LRUCache

from osp_gateway.s3.errors import S3Error
from osp_gateway.tallies import Tallies

log = logging.getLogger(__name__)

DEFAULT_URL: Final = "https://iam.cloud.ibm.com/identity/token"
TOKEN_PATH: Final = "/identity/token"  # noqa: S105 - a path, not a token
GRANT: Final = "urn:ibm:params:oauth:grant-type:apikey"
RENEW_AFTER: Final = 0.8
"""A token is renewed in the background after this part of its life."""
MAX_TOKENS: Final = 10_000
ATTEMPTS: Final = 4
FIRST_PAUSE_SECONDS: Final = 0.2
RETRIED_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class HttpReply:
    """Status and body of an answer."""

    status: int
    body: bytes = field(repr=False)


HttpPost = Callable[[str, Mapping[str, str]], Awaitable[HttpReply]]
"""Posts a form to a URL. Raises OSError where no answer came."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float
    expires_at: float


class IamTokens:
    """Bearer tokens by API key. One exchange is in flight per key, however many requests wait for it."""

    def __init__(
        self,
        post: HttpPost,
        url: str = DEFAULT_URL,
        clock: Callable[[], float] = time.monotonic,
        first_pause: float = FIRST_PAUSE_SECONDS,
        tallies: Tallies | None = None,
    ) -> None:
        """`url` may be the service's base or the token path itself; `clock` and `first_pause` are in seconds."""
        self._post = post
        self._url = token_url(url)
        self._clock = clock
        self._first_pause = first_pause
        tallies = tallies or Tallies()
        self._tally, self._refreshes = tallies.cache("iam_tokens"), tallies.refresh("iam_tokens")
        self._tokens: LRUCache[str, _Token] = LRUCache(MAX_TOKENS)
        self._flights: dict[str, asyncio.Task[_Token]] = {}

    @property
    def kept(self) -> int:
        """How many tokens are remembered."""
        return len(self._tokens)

    async def token(self, api_key: str) -> str:
        """A valid token for the API key.

        Raises:
            S3Error: ServiceUnavailable (503) where IAM gave none.
        """
        now = self._clock()
        token = self._tokens.get(api_key)
        if token is not None and now < token.renew_at:
            self._tally.hits += 1
            return token.value
        flight = self._flights.get(api_key)
        if flight is None:
            flight = asyncio.ensure_future(self._exchange(api_key))
            flight.add_done_callback(_note_failure)
            if not flight.done():
                self._flights[api_key] = flight
        if token is not None and now < token.expires_at:
            self._tally.hits += 1
            return token.value  # still good while its successor is on the way
        self._tally.misses += 1
        return (await asyncio.shield(flight)).value

    async def _exchange(self, api_key: str) -> _Token:
        try:
            token = self._tokens[api_key] = await self._refreshes.counted(self._request(api_key))
            return token
        finally:
            self._flights.pop(api_key, None)

    async def _request(self, api_key: str) -> _Token:
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(self._first_pause * 2 ** (attempt - 1))
            asked_at = self._clock()
            try:
                reply = await self._post(self._url, {"grant_type": GRANT, "apikey": api_key})
            except OSError as error:
                problem = f"no answer from IAM ({type(error).__name__})"
                continue
            if reply.status == 200:
                return _read_token(reply.body, asked_at)
            problem = f"IAM answered {reply.status}"
            if reply.status not in RETRIED_STATUS:
                break
        raise _no_token(problem)


def token_url(url: str) -> str:
    """The token address of an IAM base URL, or the URL itself where it has a path."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + TOKEN_PATH


def _read_token(body: bytes, asked_at: float) -> _Token:
    try:
        answer: Any = json.loads(body)
        value, lifetime = answer["access_token"], float(answer["expires_in"])
    except (ValueError, KeyError, TypeError, OverflowError):
        raise _no_token("IAM's answer has no access_token and expires_in") from None
    usable = isinstance(value, str) and value and value.isascii() and value.isprintable()
    if not usable or not 0 < lifetime < math.inf:
        raise _no_token("IAM's answer has no usable access_token")
    return _Token(value, asked_at + lifetime * RENEW_AFTER, asked_at + lifetime)


def _no_token(problem: str) -> S3Error:
    return S3Error.unavailable(
        "The gateway could not obtain credentials for the backend. Please try again.", reason=problem
    )


def _note_failure(flight: asyncio.Task[_Token]) -> None:
    if not flight.cancelled() and (error := flight.exception()) is not None:
        log.warning("IBM IAM: %s", error.reason if isinstance(error, S3Error) else type(error).__name__)
