"""Writing to a backend that has hung up.

Where writing to a connection fails, mitmproxy cancels the task that reads from it: an answer that has come, for
instance to an upload that the store does not want, would not be read any more. So the failure is left to the reading,
which meets the connection's end as well, behind what came before it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any


class PatientWriter:
    """A connection's stream writer, whose `drain` waits as long as the other side takes nothing, and never fails."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    async def drain(self) -> None:
        """Wait until there is room; a broken connection has room for everything."""
        with suppress(OSError):
            await self._writer.drain()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
