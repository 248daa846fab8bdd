"""How often a presigned URL may be used."""

from __future__ import annotations

import heapq
from typing import Final

from osp_gateway.s3.errors import S3Error

MAX_COUNTED_URLS: Final = 200_000


class PresignUses:
    """Counts the uses of presigned URLs, by signature, until they expire.

    When as many URLs are counted as there is room for, further ones are refused rather than forgotten: a
    forgotten count would let a URL be used again. The `limit` may be changed at any time.
    """

    def __init__(self, limit: int | None, room: int = MAX_COUNTED_URLS) -> None:
        """Allow `limit` uses of each URL (None: any number)."""
        self.limit = limit
        self._room = room
        self._uses: dict[str, int] = {}
        self._ends: list[tuple[float, str]] = []

    def count(self, signature: str, expires_at: float, now: float) -> None:
        """Count one use of the URL with this signature; times are seconds since the epoch.

        Raises:
            S3Error: AccessDenied when it was used up, SlowDown when there is no room to count.
        """
        if self.limit is None:
            return
        self._forget_expired(now)
        used = self._uses.get(signature, 0)
        if used >= self.limit:
            raise S3Error.access_denied(
                reason=f"presigned URL used more than {self.limit} times",
                message=f"The presigned URL was used as often as it may be ({self.limit}).",
            )
        if used == 0:
            if len(self._uses) >= self._room:
                raise S3Error("SlowDown", "Too many presigned URLs are in use. Please try again.")
            heapq.heappush(self._ends, (expires_at, signature))
        self._uses[signature] = used + 1

    def _forget_expired(self, now: float) -> None:
        while self._ends and self._ends[0][0] < now:
            _, signature = heapq.heappop(self._ends)
            self._uses.pop(signature, None)
