"""Requests made by hand for `Gateway.admit`, and botocore's word on what comes out."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from osp_gateway.asking import Ask, nobody_to_ask
from osp_gateway.backends.iam import HttpReply
from osp_gateway.callables import CallableRunner
from osp_gateway.config import ProxyServerConfig
from osp_gateway.gateway import Gateway
from osp_gateway.outcomes import Arrival, Forward, Outcome, Refusal
from osp_gateway.s3 import encoding
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.canonical import UNSIGNED_PAYLOAD
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.sign import presign_query, sign_head

NOW = 1_767_268_800.0  # 2026-01-01T12:00:00Z
HOST = "gateway.example.test:6190"
SOURCE = "192.0.2.7"
CLIENT = KeyPair("client-fake-key", "client-fake-secret")
BACKEND = KeyPair("backend-fake-key", "backend-fake-secret")
STORE: Mapping[str, Any] = {
    "host": "store.example.test",
    "port": 443,
    "region": "eu-test-1",
    "access_key": BACKEND.access_key,
    "secret_key": BACKEND.secret_key,
}


def signed_head(
    method: str = "GET",
    target: str = "/demo/key",
    headers: tuple[Header, ...] = (),
    *,
    body: bytes = b"",
    pair: KeyPair = CLIENT,
    host: str = HOST,
    region: str = "us-east-1",
    now: float = NOW,
    payload_hash: str | None = None,
    unsigned: tuple[Header, ...] = (),
) -> RequestHead:
    """A head with a right signature in its Authorization header; `unsigned` headers are added afterwards."""
    path, _, query = target.partition("?")
    signed = sign_head(
        method=method,
        path=encoding.canonical_path(path),
        query=encoding.parse_query(query),
        headers=[("host", host), *((name.lower(), value) for name, value in headers)],
        payload_hash=payload_hash or hashlib.sha256(body).hexdigest(),
        pair=pair,
        region=region,
        now=now,
        keys=SigningKeys(),
    ).headers
    return RequestHead(method, path, query, (*signed, *unsigned))


def presigned_head(
    method: str = "GET",
    path: str = "/demo/key",
    query: tuple[tuple[str, str], ...] = (),
    headers: tuple[Header, ...] = (),
    *,
    expires: int = 600,
    pair: KeyPair = CLIENT,
    now: float = NOW,
) -> RequestHead:
    """A head of a presigned URL; `query` holds decoded pairs, `headers` are not signed."""
    raw = presign_query(
        method=method,
        host=HOST,
        path=encoding.canonical_path(path),
        query=tuple((encoding.encode(name.encode()), encoding.encode(value.encode())) for name, value in query),
        expires=expires,
        pair=pair,
        region="us-east-1",
        now=now,
        keys=SigningKeys(),
    )
    return RequestHead(method, path, raw, (("host", HOST), *headers))


def unsigned_head(method: str = "GET", target: str = "/demo/key", headers: tuple[Header, ...] = ()) -> RequestHead:
    """A head without any authentication."""
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, (("host", HOST), *headers))


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Iam:
    """A stand-in for `HttpPost`: answers in turn (the last one for ever), and remembers what it was asked."""

    def __init__(self, *answers: HttpReply | Exception) -> None:
        self.answers = list(answers or [token_reply("fake-iam-token")])
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.gate: asyncio.Event | None = None

    async def __call__(self, url: str, form: Mapping[str, str]) -> HttpReply:
        self.asked.append((url, dict(form)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def token_reply(token: str, expires_in: float = 3600) -> HttpReply:
    return HttpReply(200, json.dumps({"access_token": token, "expires_in": expires_in}).encode())


class Validator:
    """A validator that takes the request, remembers all that it was asked, and says what `answer` says."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def __call__(self, token: str, bucket: str, request: Any) -> Any:
        self.asked.append(request)
        assert (token, bucket) == (request.token, request.bucket)
        return self.answer(request) if callable(self.answer) else self.answer


class Bench:
    """A gateway over hand-made heads."""

    def __init__(
        self,
        iam: Iam | None = None,
        *,
        clock: Clock | None = None,
        timeout: float = 30.0,
        ask: Ask = nobody_to_ask,
        **config: Any,
    ):
        self.clock = clock or Clock()
        self.iam = iam or Iam()
        config.setdefault("cos_map", {"demo": STORE})
        config.setdefault("hmac_keystore", [{"access_key": CLIENT.access_key, "secret_key": CLIENT.secret_key}])
        config.setdefault("validator", Validator())
        self.validator = config["validator"]
        self.settings = ProxyServerConfig(**config).settings
        self.gateway = Gateway(self.settings, self.iam, self.clock, CallableRunner(timeout), ask=ask)

    async def admit(self, head: RequestHead | None = None, **arrival: Any) -> Outcome:
        arrival = {"source": SOURCE, "tls": False, **arrival}
        return await self.gateway.admit(Arrival(head or signed_head(), **arrival))

    async def forward(self, head: RequestHead | None = None, **arrival: Any) -> Forward:
        outcome = await self.admit(head, **arrival)
        assert isinstance(outcome, Forward), outcome
        return outcome

    async def refusal(self, head: RequestHead | None = None, **arrival: Any) -> Refusal:
        outcome = await self.admit(head, **arrival)
        assert isinstance(outcome, Refusal), outcome
        return outcome


def header(forward: Forward, name: str) -> str | None:
    """The one value of a forwarded header, or None."""
    values = [value for key, value in forward.headers if key == name]
    assert len(values) < 2, f"{name} is sent {len(values)} times"
    return values[0] if values else None


def assert_botocore_agrees(forward: Forward, pair: KeyPair = BACKEND, region: str = "eu-test-1") -> None:
    """The forwarded request's signature is the one that botocore computes over the same request."""
    authorization = header(forward, "authorization") or ""
    algorithm, _, rest = authorization.partition(" ")
    parts = dict(piece.strip().split("=", 1) for piece in rest.split(","))
    date = header(forward, "x-amz-date") or ""
    assert algorithm == "AWS4-HMAC-SHA256"
    assert parts["Credential"] == f"{pair.access_key}/{date[:8]}/{region}/s3/aws4_request"
    signed = set(parts["SignedHeaders"].split(";"))
    assert {name for name, _ in forward.headers if name.startswith("x-amz-") or name == "host"} <= signed
    request = AWSRequest(method=forward.method, url=f"https://{forward.destination.authority}{forward.target}")
    for name, value in forward.headers:
        if name in signed:
            # Octets on the wire, which botocore hashes as the text that it would have sent.
            request.headers.add_header(name, value.encode("latin-1").decode())
    request.context["timestamp"] = date
    auth = S3SigV4Auth(Credentials(pair.access_key, pair.secret_key, pair.session_token), "s3", region)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    assert parts["Signature"] == auth.signature(to_sign, request)


__all__ = [
    "BACKEND",
    "CLIENT",
    "HOST",
    "NOW",
    "SOURCE",
    "STORE",
    "UNSIGNED_PAYLOAD",
    "Bench",
    "Clock",
    "Iam",
    "Validator",
    "assert_botocore_agrees",
    "header",
    "presigned_head",
    "signed_head",
    "token_reply",
    "unsigned_head",
]
