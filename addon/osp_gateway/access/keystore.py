"""The secrets of client keys: the chain of all that knows keys.

Asked in this order: the static list, the environment, the key file, the operator's `hmac_fetcher`, the key service. The
first that knows a key decides; one that fails refuses for now, as it might have known. A session token is part of what
is asked: temporary credentials are an access key, a secret and a token that belong together.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from osp_gateway.access.key_file import KeyFile
from osp_gateway.access.key_model import Listed
from osp_gateway.access.key_service import KeyService
from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner, failure, name_of
from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import TEXT, SharedCache, level
from osp_gateway.sigv4.keys import MAX_TOLD_CHARS, KeyPair, told
from osp_gateway.tallies import CacheTally

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
        tally: CacheTally | None = None,
        environment: Listed | None = None,
        file: KeyFile | None = None,
        service: KeyService | None = None,
    ) -> None:
        """Look keys up.

        Args:
            static: the listed ones, by access key.
            fetcher: `(access_key)`, or `(access_key, session_token)` where it knows about `tokens`, gives a secret or
                None.
            runner: calls the fetcher.
            tokens: whether the fetcher takes a session token.
            shared: what other gateways have found out.
            tally: counts what is found in the cache.
            environment: keys in environment variables.
            file: keys in a file.
            service: keys that a service knows.
        """
        self._static = dict(static)
        self._environment = environment or {}
        self._file = file
        self._service = service
        self._fetcher = fetcher
        self._tokens = tokens
        self._runner = runner
        self._cache: SingleFlightCache[tuple[str | bytes, bytes], str] = SingleFlightCache(
            CACHE_SIZE, second=level(shared, "client secret", TEXT), tally=tally
        )

    async def secret(self, access_key: str, session_token: str | None = None) -> str:
        """The secret of `access_key`, where that has come with the right session token, or rightly without one.

        Raises:
            S3Error: InvalidAccessKeyId (403) for an unknown key, InvalidToken (400) for a token that does not belong to
                it, ServiceUnavailable (503) where the fetcher failed.
        """
        listed = await self._newly_listed(access_key)
        if listed is not None:
            return _with_token(listed, session_token)
        if self._fetcher is not None and (session_token is None or self._tokens):
            secret = await self.fetched(access_key, session_token)
            if secret:
                return secret
        if self._service is not None:
            found = await self._service.find(access_key)
            if found is not None:
                return _with_token(found, session_token)
        elif self._fetcher is not None and session_token is not None and not self._tokens:
            raise _invalid_token()
        raise S3Error(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            details={"AWSAccessKeyId": told(access_key)},
        )

    async def fetched(self, access_key: str, session_token: str | None = None) -> str:
        """What the operator's `hmac_fetcher` says; an empty string where there is none, or it does not know the key.

        Raises:
            S3Error: ServiceUnavailable (503) where it failed.
        """
        if self._fetcher is None:
            return ""
        name = _cache_name(access_key, session_token)
        return await self._cache.get(name, lambda: self._fetch(access_key, session_token))

    async def lists(self, access_key: str, session_token: str) -> bool:
        """Whether a key is listed somewhere with this very session token."""
        listed = await self._newly_listed(access_key)
        return listed is not None and listed.session_token is not None and _same(listed.session_token, session_token)

    async def _newly_listed(self, access_key: str) -> KeyPair | None:
        if self._file is not None:
            await self._file.refresh()
        return self.listed(access_key)

    def listed(self, access_key: str) -> KeyPair | None:
        """A key that is in the list, the environment or, as of the last look at it, the file."""
        pair = self._static.get(access_key)
        if pair is not None:
            return pair
        found = self._environment.get(access_key) or (self._file.get(access_key) if self._file is not None else None)
        return None if found is None else found.pair

    def buckets_of(self, access_key: str) -> Sequence[str] | None:
        """The patterns of buckets that the file lists with a key, where it is the file's; else None."""
        if self._file is None or access_key in self._static or access_key in self._environment:
            return None
        found = self._file.get(access_key)
        return None if found is None else found.buckets

    @property
    def kept(self) -> int:
        """How many of the fetcher's answers are remembered."""
        return len(self._cache)

    def known(self, access_key: str, session_token: str | None = None) -> str:
        """The secret, where it is at hand without asking anybody; else an empty string."""
        pair = self.listed(access_key)
        if pair is None and self._service is not None:
            pair = self._service.known(access_key)
        if pair is not None:
            return pair.secret_key
        return self._cache.glance(_cache_name(access_key, session_token)) or ""

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


def _cache_name(access_key: str, session_token: str | None) -> tuple[str | bytes, bytes]:
    # Tokens are long, and whoever sends them chooses them: the cache holds their hashes.
    key = access_key if len(access_key) <= MAX_TOLD_CHARS else hashlib.sha256(access_key.encode()).digest()
    return key, hashlib.sha256((session_token or "").encode()).digest()


def _with_token(pair: KeyPair, session_token: str | None) -> str:
    """The secret, where the session token is the key's own."""
    if not _same(pair.session_token, session_token):
        raise _invalid_token()
    return pair.secret_key


def _same(expected: str | None, given: str | None) -> bool:
    if expected is None or given is None:
        return expected is given
    return hmac.compare_digest(expected.encode(), given.encode())


def _invalid_token() -> S3Error:
    return S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.")
