"""Where recorded requests are sent again: one address, freshly signed, one connection a thread."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from osp_gateway.replay.encode import checksum, chunked, chunked_length, speaks_of_body
from osp_gateway.replay.exchange import Answer, Content, Payload, RecordedRequest
from osp_gateway.replay.names import Names
from osp_gateway.s3 import encoding
from osp_gateway.s3.head import Header
from osp_gateway.sigv4.aws_chunked import MODES, Mode
from osp_gateway.sigv4.checksums import TRAILER
from osp_gateway.sigv4.chunked_codecs import DECODED_LENGTH
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.sign import presign_query, sign_head

MAX_DOCUMENT_OCTETS: Final = 16 * 1024 * 1024
"""Of an answer so much is kept, to be compared by structure; more is compared by its digest."""
READ_OCTETS: Final = 256 * 1024
_DROPPED: Final = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", DECODED_LENGTH})
_RETRIED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class TargetError(Exception):
    """No answer came. The text says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a key pair and the region of the credential scope."""

    pair: KeyPair = field(repr=False)
    region: str


@dataclass(frozen=True, slots=True)
class _Outgoing:
    target: str
    headers: list[Header] = field(repr=False)
    body: Callable[[], Iterator[bytes]] = field(repr=False)


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
        self._signers = dict(signers)
        self._clock = clock
        self._keys = SigningKeys()
        self._mine = threading.local()

    def send(self, request: RecordedRequest, identity: str, names: Names) -> Answer:
        """Send a request again, and read its answer.

        Args:
            request: as recorded.
            identity: who sent it.
            names: of this run; checksums of bodies that are made up are learned.

        Raises:
            TargetError: no answer came.
        """
        outgoing = self._outgoing(names.in_request(request), identity, names)
        try:
            return self._exchange(request.method, outgoing)
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            raise TargetError(f"{self.url}: {str(error) or type(error).__name__}") from error

    def close(self) -> None:
        """Close this thread's connection."""
        self._hang_up()

    def _exchange(self, method: str, outgoing: _Outgoing) -> Answer:
        reused = getattr(self._mine, "connection", None) is not None
        try:
            return self._once(method, outgoing)
        except _RETRIED:
            self._hang_up()
            if not reused:
                raise
            return self._once(method, outgoing)  # closed while it was idle

    def _once(self, method: str, outgoing: _Outgoing) -> Answer:
        connection = self._connection()
        connection.putrequest(method, outgoing.target, skip_host=True, skip_accept_encoding=True)
        for name, value in outgoing.headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        self._send_body(connection, outgoing)
        response = connection.getresponse()
        payload = _read(response)
        if response.will_close:
            self._hang_up()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, headers, payload)

    def _send_body(self, connection: http.client.HTTPConnection, outgoing: _Outgoing) -> None:
        try:
            for piece in outgoing.body():
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early: its answer, if there is one, is read next

    def _outgoing(self, request: RecordedRequest, identity: str, names: Names) -> _Outgoing:
        content = request.payload.again
        if request.payload.content:
            content = Payload.of(_current(request, names)).again
        headers = [("host", self._host), *self._headers(request, content, names)]
        signer = self._signers.get(identity) or self._signers.get("")
        mode = MODES.get(request.mode)
        if mode is not None:
            trailers = _trailer_names(request)
            headers.append((DECODED_LENGTH, str(content.length)))
            length = chunked_length(content.length, mode, trailers)
        else:
            length = content.length
        if length or request.method in ("PUT", "POST"):
            headers.append(("content-length", str(length)))
        return self._signed(request, content, headers, mode, signer if request.signed else None)

    def _signed(
        self,
        request: RecordedRequest,
        content: Content,
        headers: list[Header],
        mode: Mode | None,
        signer: Signer | None,
    ) -> _Outgoing:
        target = request.path + ("?" + encoding.join_query(request.query) if request.query else "")
        if signer is None:
            return _Outgoing(target, headers, content.pieces)
        if request.expires is not None:
            query = presign_query(
                method=request.method,
                host=self._host,
                path=request.path,
                query=request.query,
                expires=request.expires,
                pair=signer.pair,
                region=signer.region,
                now=self._clock(),
                keys=self._keys,
            )
            return _Outgoing(f"{request.path}?{query}", headers, content.pieces)
        signed = sign_head(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            payload_hash=request.mode or content.sha256,
            pair=signer.pair,
            region=signer.region,
            now=self._clock(),
            keys=self._keys,
            asymmetric=mode is not None and mode.signature == "ecdsa",
        )
        if mode is None:
            return _Outgoing(target, signed.headers, content.pieces)
        chain = signed.chain if mode.signature else None
        trailers = _trailer_names(request)
        return _Outgoing(
            target, signed.headers, lambda: chunked(content, trailers, chain() if chain is not None else None)
        )

    def _headers(self, request: RecordedRequest, content: Content, names: Names) -> list[Header]:
        kept = []
        for name, value in request.headers:
            if name in _DROPPED:
                continue
            if speaks_of_body(name, value) and request.payload.sha256 != content.sha256:
                new = checksum(name, content)
                names.learn(value, new)
                value = new
            kept.append((name, value))
        return kept

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


def _current(request: RecordedRequest, names: Names) -> bytes:
    """A body that names what the store has made up, with the names of this run; an object's stays what it is."""
    content = request.payload.content or b""
    if request.method == "POST" and content.lstrip().startswith(b"<"):
        return names.in_body(content)
    return content


def _trailer_names(request: RecordedRequest) -> list[str]:
    written = request.header(TRAILER) or ""
    return [name.strip().lower() for name in written.split(",") if name.strip()]


def _read(response: http.client.HTTPResponse) -> Payload:
    digest, length = sha256(), 0
    kept: list[bytes] | None = []
    while piece := response.read(READ_OCTETS):
        digest.update(piece)
        length += len(piece)
        if kept is not None:
            kept.append(piece)
            if length > MAX_DOCUMENT_OCTETS:
                kept = None
    return Payload(length, digest.hexdigest(), None if kept is None else b"".join(kept))


def _context(ca_file: str | None, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
