"""Requests as octets on a socket: what no HTTP client would send, and answers as they come."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 60.0
"""Long enough for a busy machine: a test that waits this long has failed."""


@dataclass(frozen=True)
class Answer:
    """One response. `body` is without the framing of chunks."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    head: bytes = field(default=b"", repr=False)

    @property
    def code(self) -> str:
        """The code of an S3 error document, or an empty string."""
        match = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return match[1].decode() if match else ""

    @property
    def message(self) -> str:
        """The message of an S3 error document, or an empty string."""
        match = re.search(rb"<Message>([^<]*)</Message>", self.body)
        return match[1].decode() if match else ""


class Talk:
    """A connection to a server, with time limits on everything."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, name: str = "localhost") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """All of it; a server that has closed is no error here, its answer may still be read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def read_answer(self, method: str = "GET") -> Answer:
        """The next response, interim ones included."""
        head = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if method == "HEAD" or status < 200 or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            body = self._to_the_end()
        return Answer(status, headers, body, head)

    def read_some(self, size: int) -> bytes:
        """Exactly `size` octets."""
        return self._exactly(size)

    def closed_by_peer(self) -> bool:
        """Whether the server ends the connection without sending anything more."""
        if self._buffer:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if not self._receive():
                raise ConnectionError(f"closed after {self._buffer[:200]!r}")
        found, _, self._buffer = self._buffer.partition(mark)
        return found + mark

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._receive():
                raise ConnectionError(f"closed after {len(self._buffer)} of {size} octets")
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                self._until(b"\r\n")
                return body
            body += self._exactly(size)
            self._exactly(2)

    def _to_the_end(self) -> bytes:
        while self._receive():
            pass
        found, self._buffer = self._buffer, b""
        return found


@contextmanager
def talk(port: int, tls: ssl.SSLContext | None = None, name: str = "localhost") -> Iterator[Talk]:
    """A connection for the time of a with block."""
    connection = Talk(port, tls, name)
    try:
        yield connection
    finally:
        connection.close()


def ask(port: int, request: bytes, tls: ssl.SSLContext | None = None) -> Answer:
    """Send these octets on a connection of their own; the first final response."""
    method = request.lstrip(b"\r\n").split(b" ", 1)[0].decode("latin-1")
    with talk(port, tls) as connection:
        connection.send(request)
        answer = connection.read_answer(method)
        while answer.status == 100:
            answer = connection.read_answer(method)
        return answer
