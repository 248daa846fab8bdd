"""What a gateway counts of itself on its way: plain numbers, for whoever wants to look at them.

Whoever counts holds its own tally and adds to it; nobody is called. Tallies outlive gateways: one that takes over from
another goes on with its numbers.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field


@dataclass(slots=True)
class CacheTally:
    """How often something was looked for in a cache, and found; `failures` where the cache itself did not work."""

    hits: int = 0
    misses: int = 0
    failures: int = 0


@dataclass(slots=True)
class RefreshTally:
    """How often something was fetched anew, and how that went."""

    succeeded: int = 0
    failed: int = 0

    async def counted[T](self, refresh: Awaitable[T]) -> T:
        """The result of a fetch, which is counted. Raises what that raises."""
        try:
            result = await refresh
        except Exception:
            self.failed += 1
            raise
        self.succeeded += 1
        return result


@dataclass(slots=True)
class Tallies:
    """All of them by name; one that is asked for the first time begins at zero."""

    caches: dict[str, CacheTally] = field(default_factory=dict)
    refreshes: dict[str, RefreshTally] = field(default_factory=dict)

    def cache(self, name: str) -> CacheTally:
        """The tally of the cache `name`."""
        return self.caches.setdefault(name, CacheTally())

    def refresh(self, name: str) -> RefreshTally:
        """The tally of the kind `name` of credentials."""
        return self.refreshes.setdefault(name, RefreshTally())
