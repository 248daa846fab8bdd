"""Where recorded requests are sent again: one address, one connection a thread."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from osp_gateway.replay.exchange import Answer, Payload, RecordedRequest
from osp_gateway.replay.names import Names
from osp_gateway.replay.resign import Outgoing, Resigner, Signer
from osp_gateway.replay.tape import MAX_DOCUMENT_OCTETS

READ_OCTETS: Final = 256 * 1024
_RETRIED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class TargetError(Exception):
    """No answer came. The text says why."""


class Target:
    """An S3 endpoint."""

    def __init__(
        self,
        url: str,
        signers: Mapping[str, Signer],
        *,
        timeout: float = 60.0,
        ca_file: str | None = None,
        verify: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Send to `url`.

        Args:
            url: `http://host[:port]` or `https://...`, addressed in path style.
            signers: who signs, by the identity that a request was recorded with; `""` for all others.
            timeout: seconds without any progress.
            ca_file: PEM file with the authorities to be trusted, instead of the system's.
            verify: False does not check certificates.
            clock: seconds since the epoch.

        Raises:
            ValueError: it is no such URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"expected http://HOST[:PORT] or https://HOST[:PORT], got {url!r}")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc.rpartition("@")[2]
        self._address = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._timeout = timeout
        self._tls = _context(ca_file, verify) if parts.scheme == "https" else None
        self._resigner = Resigner(self._host, signers, clock)
        self._mine = threading.local()

    def send(self, request: RecordedRequest, identity: str, names: Names, expected: int) -> Answer:
        """Send a request again, and read its answer.

        Args:
            request: as recorded.
            identity: who sent it.
            names: of this run; checksums of bodies that are made up are learned.
            expected: octets of the answer's body as recorded; much more is not read to its end.

        Raises:
            TargetError: no answer came.
        """
        outgoing = self._resigner.outgoing(request, identity, names)
        try:
            return self._exchange(request.method, outgoing, max(2 * expected, MAX_DOCUMENT_OCTETS))
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last of what cannot be sent
            self._hang_up()
            raise TargetError(f"{self.url}: {str(error) or type(error).__name__}") from error

    def close(self) -> None:
        """Close this thread's connection."""
        self._hang_up()

    def _exchange(self, method: str, outgoing: Outgoing, most: int) -> Answer:
        reused = getattr(self._mine, "connection", None) is not None
        try:
            return self._once(method, outgoing, most)
        except _RETRIED:
            self._hang_up()
            if not reused:
                raise
            return self._once(method, outgoing, most)  # closed while it was idle

    def _once(self, method: str, outgoing: Outgoing, most: int) -> Answer:
        connection = self._connection()
        connection.putrequest(method, outgoing.target, skip_host=True, skip_accept_encoding=True)
        for name, value in outgoing.headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        self._send_body(connection, outgoing)
        response = connection.getresponse()
        payload = _read(response, most)
        if response.will_close:
            self._hang_up()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, headers, payload)

    def _send_body(self, connection: http.client.HTTPConnection, outgoing: Outgoing) -> None:
        try:
            for piece in outgoing.body():
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early: its answer, if there is one, is read next

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            host, port = self._address
            connection = (
                http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
                if self._tls is not None
                else http.client.HTTPConnection(host, port, timeout=self._timeout)
            )
            self._mine.connection = connection
        return connection

    def _hang_up(self) -> None:
        connection = getattr(self._mine, "connection", None)
        if connection is not None:
            connection.close()
            self._mine.connection = None


def _read(response: http.client.HTTPResponse, most: int) -> Payload:
    digest, length = sha256(), 0
    kept: list[bytes] | None = []
    while piece := response.read(READ_OCTETS):
        digest.update(piece)
        length += len(piece)
        if length > most:
            raise http.client.HTTPException(f"a body of more than {most} octets")
        if kept is not None:
            kept.append(piece)
            if length > MAX_DOCUMENT_OCTETS:  # compared by its digest
                kept = None
    return Payload(length, digest.hexdigest(), None if kept is None else b"".join(kept))


def _context(ca_file: str | None, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
