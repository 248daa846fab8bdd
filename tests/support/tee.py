"""A relay that keeps what clients send, to the octet: what is secret in it is looked for elsewhere afterwards."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Tee:
    """Listens on a port of the kernel's choice and relays to another."""

    def __init__(self, target: int) -> None:
        self.sent: list[bytearray] = []
        tee = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                kept = bytearray()
                tee.sent.append(kept)
                with socket.create_connection(("127.0.0.1", target)) as upstream:
                    back = threading.Thread(target=_relay, args=(upstream, self.request, None), daemon=True)
                    back.start()
                    _relay(self.request, upstream, kept)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    @property
    def octets(self) -> bytes:
        return b"\n\n".join(map(bytes, self.sent))

    @contextmanager
    def running(self) -> Iterator[Tee]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def _relay(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if kept is not None:
                kept += data
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
