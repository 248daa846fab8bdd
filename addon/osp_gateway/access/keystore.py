"""The secrets of client keys: a static list first, then the operator's `hmac_fetcher`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from osp_gateway.cache import Entry, SingleFlightCache
from osp_gateway.callables import CallableRunner, failure, name_of
from osp_gateway.s3.errors import S3Error

log = logging.getLogger(__name__)

FOUND_TTL: Final = 300.0
UNKNOWN_TTL: Final = 5.0
CACHE_SIZE: Final = 10_000

Fetcher = Callable[[str], Any]


class Keystore:
    """Looks up the secret of an access key."""

    def __init__(self, static: Mapping[str, str], fetcher: Fetcher | None, runner: CallableRunner) -> None:
        """`static` maps access keys to secrets; `fetcher(access_key)` gives a secret or None."""
        self._static = dict(static)
        self._fetcher = fetcher
        self._runner = runner
        self._cache: SingleFlightCache[str, str] = SingleFlightCache(CACHE_SIZE)

    async def secret(self, access_key: str) -> str:
        """The secret of `access_key`.

        Raises:
            S3Error: InvalidAccessKeyId (403) for an unknown key, ServiceUnavailable (503) where the fetcher failed.
        """
        secret = self._static.get(access_key)
        if secret is None and self._fetcher is not None:
            secret = await self._cache.get(access_key, lambda: self._fetch(access_key))
        if not secret:
            raise S3Error(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                details={"AWSAccessKeyId": access_key},
            )
        return secret

    async def _fetch(self, access_key: str) -> Entry[str]:
        assert self._fetcher is not None
        try:
            secret = await self._runner.call(self._fetcher, access_key)
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
