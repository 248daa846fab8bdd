"""Requests signed by botocore, to be changed afterwards and sent as octets."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.processes import CLIENT_KEY, CLIENT_SECRET

Headers = tuple[tuple[str, str], ...]
REGION = "us-east-1"


@dataclass(frozen=True)
class Raw:
    """A request of which every part can be replaced, also when it is signed already."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    def but(self, **changes: object) -> Raw:
        """The same with other parts."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def plus(self, name: str, value: str) -> Raw:
        """The same with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def without(self, name: str) -> Raw:
        """The same without a header."""
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() != name.lower()))

    def with_changed(self, name: str, change: Callable[[str], str]) -> Raw:
        """The same with a header's value changed."""
        return replace(self, headers=tuple((n, change(v) if n.lower() == name.lower() else v) for n, v in self.headers))

    def header(self, name: str) -> str:
        """The value of a header."""
        return next(value for found, value in self.headers if found.lower() == name.lower())

    @property
    def head(self) -> bytes:
        """All but the body."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def octets(self) -> bytes:
        """As it goes over the wire."""
        return self.head + self.body


def now(seconds: float = 0) -> datetime.datetime:
    """The time so many seconds from now."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def signed(
    port: int,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Headers = (),
    *,
    key: str = CLIENT_KEY,
    secret: str = CLIENT_SECRET,
    region: str = REGION,
    service: str = "s3",
    at: datetime.datetime | None = None,
    host: str | None = None,
    payload_hash: str | None = None,
    length: int | None = None,
    token: str | None = None,
    scheme: str = "http",
) -> Raw:
    """A request with an Authorization header.

    `payload_hash` defaults to the body's; `length` to its length, for tests that send another one.
    """
    host = host or f"127.0.0.1:{port}"
    request = AWSRequest(method=method, url=f"{scheme}://{host}{target}", data=body)
    for name, value in headers:
        request.headers[name] = value
    request.headers["Host"] = host  # or botocore makes its own, in lower case
    request.headers["X-Amz-Content-SHA256"] = payload_hash or hashlib.sha256(body).hexdigest()
    _Auth(Credentials(key, secret, token), service, region).sign(request, at)
    pairs = [("Host", host), *((name, value) for name, value in request.headers.items() if name.lower() != "host")]
    if method in ("PUT", "POST") or body or length is not None:
        pairs.append(("Content-Length", str(len(body) if length is None else length)))
    return Raw(method, target, tuple(pairs), body)


def presigned(
    port: int,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Headers = (),
    *,
    key: str = CLIENT_KEY,
    secret: str = CLIENT_SECRET,
    region: str = REGION,
    service: str = "s3",
    expires: int = 600,
    at: datetime.datetime | None = None,
    host: str | None = None,
) -> Raw:
    """A request whose authentication is in its query; `headers` are signed, too."""
    host = host or f"127.0.0.1:{port}"
    request = AWSRequest(method=method, url=f"http://{host}{target}")
    for name, value in headers:
        request.headers[name] = value
    request.headers["Host"] = host
    with mock.patch("botocore.auth.get_current_datetime", lambda **_: at or now()):
        S3SigV4QueryAuth(Credentials(key, secret), service, region, expires).add_auth(request)
    url = urlsplit(request.url)
    pairs = [("Host", host), *headers]
    if method in ("PUT", "POST"):
        pairs.append(("Content-Length", str(len(body))))
    return Raw(method, f"{url.path}?{url.query}", tuple(pairs), body)


class _Auth(S3SigV4Auth):
    """Leaves the payload hash as it was set."""

    def sign(self, request: AWSRequest, at: datetime.datetime | None) -> None:
        self.hash = request.headers["X-Amz-Content-SHA256"]
        with mock.patch("botocore.auth.get_current_datetime", lambda **_: at or now()):
            self.add_auth(request)

    def payload(self, request: AWSRequest) -> str:
        return self.hash
