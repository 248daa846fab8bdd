"""Exchanges with two servers that should be the same, what may differ between them, and how they are compared."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError

from support import raw_s3
from support.s3 import client

ALICE, BOB, CAROL = "alice", "bob", "carol"
"""The users that Side and the store's clients know; `carol` lives in a tenant of her own."""


# What may differ


@dataclass(frozen=True)
class Difference:
    """Something that need not be the same on both ways, and why.

    `where` is "header", "element" (of an XML document) or "text". By default the value is not compared at all, only
    that both have it. `optional`: it need not even be there. `address`: a URL of which scheme, host and spelling may
    differ.
    `numbered`: random names that must be used in the same order and places. `twins`: only where the two ways work on
    a bucket each; on one and the same bucket it must be equal.
    """

    where: str
    name: str
    reason: str
    optional: bool = False
    address: bool = False
    numbered: bool = False
    twins: bool = False


PERMITTED = (
    Difference("header", "date", "the time of the answer"),
    Difference("header", "server", "who answered", optional=True),
    Difference("header", "connection", "belongs to one connection, not to the message", optional=True),
    Difference("header", "keep-alive", "belongs to one connection, not to the message", optional=True),
    Difference("header", "transfer-encoding", "framing: a rewritten document's length is not known", optional=True),
    Difference("header", "x-amz-request-id", "a name for one request"),
    Difference("header", "x-amz-id-2", "a name for one request", optional=True),
    Difference("element", "RequestId", "a name for one request"),
    Difference("element", "HostId", "a name for the host that answered"),
    Difference("header", "location", "clients know the store under the gateway's address", address=True),
    Difference("element", "Location", "clients know the store under the gateway's address", address=True),
    Difference("header", "last-modified", "each way wrote its own object", twins=True),
    Difference("element", "LastModified", "each way wrote its own object", twins=True),
    Difference("element", "CreationDate", "each way made its own bucket", twins=True),
    Difference("element", "Initiated", "each way began its own upload", twins=True),
    Difference("header", "x-amz-version-id", "the store makes them up", numbered=True, twins=True),
    Difference("header", "x-amz-copy-source-version-id", "the store makes them up", numbered=True, twins=True),
    Difference("element", "VersionId", "the store makes them up", numbered=True, twins=True),
    Difference("element", "VersionIdMarker", "the store makes them up", numbered=True, twins=True),
    Difference("element", "NextVersionIdMarker", "the store makes them up", numbered=True, twins=True),
    Difference("element", "DeleteMarkerVersionId", "the store makes them up", numbered=True, twins=True),
    Difference("element", "UploadId", "the store makes them up", numbered=True, twins=True),
    Difference("element", "UploadIdMarker", "the store makes them up", numbered=True, twins=True),
    Difference("element", "NextUploadIdMarker", "the store makes them up", numbered=True, twins=True),
)
"""Two more are built in: `content-length` is framing too where one way uses chunks (the bodies are compared anyway),
and in twin buckets the bucket's own name and the server's address stand for the other's."""

OWN_ANSWER = (
    Difference("header", "date", "see test_the_gateways_own_answers_carry_a_date", optional=True),
    Difference("header", "allow", "RFC 9110, section 15.5.6: it goes with every 405; RGW leaves it out", optional=True),
    Difference("header", "accept-ranges", "RGW says it in errors, too", optional=True),
    Difference("header", "content-length", "the gateway words its own refusals", optional=True),
    Difference("text", "between elements", "the gateway begins a new line after the XML declaration"),
    Difference("element", "Message", "the gateway words its own refusals", optional=True),
    Difference("element", "Resource", "RGW leaves it out", optional=True),
    Difference("element", "ExpectedDigest", "RGW leaves it out", optional=True),
    Difference("element", "CalculatedDigest", "RGW leaves it out", optional=True),
    Difference("element", "ClientComputedContentSHA256", "RGW leaves it out", optional=True),
    Difference("element", "S3ComputedContentSHA256", "RGW leaves it out", optional=True),
    Difference("element", "ProposedSize", "RGW leaves it out", optional=True),
    Difference("element", "MinSizeAllowed", "RGW leaves it out", optional=True),
    Difference("element", "MaxSizeAllowed", "RGW leaves it out", optional=True),
    Difference("element", "AWSAccessKeyId", "RGW leaves it out", optional=True),
    Difference("element", "BucketName", "RGW says it, even empty", optional=True),
    Difference("element", "HostId", "a name for the host that answered: the gateway has none", optional=True),
)
"""What may differ besides, where the gateway refuses by itself what the store would have refused, too."""

OTHER_CODES = {
    "InvalidObjectName": "KeyTooLongError",  # AWS's code for a key that is too long
}
"""RGW's codes that are not AWS's: where the gateway refuses by itself, it speaks as AWS does."""


# One way to the store


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as they went over the wire."""

    method: str
    target: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    @property
    def code(self) -> str:
        """The code of an S3 error document, or an empty string."""
        match = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return match[1].decode() if match else ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found == name), None)

    def element(self, name: str) -> str:
        """The text of the first such element of the body."""
        match = re.search(f"<{name}>([^<]*)</{name}>", self.text)
        assert match, f"no {name} in {self.text}"
        return match[1]


class Side:
    """One of two ways to the store: what is asked through it is noted."""

    def __init__(self, way: str, url: str, users: Mapping[str, tuple[str, str]], bucket: str, prefix: str) -> None:
        self.way = way
        self.url = url
        self.users = users
        self.bucket = bucket
        self.prefix = prefix
        self.names = [bucket]
        self.exchanges: list[Exchange] = []

    @property
    def host(self) -> str:
        """As it stands in the Host header."""
        return urlsplit(self.url).netloc

    def key(self, name: str = "key") -> str:
        """A key of the test's own, the same on both ways."""
        return self.prefix + name

    def target(self, name: str = "key", query: str = "") -> str:
        """A request target of the test's own."""
        return f"/{self.bucket}/{quote(self.key(name), safe='/~')}" + (f"?{query}" if query else "")

    def new_bucket(self, stem: str = "strict") -> str:
        """A name for a bucket that does not exist yet; as long as its twin's."""
        name = f"{stem}-{self.prefix.strip('/')}-{len(self.names)}{self.way[0]}"
        self.names.append(name)
        return name

    def s3(self, user: str = ALICE) -> Any:
        """boto3, listened to at the point where it has read a response's octets."""
        made, ear = _client(self.url, *self.users[user])
        ear.side = self
        return made

    def hang_up(self) -> None:
        """End the connections that boto3 keeps, so that one test does not depend on another's."""
        for user in self.users.values():
            _client(self.url, *user)[0].close()

    def ask(self, operation: str, name: str = "", user: str = ALICE, **arguments: Any) -> Any:
        """One of boto3's operations on this side's bucket or, with a name, on a key of the test's own."""
        arguments.setdefault("Bucket", self.bucket)
        if name:
            arguments["Key"] = self.key(name)
        return getattr(self.s3(user), operation)(**arguments)

    def put(self, name: str = "key", body: bytes = b"body", **arguments: Any) -> Any:
        return self.ask("put_object", name, Body=body, **arguments)

    def get(self, name: str = "key", **arguments: Any) -> Any:
        return self.ask("get_object", name, **arguments)

    def tried(self, operation: str, name: str = "", **arguments: Any) -> Exchange:
        """The same, and an error is an answer as any other."""
        with contextlib.suppress(ClientError):
            self.ask(operation, name, **arguments)
        return self.exchanges[-1]

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        user: str = ALICE,
        *,
        signed_as: str | None = None,
    ) -> Exchange:
        """A request by hand, signed as it stands or under the canonical form of its target."""
        signed = raw_s3.signed_headers(method, self.host, signed_as or target, headers, body, *self.users[user])
        return self._took(method, target, raw_s3.send(method, self.url, target, signed, body))

    def send_unsigned(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Exchange:
        """A request by hand, without any authentication or with one that is in its target already."""
        answer = raw_s3.send(method, self.url, target, {"Host": self.host, **(headers or {})}, body)
        return self._took(method, target, answer)

    def get_url(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Exchange:
        """Use a presigned URL."""
        parts = urlsplit(url)
        return self.send_unsigned(method, f"{parts.path}?{parts.query}", headers, body)

    def note(
        self, method: str, path: str, query: str, status: int, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Exchange:
        fields = tuple((name.lower(), value) for name, value in headers)
        exchange = Exchange(method, f"{path}?{query}" if query else path, status, fields, body)
        self.exchanges.append(exchange)
        return exchange

    def _took(self, method: str, target: str, answer: raw_s3.RawResponse) -> Exchange:
        path, _, query = target.partition("?")
        return self.note(method, path, query, answer.status, answer.headers.items(), answer.body)


@dataclass
class _Ear:
    """Notes for the side that uses a client at the moment."""

    side: Side | None = None


@functools.cache
def _client(url: str, key: str, secret: str) -> tuple[Any, _Ear]:
    """A boto3 client and the ear on its line; kept, because making one takes longer than most tests."""
    made, ear = client(url, key, secret, signature_version="s3v4"), _Ear()
    session = made._endpoint.http_session
    send = session.send

    def noted(request: AWSPreparedRequest) -> AWSResponse:
        response = send(request)
        body, url = response.content, urlsplit(request.url)
        assert ear.side is not None
        ear.side.note(request.method, url.path, url.query, response.status_code, response.raw.headers.items(), body)
        return AWSResponse(response.url, response.status_code, response.headers, _Octets(body))

    session.send = noted
    return made, ear


class _Octets(io.BytesIO):
    """A body that was read already, as botocore wants it."""

    def stream(self, amt: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        while piece := self.read(amt):
            yield piece


# The comparison


def rules(*, twins: bool, own_answer: bool = False) -> dict[tuple[str, str], Difference]:
    """What may differ, by place and name."""
    listed = [rule for rule in PERMITTED if twins or not rule.twins] + (list(OWN_ANSWER) if own_answer else [])
    return {(rule.where, rule.name): rule for rule in listed}


def compare(direct: Side, through: Side, permitted: Mapping[tuple[str, str], Difference]) -> list[str]:
    """Lines that say what is not the same; none where all is."""
    assert direct.exchanges, "the call asked for nothing"
    if len(direct.exchanges) != len(through.exchanges):
        return [f"{len(direct.exchanges)} requests direct, {len(through.exchanges)} through the gateway"]
    readers = _Reader(direct, permitted), _Reader(through, permitted)
    lines = []
    for ours, theirs in zip(direct.exchanges, through.exchanges, strict=True):
        one, other = readers[0].read(ours), readers[1].read(theirs)
        if "chunked" in (ours.header("transfer-encoding"), theirs.header("transfer-encoding")):
            one.pop("content-length", None)
            other.pop("content-length", None)
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                what = f"{theirs.method} {theirs.target[:200]}: {name}"
                lines.append(f"{what}:\n  direct  {str(one.get(name))[:1500]}\n  gateway {str(other.get(name))[:1500]}")
    return lines


class _Reader:
    """Exchanges of one side, with what may differ taken out or replaced by what does not."""

    def __init__(self, side: Side, permitted: Mapping[tuple[str, str], Difference]) -> None:
        self.side = side
        self.permitted = permitted
        self.numbers: dict[str, str] = {}
        self.own = {side.host: "ENDPOINT", **{name: f"BUCKET-{i}" for i, name in enumerate(side.names)}}

    def read(self, exchange: Exchange) -> dict[str, object]:
        seen: dict[str, object] = {"status": exchange.status}
        for name, value in exchange.headers:
            kept = self._value(self.permitted.get(("header", name)), self._named(value))
            if kept is not None:
                seen[name] = [*seen.get(name, []), kept]  # type: ignore[misc]
        xml = "xml" in (exchange.header("content-type") or "")
        seen["body"] = self._document(exchange.text) if xml else exchange.body
        return seen

    def _document(self, text: str) -> str:
        if ("text", "between elements") in self.permitted:
            text = re.sub(r">\s+<", "><", text)
            for theirs, ours in OTHER_CODES.items():
                text = text.replace(f"<Code>{theirs}</Code>", f"<Code>{ours}</Code>")
        return re.sub(r"<(\w+)>([^<]*)</\1>|<(\w+)/>", self._element, self._named(text))

    def _element(self, match: re.Match[str]) -> str:
        name = match[1] or match[3]
        kept = self._value(self.permitted.get(("element", name)), match[2] or "")
        return "" if kept is None else f"<{name}>{kept}</{name}>"

    def _value(self, rule: Difference | None, value: str) -> str | None:
        if rule is None:
            return value
        if rule.optional:
            return None
        if rule.address:
            return unquote(re.sub(r"\A(https?://)?[^/]*", "", value))
        if rule.numbered and value not in ("", "null"):
            return self.numbers.setdefault(value, f"number {len(self.numbers)}")
        return value if rule.numbered else "(differs)"

    def _named(self, text: str) -> str:
        for name, stand_in in self.own.items():
            text = text.replace(name, stand_in)
        return text
