"""The ends of connections to backends, which mitmproxy may keep to itself.

Where writing to a connection fails, mitmproxy cancels the task that reads from it. If that task was about to tell the
layers what it had read, or that the connection has ended, they never hear of it, and whoever waits there hangs. So the
failure to write is left to the reading, which meets it as well; and whatever else may cancel that task, the layers are
told in the end.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import events
from mitmproxy.proxy.server import ConnectionHandler

from osp_gateway.mitm.desk import Desk


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


async def tell_of_the_end(handler: ConnectionHandler, server: Server, desk: Desk) -> None:
    """A connection to a backend is over: see to it that the layers know."""
    if server in desk.ended:
        return
    server.state = ConnectionState.CLOSED
    transport = handler.transports.pop(server, None)  # or closing it would cancel the very task that says so
    if transport is not None and transport.writer is not None:
        transport.writer.close()
    await handler.server_event(events.ConnectionClosed(server))
