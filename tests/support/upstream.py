"""A recording HTTP server that notes every octet it gets, and that misbehaves on request.

How it behaves is said by the last segment of the path: see `BEHAVIOURS`.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WAIT_SECONDS = 60.0

XML_503 = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>the store itself is busy</Message><RequestId>STORE</RequestId></Error>"
)


@dataclass
class Seen:
    """One request as it arrived. `ended` is set when no more will come of it, `stuck` when the other side
    takes no more of a response, `closed` when its connection has been closed."""

    head: bytes
    body: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)
    stuck: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    complete: bool = False

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return [(name.strip().lower(), value.strip()) for name, _, value in pairs]

    def header(self, name: str) -> str | None:
        values = [value for found, value in self.headers if found == name]
        assert len(values) < 2, f"{name} arrived {len(values)} times"
        return values[0] if values else None

    @property
    def length(self) -> int:
        return int(self.header("content-length") or 0)


class Peer:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""

    def read_head(self) -> bytes | None:
        while b"\r\n\r\n" not in self.buffer:
            if not self.receive() or self.buffer.startswith(b"\x16"):  # a TLS record where HTTP is spoken
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def read_body(self, seen: Seen) -> bool:
        """Whether all of it came."""
        while True:
            wanted = seen.length - len(seen.body)
            seen.body += self.buffer[:wanted]
            self.buffer = self.buffer[wanted:]
            if len(seen.body) == seen.length:
                seen.complete = True
                return True
            if not self.receive():
                return False

    def wait_for_the_end(self) -> None:
        while self.receive():
            self.buffer = b""

    def receive(self) -> bool:
        try:
            data = self.connection.recv(65536)
        except OSError:
            data = b""
        self.buffer += data
        return bool(data)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(data)


Handler = Callable[["Upstream", Peer, Seen], bool]
"""Answers one request; says whether the connection goes on."""


def response(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def good(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    if not peer.read_body(seen):
        return False
    peer.send(response(200, b"" if seen.method == "HEAD" else b"from the store", etag='"e"'))
    return True


def closes_at_once(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    return False


def malformed(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.read_body(seen)
    peer.send(b"this is not HTTP\r\n\r\n")
    return False


def malformed_length(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.read_body(seen)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nbody")
    return False


def two_lengths(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.read_body(seen)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbodyx")
    return False


def stalls(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    """Half a response, then silence until the other side hangs up."""
    peer.read_body(seen)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
    peer.wait_for_the_end()
    return False


def cut(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    """Half a response, then the end."""
    peer.read_body(seen)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
    return False


def answers_503(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.read_body(seen)
    peer.send(response(503, XML_503, content_type="application/xml", x_amz_request_id="STORE"))
    return True


def answers_early(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    """A full answer straight after the head, then the connection's end."""
    peer.send(response(403, XML_503.replace(b"SlowDown", b"QuotaExceeded"), content_type="application/xml"))
    peer.wait_for_the_end()
    return False


def continues(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    return good(upstream, peer, seen)


def hints(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    return good(upstream, peer, seen)


def switches(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    peer.read_body(seen)
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\n")
    peer.wait_for_the_end()
    return False


def never_reads(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    upstream.stopped.wait()
    return False


def sends_much(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    """200 MiB, until nobody takes them."""
    peer.connection.settimeout(3)
    try:
        peer.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
        for _ in range(200):
            peer.connection.sendall(b"z" * 2**20)
    except TimeoutError:
        seen.stuck.set()
    except OSError:
        pass
    return False


BEHAVIOURS: dict[str, Handler] = {
    "closes-at-once": closes_at_once,
    "malformed": malformed,
    "malformed-length": malformed_length,
    "two-lengths": two_lengths,
    "stalls": stalls,
    "cut": cut,
    "answers-503": answers_503,
    "answers-early": answers_early,
    "continues": continues,
    "hints": hints,
    "switches": switches,
    "never-reads": never_reads,
    "sends-much": sends_much,
}


def by_path(upstream: Upstream, peer: Peer, seen: Seen) -> bool:
    segment = re.split(r"[?#]", seen.target)[0].rsplit("/", 1)[-1]
    return BEHAVIOURS.get(segment, good)(upstream, peer, seen)


class Upstream:
    """The server, in threads, on a port of the kernel's choice."""

    def __init__(self, handler: Handler = by_path, tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.tls = tls
        self.requests: list[Seen] = []
        self.stopped = threading.Event()
        self._changed = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self) -> None:
        with self._changed:
            self.requests = []

    def wait_for_request(self, part: str) -> Seen:
        """The request whose target contains `part`, as soon as its head is here."""

        def find() -> Seen | None:
            return next((seen for seen in self.requests if part in seen.target), None)

        with self._changed:
            assert self._changed.wait_for(find, WAIT_SECONDS), f"no request for {part}"
            found = find()
            assert found is not None
            return found

    def stop(self) -> None:
        self.stopped.set()
        for each in (self._socket, *tuple(self._open)):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        self._open.add(connection)
        peer = Peer(connection)
        served: list[Seen] = []
        try:
            going = True
            while going and (head := peer.read_head()) is not None:
                seen = Seen(head)
                served.append(seen)
                with self._changed:
                    self.requests.append(seen)
                    self._changed.notify_all()
                going = self.handler(self, peer, seen)
                seen.ended.set()
        finally:
            self._open.discard(connection)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            for seen in served:
                seen.closed.set()


@contextmanager
def recording_upstream(handler: Handler = by_path, tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """An upstream for the time of a with block."""
    upstream = Upstream(handler, tls)
    try:
        yield upstream
    finally:
        upstream.stop()
