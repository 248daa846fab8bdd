"""The body of a call, held until it is complete: it is small, or it is refused."""

from __future__ import annotations

from typing import Final

MAX_BODY_OCTETS: Final = 64 * 1024
"""A web identity token has up to 20,000 characters, each of which may take three."""


class SmallBody:
    """Collects a body of up to `limit` octets, and no more of a larger one."""

    def __init__(self, limit: int = MAX_BODY_OCTETS) -> None:
        self.limit = limit
        self._held = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> bool:
        """Take a piece; False where the body is too long, and nothing more of it is wanted."""
        if self._too_long or len(self._held) + len(data) > self.limit:
            self._too_long = True
            self._held.clear()
            return False
        self._held += data
        return True

    @property
    def octets(self) -> bytes | None:
        """All of it, or None where it is too long."""
        return None if self._too_long else bytes(self._held)
