"""How a gateway lives on and ends: the signals of its process, and what they do.

    SIGTERM, SIGINT    no new connections; idle ones close; what is under way has `shutdown_grace` seconds; the end
    one of them again  the end
    SIGHUP             the configuration is read anew

The gateway's connections are all that is waited for. One that was closed counts until its last octet is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from weakref import WeakSet

from mitmproxy import ctx
from mitmproxy.proxy.server import ConnectionHandler

from osp_gateway.mitm.desk import Desk
from osp_gateway.mitm.layers import Drain
from osp_gateway.observe.admin import Page, Pages, text

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.1
"""Before idle connections are closed, what their clients have sent already is read."""
CUT_OFF_SECONDS: Final = 1.0
"""For handlers to notice that their connection is gone."""


class Life:
    """The signals of the process, and the connections that it must see to their end.

    `grace` is how many seconds requests in flight have to finish.
    """

    def __init__(self, desk: Desk, reload: Callable[[], Awaitable[None]]) -> None:
        """`reload` reads the configuration anew; it reports mistakes itself."""
        self.grace = 30.0
        self._desk = desk
        self._reload = reload
        self._silent: WeakSet[ConnectionHandler] = WeakSet()
        self._speaking: WeakSet[ConnectionHandler] = WeakSet()
        self._open: dict[asyncio.Task[None], asyncio.WriteTransport] = {}
        self._told = False
        self._ending: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._reload_wanted = False
        self._had_terminal = False

    # Connections

    def watch(self, handler: ConnectionHandler) -> None:
        """A client has connected: count on its connection, handled by mitmproxy's `handler`, until it is closed."""
        writer = handler.transports[handler.client].writer
        if self._told or not isinstance(writer, asyncio.StreamWriter):
            handler.client.error = "the gateway is ending"
            return
        self._silent.add(handler)
        task = asyncio.get_running_loop().create_task(writer.wait_closed())
        self._open[task] = writer.transport
        task.add_done_callback(self._closed)

    def spoke(self, handler: ConnectionHandler) -> None:
        """The client has said something, and our layers handle it."""
        self._silent.discard(handler)
        self._speaking.add(handler)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        if not task.cancelled():
            task.exception()  # a connection that was reset is closed as well

    # Signals

    def start(self) -> None:
        """Take over the process's signals, where this is its main thread.

        In mitmweb and mitmproxy SIGINT stays what it is: there it is a person who wants to go.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._had_terminal = _has_terminal()
        interactive = ctx.master.addons.get("view") is not None
        actions = {"SIGTERM": self.stop, "SIGHUP": self.hang_up, **({} if interactive else {"SIGINT": self.stop})}
        for name, action in actions.items():
            with suppress(NotImplementedError, AttributeError):  # not on this system
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), action)

    def stop(self) -> None:
        """Begin to end; where that has begun, end."""
        loop = asyncio.get_running_loop()
        if self._ending is None:
            self._ending = loop.create_task(self._end())
        elif self._leaving is None:
            self._leaving = loop.create_task(self._leave("told to end a second time"))
        else:
            ctx.master.shutdown()

    def hang_up(self) -> None:
        """SIGHUP: the configuration is to be read anew, unless it is our terminal that has gone."""
        if self._had_terminal and not _has_terminal():
            self.stop()
            return
        self._reload_wanted = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload_all())

    async def _reload_all(self) -> None:
        """Once more for signals that came while the configuration was being read, however many."""
        while self._reload_wanted:
            self._reload_wanted = False
            try:
                await self._reload()
            except Exception:
                log.exception("the configuration could not be read anew")

    # The end

    async def _end(self) -> None:
        log.info("ending: no new connections, %g s for requests in flight", self.grace)
        try:
            async with asyncio.timeout(self.grace):
                await self._drain()
        except TimeoutError:
            await self._leave(f"shutdown_grace ({self.grace:g} s) is over")
        finally:
            ctx.master.shutdown()

    async def _drain(self) -> None:
        proxyserver = ctx.master.addons.get("proxyserver")
        if proxyserver:
            await proxyserver.servers.update([])
        await self._tell(Drain(close=False))
        await asyncio.sleep(SETTLE_SECONDS)
        self._told = True
        for handler in tuple(self._silent):
            transport = handler.transports.get(handler.client)
            if transport is not None and transport.handler is not None:
                handler.close_connection(handler.client)
            else:
                handler.client.error = "the gateway is ending"
        await self._tell(Drain(close=True))
        while self._open:
            await asyncio.wait(self._open)

    async def _tell(self, event: Drain) -> None:
        for handler in tuple(self._speaking):
            await handler.server_event(event)

    async def _leave(self, why: str) -> None:
        """Cut off what is under way."""
        requests = sum(flow.live for flow in self._desk.managed)
        if self._open:
            log.warning("%s: %d requests in flight on %d connections are cut off", why, requests, len(self._open))
            for transport in self._open.values():
                transport.abort()
            await asyncio.wait(self._open, timeout=CUT_OFF_SECONDS)
        ctx.master.shutdown()

    # The admin port

    def pages(self) -> Pages:
        """What the admin port shows of it."""
        return {"/-/health": lambda: text(HTTPStatus.OK, "ok"), "/-/ready": self._readiness}

    def _readiness(self) -> Page:
        if self._ending is not None:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "ending")
        if not self._listening():
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "not every port is open")
        return text(HTTPStatus.OK, "ready")

    def _listening(self) -> bool:
        proxyserver = ctx.master.addons.get("proxyserver")
        servers = tuple(proxyserver.servers) if proxyserver else ()
        return bool(servers) and all(server.is_running for server in servers)


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
