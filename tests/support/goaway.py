"""An HTTP/2 client that goes on reading after GOAWAY, as RFC 9113, section 6.8, wants it; the h2 package does not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import h2.exceptions
from hyperframe.frame import Frame, GoAwayFrame

from support.http2 import Http2, fields
from support.signing import Raw

HEAD_OCTETS = 9


class PatientHttp2(Http2):
    """`told_to_go` holds the last stream of each GOAWAY that came."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.told_to_go: list[int] = []
        self._unread = b""
        super().__init__(port, context)

    def send(self, request: Raw, end: bool = True) -> int:
        """Send a head; the stream's number."""
        return self.start(fields(request), end=end)

    def flush(self) -> None:
        self._flush()

    def read_to_the_end(self) -> None:
        """Until the server closes the connection."""
        while not self.closed:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.closed = True
            return
        try:
            events = self.h2.receive_data(self._without_goaway(data))
        except h2.exceptions.ProtocolError:
            self.closed = True
            return
        for event in events:
            self._note(event)
        self._flush()

    def _without_goaway(self, data: bytes) -> bytes:
        """Whole frames, but for those that h2 would take for the end of everything."""
        self._unread += data
        passed = b""
        while len(self._unread) >= HEAD_OCTETS:
            frame, length = Frame.parse_frame_header(memoryview(self._unread[:HEAD_OCTETS]))
            if len(self._unread) < HEAD_OCTETS + length:
                break
            octets, self._unread = self._unread[: HEAD_OCTETS + length], self._unread[HEAD_OCTETS + length :]
            if isinstance(frame, GoAwayFrame):
                frame.parse_body(memoryview(octets[HEAD_OCTETS:]))
                self.told_to_go.append(frame.last_stream_id)
            else:
                passed += octets
        return passed


@contextmanager
def patient_http2(port: int, context: ssl.SSLContext) -> Iterator[PatientHttp2]:
    """A connection for the time of a with block."""
    connection = PatientHttp2(port, context)
    try:
        yield connection
    finally:
        connection.close()
