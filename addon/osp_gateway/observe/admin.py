"""The admin port: a few pages for those who look after the gateway, apart from everything that clients can reach.

A page is a path and a function; some want to know what the client accepts, and are made in a thread, because they may
take a while. Each connection carries one request, within bounds on its head, its time and the
number of connections; whatever comes after the head is not looked at.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11

log = logging.getLogger(__name__)

MAX_HEAD_OCTETS: Final = 8 * 1024
MAX_CONNECTIONS: Final = 32
EXCHANGE_SECONDS: Final = 5.0
"""For a whole connection: the request, the answer and the time that the client takes to hang up."""
MAX_IGNORED_OCTETS: Final = 64 * 1024
"""What a client may send after its head, so that it can read the answer before it finds the connection closed."""
PIECE_OCTETS: Final = 1024
METHODS: Final = (b"GET", b"HEAD")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its status, its body and the body's media type."""

    status: int
    body: bytes
    media_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Page]]
"""What is there: the path of each page, and the function that makes it."""
Documents = Mapping[str, Callable[[str], Page]]
"""Pages that come in several forms: the function is given the header `Accept`, and runs in a thread."""


def text(status: HTTPStatus, words: str) -> Page:
    """A page of one line."""
    return Page(status.value, f"{words}\n".encode())


class AdminServer:
    """A small HTTP/1.1 server for GET and HEAD on a few paths."""

    def __init__(self, pages: Pages, documents: Documents | None = None) -> None:
        self._pages = pages
        self._documents = documents or {}
        self._server: asyncio.Server | None = None
        self._start: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 lets the kernel choose. Returns the address that is listened on.

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        listener.setblocking(False)
        self._start = asyncio.get_running_loop().create_task(self._serve(listener))
        address = listener.getsockname()
        return address[0], address[1]

    def close(self) -> None:
        """Stop listening and drop what is open."""
        if self._start is not None:
            self._start.cancel()
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()

    async def _serve(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=MAX_HEAD_OCTETS)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._exchange(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first octet to its end."""
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(EXCHANGE_SECONDS):
                    answer = await self._answer(reader)
                    if answer:
                        writer.write(answer)
                        writer.write_eof()
                        await _until_the_client_hangs_up(reader)
        except Exception:
            log.exception("the admin port failed")
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """The octets of an answer; none where the client hung up before it had asked."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_OCTETS)
        try:
            request = await _read_head(connection, reader)
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            return _written(connection, text(status, status.phrase))
        return _written(connection, await self._page(request), request.method) if request else b""

    async def _page(self, request: h11.Request) -> Page:
        path = request.target.partition(b"?")[0].decode("latin-1")
        page, document = self._pages.get(path), self._documents.get(path)
        if page is None and document is None:
            return text(HTTPStatus.NOT_FOUND, "not found")
        if request.method not in METHODS:
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are allowed")
        if document is not None:
            accept = b",".join(value for name, value in request.headers if name == b"accept")
            return await asyncio.to_thread(document, accept.decode("latin-1"))
        assert page is not None
        return page()


async def _read_head(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The request; None where none came.

    Raises:
        h11.RemoteProtocolError: what came is no HTTP, or too much.
    """
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await reader.read(PIECE_OCTETS))


def _written(connection: h11.Connection, page: Page, method: bytes = b"GET") -> bytes:
    headers = [
        ("Content-Type", page.media_type),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    if page.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", b", ".join(METHODS).decode()))
    octets = connection.send(h11.Response(status_code=page.status, headers=headers)) or b""
    if method != b"HEAD":
        octets += connection.send(h11.Data(data=page.body)) or b""
    return octets


async def _until_the_client_hangs_up(reader: asyncio.StreamReader) -> None:
    ignored = 0
    while ignored < MAX_IGNORED_OCTETS and (data := await reader.read(PIECE_OCTETS)):
        ignored += len(data)
