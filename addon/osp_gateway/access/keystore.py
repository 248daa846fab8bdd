"""The secrets of client keys: a static list first, then the operator's `hmac_fetcher`.

A session token is part of what is asked: temporary credentials are an access key, a secret and a token that belong
together.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner, failure, name_of
from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import TEXT, SharedCache, level
from osp_gateway.sigv4.keys import KeyPair

log = logging.getLogger(__name__)

FOUND_TTL: Final = 300.0
UNKNOWN_TTL: Final = 5.0
CACHE_SIZE: Final = 10_000

Fetcher = Callable[..., Any]


class Keystore:
    """Looks up the secret of an access key."""

    def __init__(
        self,
        static: Mapping[str, KeyPair],
        fetcher: Fetcher | None,
        runner: CallableRunner,
        *,
        tokens: bool = False,
        shared: SharedCache | None = None,
    ) -> None:
        """Look keys up.

        Args:
            static: the listed ones, by access key.
            fetcher: `(access_key)`, or `(access_key, session_token)` where it knows about `tokens`, gives a secret or
                None.
            runner: calls the fetcher.
            tokens: whether the fetcher takes a session token.
            shared: what other gateways have found out.
        """
        self._static = dict(static)
        self._fetcher = fetcher
        self._tokens = tokens
        self._runner = runner
        self._cache: SingleFlightCache[tuple[str, bytes], str] = SingleFlightCache(
            CACHE_SIZE, second=level(shared, "client secret", TEXT)
        )

    async def secret(self, access_key: str, session_token: str | None = None) -> str:
        """The secret of `access_key`, where that has come with the right session token, or rightly without one.

        Raises:
            S3Error: InvalidAccessKeyId (403) for an unknown key, InvalidToken (400) for a token that does not belong to
                it, ServiceUnavailable (503) where the fetcher failed.
        """
        listed = self._static.get(access_key)
        if listed is not None:
            if not _same(listed.session_token, session_token):
                raise _invalid_token()
            return listed.secret_key
        secret = ""
        if self._fetcher is not None:
            if session_token is not None and not self._tokens:
                raise _invalid_token()
            name = _cache_name(access_key, session_token)
            secret = await self._cache.get(name, lambda: self._fetch(access_key, session_token))
        if not secret:
            raise S3Error(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                details={"AWSAccessKeyId": access_key},
            )
        return secret

    @property
    def kept(self) -> int:
        """How many of the fetcher's answers are remembered."""
        return len(self._cache)

    def known(self, access_key: str, session_token: str | None = None) -> str:
        """The secret, where it is at hand without asking anybody; else an empty string."""
        listed = self._static.get(access_key)
        if listed is not None:
            return listed.secret_key
        return self._cache.peek(_cache_name(access_key, session_token)) or ""

    async def _fetch(self, access_key: str, session_token: str | None) -> Entry[str]:
        assert self._fetcher is not None
        asked = (access_key, session_token) if self._tokens else (access_key,)
        try:
            secret = await self._runner.call(self._fetcher, *asked)
        except Exception as error:
            log.warning("hmac_fetcher %s failed: %s", name_of(self._fetcher), failure(error))
            raise S3Error.unavailable(
                "The access key could not be looked up. Please try again.",
                reason=f"hmac_fetcher failed: {type(error).__name__}",
            ) from error
        if secret is None:
            return Entry("", UNKNOWN_TTL)
        if not isinstance(secret, str):
            raise S3Error.internal(f"hmac_fetcher returned {type(secret).__name__}, expected str or None")
        return Entry(secret, FOUND_TTL if secret else UNKNOWN_TTL)


def _cache_name(access_key: str, session_token: str | None) -> tuple[str, bytes]:
    # Tokens are long, and whoever sends them chooses them: the cache holds their hashes.
    return access_key, hashlib.sha256((session_token or "").encode()).digest()


def _same(expected: str | None, given: str | None) -> bool:
    if expected is None or given is None:
        return expected is given
    return hmac.compare_digest(expected.encode(), given.encode())


def _invalid_token() -> S3Error:
    return S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.")
