"""STS as its own SDKs speak to it, and a gateway's configuration for that."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import urlencode
from xml.etree import ElementTree

import boto3
import jwt
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from osp_gateway.outcomes import PendingAction, Refusal, Reply
from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.keys import KeyPair
from support.heads import CLIENT, HOST, NOW, Bench
from support.processes import CLIENT_KEY, CLIENT_SECRET

ROLES = "arn:aws:iam::000000000000:role/"
READER = ROLES + "reader"
SECRET = "fake-secret-that-seals-session-tokens"


def sts_client(url: str, key: str = CLIENT_KEY, secret: str = CLIENT_SECRET, token: str | None = None) -> Any:
    """boto3's STS client."""
    session = boto3.session.Session(key, secret, token, region_name="us-east-1")
    return session.client("sts", endpoint_url=url, config=Config(retries={"max_attempts": 1}))


def s3_client(url: str, credentials: dict[str, Any]) -> Any:
    """boto3's S3 client with what STS gave."""
    session = boto3.session.Session(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        region_name="us-east-1",
    )
    return session.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 1}))


# Without a process: a gateway on hand-made heads

ISSUER = "https://issuer.example.test"
ISSUER_SECRET = "fake-secret-of-the-tokens-issuer-32-chars"
JWT = {"issuer": ISSUER, "audience": "osp", "algorithms": ["HS256"], "secret": ISSUER_SECRET}
VERSION = "2011-06-15"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def web_token(now: float = NOW, secret: str = ISSUER_SECRET, **claims: Any) -> str:
    """A web identity token; `claims` are further ones, or None for those that are to be left out."""
    written = {"iss": ISSUER, "aud": "osp", "sub": "alice", "exp": now + 600, **claims}
    return jwt.encode({k: v for k, v in written.items() if v is not None}, secret, algorithm="HS256")


@dataclass
class Said:
    """What STS answered: the leaves of its document by name."""

    outcome: Reply | Refusal
    leaves: dict[str, str]

    @property
    def code(self) -> str:
        """The error's code; empty where there was none."""
        return self.leaves.get("Code", "")

    @property
    def key(self) -> KeyPair:
        """The temporary key that was given."""
        return KeyPair(self.leaves["AccessKeyId"], self.leaves["SecretAccessKey"], self.leaves["SessionToken"])


def call_head(
    body: bytes,
    pair: KeyPair | None = CLIENT,
    *,
    now: float = NOW,
    method: str = "POST",
    target: str = "/",
    host: str = HOST,
    service: str = "sts",
    region: str = "us-east-1",
    headers: tuple[Header, ...] = (("content-type", FORM),),
) -> RequestHead:
    """A call's head, signed by botocore where there is a `pair`."""
    request = AWSRequest(method=method, url=f"http://{host}{target}", data=body)
    for name, value in headers:
        request.headers[name] = value
    request.headers["host"] = host
    if pair is not None:
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        with mock.patch("botocore.auth.get_current_datetime", lambda **_: moment):
            credentials = Credentials(pair.access_key, pair.secret_key, pair.session_token)
            SigV4Auth(credentials, service, region).add_auth(request)
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, tuple((n.lower(), v) for n, v in request.headers.items()))


def form(action: str, **parameters: str) -> bytes:
    """A call's body."""
    return urlencode({"Action": action, "Version": VERSION, **parameters}).encode()


class StsBench(Bench):
    """A gateway with STS, and calls to it."""

    def __init__(self, roles: dict[str, Any] | None = None, *, sts: dict[str, Any] | None = None, **config: Any):
        config.setdefault("jwt", JWT)
        super().__init__(sts={"secret": SECRET, "roles": roles or {}, **(sts or {})}, **config)

    async def send(self, head: RequestHead, *body: bytes) -> Said:
        """A call as the transport brings it."""
        pending = await self.admit(head)
        if isinstance(pending, PendingAction):
            all(pending.body.feed(piece) for piece in body)
            pending = await self.gateway.admit_action(pending)
        assert isinstance(pending, Reply | Refusal), pending
        tree = ElementTree.fromstring(pending.body)
        return Said(pending, {leaf.tag.rpartition("}")[2]: leaf.text or "" for leaf in tree.iter() if not len(leaf)})

    async def call(self, action: str, pair: KeyPair | None = CLIENT, **parameters: str) -> Said:
        """A call, signed with a key, or not signed."""
        body = form(action, **parameters)
        return await self.send(call_head(body, pair, now=self.clock.now), body)

    async def assume(self, role: str = READER, pair: KeyPair | None = CLIENT, **parameters: str) -> Said:
        """AssumeRole."""
        return await self.call("AssumeRole", pair, RoleArn=role, RoleSessionName="me", **parameters)

    async def exchange(self, token: str, role: str = READER, **parameters: str) -> Said:
        """AssumeRoleWithWebIdentity."""
        named = {"RoleArn": role, "RoleSessionName": "me", "WebIdentityToken": token}
        return await self.call("AssumeRoleWithWebIdentity", None, **named, **parameters)
