"""A token bucket: so much at once, and so much a second."""

from __future__ import annotations


class TokenBucket:
    """Full at first."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """`rate` tokens come in a second, `burst` fit in; `now` is in seconds, by any clock."""
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; whether there was one. A clock that goes back adds none."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
