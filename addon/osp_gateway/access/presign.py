"""How often a presigned URL may be used."""

from __future__ import annotations

import heapq
from typing import Final

from osp_gateway.s3.errors import S3Error
from osp_gateway.sharing import SharedCache
from osp_gateway.sigv4.dates import MAX_SKEW_SECONDS

MAX_COUNTED_URLS: Final = 200_000
_KIND: Final = "uses of a presigned URL"


class PresignUses:
    """Counts the uses of presigned URLs until they expire; together with other gateways, where they share a server.

    There the count is one, and the server does the adding up: however many gateways are asked at once, a URL is used
    no more often than it may be. While the server is away nobody knows how often that was, and URLs have to wait.
    Each gateway counts for itself as well, so that a server that forgets does not make a URL fresh again here.

    When as many URLs are counted as there is room for, further ones are refused rather than forgotten: a
    forgotten count would let a URL be used again. `limit` and `shared` may be changed at any time.
    """

    def __init__(self, limit: int | None, room: int = MAX_COUNTED_URLS, shared: SharedCache | None = None) -> None:
        """Allow `limit` uses of each URL (None: any number)."""
        self.limit = limit
        self.shared = shared
        self._room = room
        self._uses: dict[str, int] = {}
        self._ends: list[tuple[float, str]] = []

    async def count(self, name: str, expires_at: float, now: float) -> None:
        """Count one use of the URL that is called so; times are seconds since the epoch.

        Raises:
            S3Error: AccessDenied (403) when it was used up, SlowDown (503) when there is no room to count,
                ServiceUnavailable (503) when the shared count is not to be had.
        """
        limit = self.limit
        if limit is None:
            return
        if self.shared is not None:
            # Another gateway's clock may be behind: for it the URL is good for a little longer.
            used = await self.shared.count(_KIND, name, expires_at - now + MAX_SKEW_SECONDS)
            if used is None:
                raise S3Error.unavailable(
                    "The uses of the presigned URL cannot be counted at the moment. Please try again.",
                    reason="presigned URL refused: its uses are counted in the shared cache, which is away",
                )
            if used > limit:
                raise _used_up(limit)
        self._count_here(name, expires_at, now, limit)

    def _count_here(self, name: str, expires_at: float, now: float, limit: int) -> None:
        self._forget_expired(now)
        used = self._uses.get(name, 0)
        if used >= limit:
            raise _used_up(limit)
        if used == 0:
            if len(self._uses) >= self._room:
                raise S3Error("SlowDown", "Too many presigned URLs are in use. Please try again.")
            heapq.heappush(self._ends, (expires_at, name))
        self._uses[name] = used + 1

    def _forget_expired(self, now: float) -> None:
        while self._ends and self._ends[0][0] < now:
            _, name = heapq.heappop(self._ends)
            self._uses.pop(name, None)


def _used_up(limit: int) -> S3Error:
    return S3Error.access_denied(
        reason=f"presigned URL used more than {limit} times",
        message=f"The presigned URL was used as often as it may be ({limit}).",
    )
