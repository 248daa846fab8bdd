"""Names with several addresses: tried in turn, and the next one soon, as RFC 8305 has it.

mitmproxy connects with `asyncio.open_connection`, which waits for each address until the system gives it up: one that
swallows packets would take the whole of the connect timeout. It takes no option for that from an addon, but the event
loop has one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from osp_gateway.backends.routes import is_ip_address

NEXT_ADDRESS_SECONDS: Final = 0.25
"""RFC 8305, section 5: the connection attempt delay."""


def try_addresses_in_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop's connections to names begin with the next address while the last one is still silent."""
    if getattr(loop.create_connection, "tries_in_turn", False):
        return
    plain: Any = loop.create_connection

    async def create_connection(factory: Any, host: str | None = None, port: int | None = None, **options: Any) -> Any:
        if host is not None and not is_ip_address(host):
            options.setdefault("happy_eyeballs_delay", NEXT_ADDRESS_SECONDS)
        return await plain(factory, host, port, **options)

    create_connection.tries_in_turn = True  # type: ignore[attr-defined]
    loop.create_connection = create_connection  # type: ignore[method-assign, assignment]
