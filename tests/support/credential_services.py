"""Where AWS credentials come from, on loopback: instance metadata (version 2), a container's endpoint, STS and SSO."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

METADATA_TOKEN = "fake-metadata-token"
CONTAINER_TOKEN = "fake-container-token"
EXTERNAL_ID = "fake-external-id"
WEB_TOKEN = "fake-web-identity-token"
SSO_TOKEN = "fake-sso-token"
ROLE = "arn:aws:iam::123456789012:role/fake-role"


class CredentialServices:
    """`life` is that of the credentials that are given, in seconds; `status` what all answers have."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.life = 3600.0
        self.status = 200
        self.given = 0
        services = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Nothing."""

            def _serve(self) -> None:
                length = int(self.headers.get("content-length", 0))
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                services.asked.append((self.command, self.path, headers, form))
                status, body = services.answer(self.command, self.path, headers, form)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if self.command == "PUT":
                    self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[CredentialServices]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, method: str, target: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        path = urlsplit(target).path
        if self.status != 200:
            return self.status, b""
        if path == "/latest/api/token" and method == "PUT":
            return 200, METADATA_TOKEN.encode()
        if path.startswith("/latest/meta-data/"):
            if headers.get("x-aws-ec2-metadata-token") != METADATA_TOKEN:
                return 401, b""
            if path.endswith("/security-credentials/"):
                return 200, b"fake-role"
            return 200, self._json("Token", Code="Success", Type="AWS-HMAC")
        if path == "/container":
            allowed = headers.get("authorization") == CONTAINER_TOKEN
            return (200, self._json("Token")) if allowed else (403, b"{}")
        if path == "/federation/credentials":
            return (200, self._sso()) if headers.get("x-amz-sso_bearer_token") == SSO_TOKEN else (401, b"{}")
        return self._sts(headers, form)

    def _next(self) -> dict[str, str]:
        self.given += 1
        expiration = datetime.now(UTC) + timedelta(seconds=self.life)
        return {
            "AccessKeyId": f"temporary-fake-key-{self.given}",
            "SecretAccessKey": "temporary-fake-secret",
            "SessionToken": "temporary-fake-token",
            "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _json(self, token: str, **more: str) -> bytes:
        given = self._next()
        given[token] = given.pop("SessionToken")
        return json.dumps({**given, **more}).encode()

    def _sso(self) -> bytes:
        given = self._next()
        expires = datetime.fromisoformat(given["Expiration"]).timestamp() * 1000
        credentials = {
            "accessKeyId": given["AccessKeyId"],
            "secretAccessKey": given["SecretAccessKey"],
            "sessionToken": given["SessionToken"],
            "expiration": int(expires),
        }
        return json.dumps({"roleCredentials": credentials}).encode()

    def _sts(self, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        action = form.get("Action", "")
        proven = {
            "AssumeRole": form.get("ExternalId") == EXTERNAL_ID and "Credential=source-fake-key/" in
            headers.get("authorization", ""),
            "AssumeRoleWithWebIdentity": form.get("WebIdentityToken") == WEB_TOKEN,
        }.get(action, False)  # fmt: skip
        if not proven or form.get("RoleArn") != ROLE:
            return 403, b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in self._next().items())
        result = f"<{action}Result><Credentials>{inner}</Credentials></{action}Result>"
        return 200, f"<{action}Response>{result}</{action}Response>".encode()
