"""Names with several addresses: tried in turn, and the next one soon, as RFC 8305 has it.

mitmproxy connects with `asyncio.open_connection`, which waits for each address until the system gives it up: one that
swallows packets would take the whole of the connect timeout. It takes no option for that from an addon, so the event
loop's own method is replaced. (Its `happy_eyeballs_delay` fails with the eager tasks that mitmproxy uses, before
Python 3.12.8.)
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

from osp_gateway.backends.routes import is_ip_address

NEXT_ADDRESS_SECONDS: Final = 0.25
"""RFC 8305, section 5: the connection attempt delay."""

AddressInfo = tuple[Any, Any, int, str, Any]


def try_addresses_in_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop's connections to names begin with the next address while the last one is still silent."""
    if getattr(loop.create_connection, "tries_in_turn", False):
        return
    plain: Any = loop.create_connection

    async def create_connection(factory: Any, host: str | None = None, port: int | None = None, **options: Any) -> Any:
        if host is None or is_ip_address(host) or any(options.values()):
            return await plain(factory, host, port, **options)
        return await plain(factory, sock=await connect(loop, host, port))

    create_connection.tries_in_turn = True  # type: ignore[attr-defined]
    loop.create_connection = create_connection  # type: ignore[method-assign, assignment]


async def connect(loop: asyncio.AbstractEventLoop, host: str, port: int | None) -> socket.socket:
    """A connection to the first address of `host` that takes one.

    Raises:
        OSError: the name has no address, or none of them takes a connection; with what is wrong with each.
    """
    try:
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} cannot be the name of a host") from error
    return await _first(loop, addresses)


async def _first(loop: asyncio.AbstractEventLoop, addresses: Sequence[AddressInfo]) -> socket.socket:
    waiting = list(reversed(addresses))
    attempts: set[asyncio.Task[socket.socket]] = set()
    problems: list[str] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.ensure_future(_attempt(loop, waiting.pop())))
            limit = NEXT_ADDRESS_SECONDS if waiting else None
            done, _ = await asyncio.wait(attempts, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                problem = attempt.exception()
                if problem is None:
                    return attempt.result()
                problems.append(str(problem))
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)
    raise OSError("; ".join(problems) or "the name has no address")


async def _attempt(loop: asyncio.AbstractEventLoop, address: AddressInfo) -> socket.socket:
    family, kind, protocol, _, where = address
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        await loop.sock_connect(connection, where)
    except OSError as error:
        connection.close()
        raise OSError(error.errno, f"{error.strerror or error} ({where[0]})") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """An attempt that came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
