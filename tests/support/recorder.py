"""A stand-in for an S3 server that answers what it is told to and keeps what it was sent, to the octet."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.processes import BACKEND_KEY, BACKEND_SECRET, GatewayProcess, Store, config_for, gateway
from support.raw_s3 import header_signature
from support.s3 import client


@dataclass
class Recorded:
    """One request: text is latin-1, a character for an octet."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    raw_head: bytes = field(repr=False)

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, f"{name} was not sent"
        return value

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[str]:
        return sorted(filter(None, self.target.partition("?")[2].split("&")))

    def is_signed_by(self, key: str = BACKEND_KEY, secret: str = BACKEND_SECRET) -> bool:
        """Whether botocore computes the signature that the request carries."""
        authorization = self["authorization"]
        expected = header_signature(self.method, self.target, self.headers, authorization, key, secret)
        return authorization.endswith(f"Signature={expected}") and f"Credential={key}/" in authorization


@dataclass
class Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("ETag", '"0123456789abcdef0123456789abcdef"'),)
    body: bytes = b""


class Recorder:
    """An HTTP/1.1 server on a port of the kernel's choice. `answer` may be replaced at any time."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.answer: Answer | Callable[[Recorded], Answer] = Answer()
        recorder = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while (request := _read(self.rfile)) is not None:
                    recorder.requests.append(request)
                    answer = recorder.answer
                    _write(self.wfile, request, answer if isinstance(answer, Answer) else answer(request))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A connection that broke: what arrived in full was recorded."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def clear(self) -> None:
        self.requests.clear()
        self.answer = Answer()

    @property
    def only(self) -> Recorded:
        assert len(self.requests) == 1, [f"{r.method} {r.target}" for r in self.requests]
        return self.requests[0]

    @contextmanager
    def running(self) -> Iterator[Recorder]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


def _read(stream: Any) -> Recorded | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        head += line
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    body = stream.read(length)
    return Recorded(method, target, headers, body, head) if len(body) == length else None


def _write(stream: Any, request: Recorded, answer: Answer) -> None:
    lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in answer.headers)]
    if answer.status != 304 and not any(name.lower() == "content-length" for name, _ in answer.headers):
        lines.append(f"Content-Length: {len(answer.body)}")
    stream.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if request.method != "HEAD":
        stream.write(answer.body)
    stream.flush()


@dataclass
class RecordedGateway:
    """A gateway whose every bucket lies on a recorder."""

    recorder: Recorder
    gateway: GatewayProcess
    s3: Any

    @property
    def url(self) -> str:
        return self.gateway.url


@contextmanager
def recorded_gateway(
    folder: Path, validator: str = "", options: Mapping[str, str] | None = None
) -> Iterator[RecordedGateway]:
    """Buckets `demo` and `renamed` are addressed path-style, `virtual` and `renamed-virtual` in the host's name.

    The renamed ones are called `backend-name` on the backend; `paris` is one with a region of its own.
    """
    with Recorder().running() as recorder:
        store = Store(recorder.port, folder)
        buckets = (
            "'renamed': {**STORE, 'bucket': 'backend-name'},"
            "'virtual': {**STORE, 'host': 's3.localhost'},"
            "'renamed-virtual': {**STORE, 'host': 's3.localhost', 'bucket': 'backend-name'},"
            "'forced-path': {**STORE, 'host': 's3.localhost', 'addressing_style': 'path'},"
            "'paris': {**STORE, 'host': 's3.localhost', 'region': 'eu-west-3'},"
        )
        config = config_for(store, extra_buckets=buckets, validator=validator)
        with gateway(folder, config, options=options) as running:
            yield RecordedGateway(recorder, running, client(running.url))
