"""botocore as the oracle of signatures: requests signed by it at a fixed time, as heads, and what to generate.

botocore signs text; on the wire stand its UTF-8 octets, which a `RequestHead` holds as latin-1. The generated header
values stay clear of one quirk: botocore collapses all of Unicode's white space, signers elsewhere only ASCII's.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import claims, verify
from osp_gateway.sigv4.claim_parts import Claim
from osp_gateway.sigv4.keys import KeyPair, SigningKeys

NOW = 1_767_268_800  # 2026-01-01T12:00:00Z
HOST = "gateway.example.test:6190"

generated = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Ask:
    """A request before it is signed. Keys, queries and header values are text, not encoded."""

    method: str = "GET"
    path: str = "/bucket/key"
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    payload_hash: str = hashlib.sha256(b"").hexdigest()
    pair: KeyPair = field(default_factory=lambda: KeyPair("fake-key", "fake-secret"))
    region: str = "us-east-1"
    expires: int = 600

    @property
    def encoded_path(self) -> str:
        return quote(self.path, safe="/~")

    @property
    def encoded_query(self) -> str:
        return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in self.query)

    @property
    def url(self) -> str:
        return f"http://{HOST}{self.encoded_path}" + (f"?{self.encoded_query}" if self.query else "")

    def request(self) -> AWSRequest:
        request = AWSRequest(method=self.method, url=self.url)
        for name, value in self.headers:
            request.headers.add_header(name, value)
        return request

    def credentials(self) -> Credentials:
        return Credentials(self.pair.access_key, self.pair.secret_key, self.pair.session_token)


class _HeaderAuth(S3SigV4Auth):
    payload_hash = ""

    def payload(self, request: AWSRequest) -> str:
        return self.payload_hash


def signed(ask: Ask) -> RequestHead:
    """The head with botocore's Authorization header."""
    request = ask.request()
    auth = _HeaderAuth(ask.credentials(), "s3", ask.region)
    auth.payload_hash = ask.payload_hash
    _add_auth(auth, request)
    return _head(ask, request)


def presigned(ask: Ask) -> RequestHead:
    """The head with botocore's authentication in its query; the headers are signed, too."""
    request = ask.request()
    _add_auth(S3SigV4QueryAuth(ask.credentials(), "s3", ask.region, ask.expires), request)
    return _head(ask, request)


def judge(head: RequestHead, secret: str, now: float = NOW) -> Claim:
    """What the gateway does with a head: read its claim and verify it."""
    claim = claims.read(head, encoding.parse_query(head.query), now)
    assert claim is not None
    verify.verify(claim, head, encoding.canonical_path(head.path), secret, SigningKeys())
    return claim


def on_the_wire(text: str) -> str:
    """The UTF-8 octets of a text, as latin-1."""
    return text.encode().decode("latin-1")


def _add_auth(auth: Any, request: AWSRequest) -> None:
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", lambda **_: at):
        auth.add_auth(request)


def _head(ask: Ask, request: AWSRequest) -> RequestHead:
    url = urlsplit(request.url)
    headers = [("Host", HOST), *((name, on_the_wire(value)) for name, value in request.headers.items())]
    return RequestHead(ask.method, url.path, url.query, tuple(headers))


_any_text = st.characters(exclude_categories=["Cs"])
_awkward = st.sampled_from(" +%/.~?#&=;:@!$'()*,[]\\\"<>|{}^`éñ€𝄞")
_header_text = st.characters(min_codepoint=0x21, exclude_categories=["Cs", "Cc", "Z"]) | st.just(" ")

keys = st.text(_any_text | _awkward | st.just("/"), min_size=1, max_size=30) | st.sampled_from(
    ["/", "//", "/leading", "trailing/", "a//b", "a/./b", "a/../b", "..", "a b+c", "100%", "%2F", "%41", "~", "-._~"]
)
query_names = st.text(_any_text | _awkward, max_size=10).filter(
    lambda name: not name.lower().startswith("x-amz-") and name.lower() not in ("awsaccesskeyid", "signature")
)
queries = st.dictionaries(query_names, st.text(_any_text | _awkward, max_size=10), max_size=4)
header_values = st.text(_header_text, max_size=20)
header_names = st.one_of(
    st.sampled_from(["Content-Type", "Cache-Control", "Content-MD5", "Range", "If-Match", "If-None-Match", "X-Custom"]),
    st.from_regex(r"[Xx]-[Aa]mz-[Mm]eta-[a-zA-Z0-9-]{1,12}", fullmatch=True),
)
access_keys = st.from_regex(r"[A-Za-z0-9/+=._-]{1,30}", fullmatch=True)
secrets = st.text(_any_text, min_size=1, max_size=40)
regions = st.from_regex(r"[a-z]{2}-[a-z0-9-]{1,15}", fullmatch=True)
tokens = st.none() | st.from_regex(r"[A-Za-z0-9/+=]{1,60}", fullmatch=True)
payload_hashes = st.binary(max_size=8).map(lambda body: hashlib.sha256(body).hexdigest()) | st.just("UNSIGNED-PAYLOAD")


@st.composite
def asks(draw: st.DrawFn, *, with_headers: bool = True, token: bool = True) -> Ask:
    """Any request that an S3 client could want to send."""
    headers = draw(st.lists(st.tuples(header_names, header_values), max_size=5)) if with_headers else []
    return Ask(
        method=draw(st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"])),
        path=draw(st.sampled_from(["/bucket/", "/"])) + draw(keys),
        query=tuple(draw(queries).items()),
        headers=tuple(headers),
        payload_hash=draw(payload_hashes),
        pair=KeyPair(draw(access_keys), draw(secrets), draw(tokens) if token else None),
        region=draw(regions),
        expires=draw(st.integers(1, 604_800)),
    )
