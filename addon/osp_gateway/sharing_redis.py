"""Redis or Valkey as the store that gateways share."""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

MAX_CONNECTIONS: Final = 16
SOCKET_SECONDS: Final = 2.0
"""For the client's own housekeeping; each call has a shorter limit of its own."""

_COUNT: Final = (
    "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n"
)


class RedisStore:
    """The few commands that are needed, over one pool of connections."""

    def __init__(self, url: str) -> None:
        """`url` is `redis://`, `rediss://` (TLS) or `unix://`, as the client library takes it.

        Raises:
            ValueError: it is none of them.
        """
        self._client = Redis.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )

    async def get(self, name: str) -> bytes | None:
        """See `Store`."""
        value = await self._client.get(name)
        return value if isinstance(value, bytes) else None

    async def set(self, name: str, value: bytes, milliseconds: int) -> None:
        """See `Store`."""
        await self._client.set(name, value, px=milliseconds)

    async def count(self, name: str, milliseconds: int) -> int:
        """See `Store`. One script, so that no number is left behind that never ends."""
        return int(await self._client.eval(_COUNT, 1, name, str(milliseconds)))

    async def close(self) -> None:
        """See `Store`."""
        await self._client.aclose()
