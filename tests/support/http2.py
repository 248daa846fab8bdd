"""A small HTTP/2 client that sends what it is told, allowed or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from support.raw import TIMEOUT_SECONDS, Answer
from support.signing import Raw


@dataclass
class Stream:
    """What has come of one request. `reset` is set where the server gave it up."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: bool = False
    reset_code: int | None = None


class Http2:
    """One connection with any number of streams."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str = "localhost") -> None:
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.socket = context.wrap_socket(plain, server_hostname=name)
        assert self.socket.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.streams: dict[int, Stream] = {}
        self.closed = False
        self._flush()

    def start(self, headers: Sequence[tuple[str, str]], end: bool) -> int:
        """Send a head; the stream's number."""
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        self.h2.send_headers(number, list(headers), end_stream=end)
        self._flush()
        return number

    def send_body(self, number: int, body: bytes) -> None:
        """Send a body to its end, as fast as the server takes it, or until it answers."""
        stream = self.streams[number]
        while body and not stream.ended and not stream.reset and not self.closed:
            size = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(body))
            if size:
                self.h2.send_data(number, body[:size])
                body = body[size:]
                self._flush()
            else:
                self._receive()
        if not body and not self.closed and not stream.reset:
            self.h2.end_stream(number)
            self._flush()

    def answer(self, number: int) -> Answer | None:
        """The response, or None where the server reset the stream or closed the connection without one."""
        stream = self.streams[number]
        while not (stream.ended or stream.reset or self.closed):
            self._receive()
        if ":status" not in stream.headers:
            return None
        return Answer(int(stream.headers[":status"]), stream.headers, stream.body)

    def reset_code(self, number: int) -> int | None:
        """Why the server reset the stream; waits until it has."""
        stream = self.streams[number]
        while not (stream.reset or self.closed):
            self._receive()
        return stream.reset_code

    def ask(
        self, request: Raw, *, authority: str | None = None, extra: Sequence[tuple[str, str]] = ()
    ) -> Answer | None:
        """A request of HTTP/1.1 in HTTP/2; `extra` are header fields to add as they are."""
        number = self.start(fields(request, authority, extra), end=not request.body)
        if request.body:
            self.send_body(number, request.body)
        return self.answer(number)

    def close(self) -> None:
        self.socket.close()

    def _flush(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.socket.sendall(self.h2.data_to_send())

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.closed = True
            return
        try:
            received = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.closed = True
            return
        for event in received:
            self._note(event)
        self._flush()

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.closed = True
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = True
            stream.reset_code = event.error_code


def fields(request: Raw, authority: str | None = None, extra: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """A request's head as HTTP/2's header fields."""
    pseudo = [
        (":method", request.method),
        (":scheme", "https"),
        (":authority", authority or request.header("host")),
        (":path", request.target),
    ]
    plain = [(name.lower(), value) for name, value in request.headers if name.lower() != "host"]
    return [*pseudo, *plain, *extra]


@contextmanager
def http2(port: int, context: ssl.SSLContext, name: str = "localhost") -> Iterator[Http2]:
    """A connection for the time of a with block."""
    connection = Http2(port, context, name)
    try:
        yield connection
    finally:
        connection.close()
