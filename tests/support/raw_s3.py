"""Requests that no SDK would send, signed by botocore and sent octet by octet."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.processes import CLIENT_KEY, CLIENT_SECRET


@dataclass
class RawResponse:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """The `Code` of an S3 error document, or empty."""
        text = self.body.decode("utf-8", "replace")
        return text.partition("<Code>")[2].partition("</Code>")[0]


def send(
    method: str,
    url: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> RawResponse:
    """Send exactly this to the server at `url`; header values are UTF-8, the only ones added are its length's."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in (headers or {"Host": urlsplit(url).netloc}).items():
            connection.putheader(name, value.encode())
        if body or method in ("PUT", "POST"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        return RawResponse(response.status, response.headers, response.read())
    finally:
        connection.close()


def signed_headers(
    method: str,
    host: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    key: str = CLIENT_KEY,
    secret: str = CLIENT_SECRET,
    region: str = "us-east-1",
) -> dict[str, str]:
    """The headers of a request to `host`, signed by botocore; `target` goes into the signature as it stands."""
    content_hash = hashlib.sha256(body).hexdigest()
    request = AWSRequest(
        method=method,
        url=f"http://{host}{target}",
        headers={"Host": host, "X-Amz-Content-SHA256": content_hash, **(headers or {})},
        data=body,
    )
    S3SigV4Auth(Credentials(key, secret), "s3", region).add_auth(request)
    return dict(request.headers.items())


def send_signed(
    method: str,
    url: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    host: str | None = None,
    key: str = CLIENT_KEY,
    secret: str = CLIENT_SECRET,
) -> RawResponse:
    """Sign by botocore under the name `host` and send to the server at `url`."""
    host = host or urlsplit(url).netloc
    return send(method, url, target, signed_headers(method, host, target, headers, body, key, secret), body)


def presigned_target(
    method: str, url: str, target: str, headers: Mapping[str, str] | None = None, expires: int = 300
) -> str:
    """`target` presigned by botocore: with its query, however unusual, under the signature."""
    request = AWSRequest(method=method, url=f"{url}{target}", headers=dict(headers or {}))
    S3SigV4QueryAuth(Credentials(CLIENT_KEY, CLIENT_SECRET), "s3", "us-east-1", expires=expires).add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def header_signature(
    method: str, target: str, headers: Iterable[tuple[str, str]], authorization: str, key: str, secret: str
) -> str:
    """The signature that botocore computes over what was received; text is latin-1, an octet a character."""
    fields = {name.lower(): value for name, value in headers}
    fields = {name: value.encode("latin-1").decode("utf-8", "surrogateescape") for name, value in fields.items()}
    region = authorization.partition("Credential=")[2].partition(",")[0].split("/")[-3]
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(method=method, url=f"http://{fields['host']}{target}")
    for name in signed:
        request.headers[name] = fields[name]
    request.context["timestamp"] = fields["x-amz-date"]
    auth = S3SigV4Auth(Credentials(key, secret), "s3", region)
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
