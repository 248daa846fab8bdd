"""Credentials for the backend: static, found by botocore, or from the operator's `bucket_creds_fetcher(token, bucket)`.

What the fetcher gives is kept per token and bucket: two clients never share a fetched credential.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from osp_gateway.backends.chain import ChainCredentials
from osp_gateway.backends.routes import ApiKey, BucketRoute, ChainSource, Credentials, CredentialSource
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner, CallTimeout, failure, name_of
from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import Coding, SharedCache, level
from osp_gateway.sigv4.keys import KeyPair
from osp_gateway.tallies import Tallies

log = logging.getLogger(__name__)

CACHE_SIZE: Final = 10_000
EXPIRY_MARGIN_SECONDS: Final = 60.0

_ACCESS: Final = ("access_key", "accessKey", "AccessKeyId", "aws_access_key_id")
_SECRET: Final = ("secret_key", "secretKey", "SecretAccessKey", "aws_secret_access_key")
_TOKEN: Final = ("session_token", "sessionToken", "SessionToken", "aws_session_token")
_EXPIRY: Final = ("expiration", "Expiration", "expiry", "expires_at")
_API_KEY: Final = ("apikey", "api_key", "apiKey")

Fetcher = Callable[[str, str], Any]


class BackendCredentials:
    """Finds the credentials for a request."""

    def __init__(
        self,
        fetcher: Fetcher | None,
        runner: CallableRunner,
        clock: Callable[[], float] = time.time,
        shared: SharedCache | None = None,
        tallies: Tallies | None = None,
        chain: ChainCredentials | None = None,
    ) -> None:
        """`fetcher(token, bucket)` is asked where a route has no credentials of its own; `chain` asks botocore."""
        tallies = tallies or Tallies()
        self._chain = chain or ChainCredentials(clock)
        self._fetcher = fetcher
        self._runner = runner
        self._clock = clock
        self._refreshes = tallies.refresh("backend_credentials")
        self._cache: SingleFlightCache[tuple[str, str], Credentials] = SingleFlightCache(
            CACHE_SIZE,
            second=level(shared, "backend credentials", CREDENTIALS),
            tally=tallies.cache("backend_credentials"),
        )

    async def get(self, route: BucketRoute, token: str, bucket: str) -> Credentials:
        """Credentials for `bucket` on behalf of the client `token`.

        Raises:
            S3Error: ServiceUnavailable (503) where there are none or the fetcher failed.
        """
        if route.credentials is not None:
            return await self.resolved(route.credentials)
        if self._fetcher is None:
            raise _unavailable(f"bucket {bucket!r} has no credentials and there is no bucket_creds_fetcher")
        if route.ttl > 0 and (known := self._cache.peek((token, bucket))) is not None:
            return known
        return await self._cache.get(
            (token, bucket),
            lambda: self._refreshes.counted(self._fetch(token, bucket, route.ttl)),
            share=route.ttl > 0,
        )

    async def resolved(self, source: CredentialSource) -> Credentials:
        """The credentials of a source.

        Raises:
            S3Error: ServiceUnavailable (503) where it has none.
        """
        return await self._chain.get(source) if isinstance(source, ChainSource) else source

    @property
    def kept(self) -> int:
        """How many of the fetcher's answers are remembered."""
        return len(self._cache)

    async def _fetch(self, token: str, bucket: str, ttl: float) -> Entry[Credentials]:
        assert self._fetcher is not None
        name = name_of(self._fetcher)
        try:
            answer = await self._runner.call(self._fetcher, token, bucket)
        except CallTimeout as error:
            raise _unavailable(str(error)) from error
        except Exception as error:
            log.warning("%s failed for bucket %s: %s", name, bucket, failure(error))
            raise _unavailable(f"{name} raised {type(error).__name__}") from error
        try:
            credentials, expires_at = read_credentials(answer)
        except ValueError as error:
            raise _unavailable(f"{name} returned something unusable: {error}") from error
        left = math.inf if expires_at is None else expires_at - self._clock()
        if left <= 0:
            raise _unavailable(f"{name} returned credentials that have expired")
        return Entry(credentials, max(0.0, min(ttl, left - EXPIRY_MARGIN_SECONDS)))


def _written(credentials: Credentials) -> Any:
    if isinstance(credentials, ApiKey):
        return {"apikey": credentials.value}
    return {"pair": [credentials.access_key, credentials.secret_key, credentials.session_token]}


def _read(value: Any) -> Credentials:
    return ApiKey(value["apikey"]) if "apikey" in value else KeyPair(*value["pair"])


CREDENTIALS: Final[Coding[Credentials]] = Coding(_written, _read)


def read_credentials(answer: object) -> tuple[Credentials, float | None]:
    """Credentials and, where given, their expiry in seconds since the epoch.

    Args:
        answer: an API key (str); a JSON object (str) or a mapping with access and secret key or with an API
            key, and optionally session token and expiry; or a pair (access key, secret key).

    Raises:
        ValueError: anything else; the message names types and fields, never values.
    """
    if isinstance(answer, str):
        text = answer.strip()
        if not text.startswith(("{", "[")):
            return ApiKey(_text("the API key", text)), None
        try:
            answer = json.loads(text)
        except ValueError:
            raise ValueError("a string that looks like JSON but is not") from None
    if isinstance(answer, Mapping):
        return _read_mapping(answer)
    if isinstance(answer, Sequence) and not isinstance(answer, bytes | bytearray):
        if len(answer) not in (2, 3):
            raise ValueError(f"a sequence of {len(answer)}, expected (access key, secret key)")
        token = _text("session token", answer[2]) if len(answer) == 3 else None
        return KeyPair(_text("access key", answer[0]), _text("secret key", answer[1]), token), None
    raise ValueError(f"{type(answer).__name__}, expected an API key, a JSON string, a mapping or a pair")


def _read_mapping(answer: Mapping[Any, Any]) -> tuple[Credentials, float | None]:
    expires_at = _expiry(_first(answer, _EXPIRY))
    api_key = _first(answer, _API_KEY)
    if api_key is not None:
        return ApiKey(_text("apikey", api_key)), expires_at
    token = _first(answer, _TOKEN)
    pair = KeyPair(
        _text("access_key", _first(answer, _ACCESS)),
        _text("secret_key", _first(answer, _SECRET)),
        None if token is None else _text("session_token", token),
    )
    return pair, expires_at


def _first(answer: Mapping[Any, Any], names: Sequence[str]) -> Any:
    return next((answer[name] for name in names if answer.get(name) is not None), None)


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what}: expected str, got {type(value).__name__}")
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError(f"{what}: expected printable ASCII")
    return value


def _expiry(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value)
    if isinstance(value, str):
        try:
            return _expiry(datetime.fromisoformat(value))
        except ValueError:
            raise ValueError("expiration: expected ISO 8601") from None
    raise ValueError(f"expiration: expected a time, got {type(value).__name__}")


def _finite(value: float) -> float:
    try:
        if math.isfinite(seconds := float(value)):
            return seconds
    except OverflowError:
        pass  # said below, as for infinity
    raise ValueError("expiration: expected a time, got a number that is none")


def _unavailable(reason: str) -> S3Error:
    return S3Error.unavailable(
        "The gateway could not obtain credentials for the backend. Please try again.", reason=reason
    )
