"""botocore as the oracle of Signature Version 2: requests signed by it at a fixed time, as heads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from email.utils import formatdate
from urllib.parse import quote, urlsplit

from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.address import Resource, locate
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4 import sigv2
from osp_gateway.sigv4.claim_parts import SECURITY_TOKEN
from osp_gateway.sigv4.keys import KeyPair
from osp_gateway.sigv4.sigv2 import V2Claim
from support.oracle import NOW, access_keys, header_values, keys, on_the_wire, secrets, tokens

DOMAIN = "gateway.example.test"
DATE = formatdate(NOW, usegmt=True)
Parameter = tuple[str, str | None]


@dataclass(frozen=True)
class Ask:
    """A request before it is signed. Key, values of parameters and of headers are text, not encoded.

    A parameter whose value is None is written without `=`.
    """

    method: str = "GET"
    bucket: str = "bucket"
    key: str = "key"
    virtual: bool = False
    query: tuple[Parameter, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    pair: KeyPair = field(default_factory=lambda: KeyPair("fake-key", "fake-secret"))
    expires: int = 600

    @property
    def host(self) -> str:
        return f"{self.bucket}.{DOMAIN}:6190" if self.virtual else f"{DOMAIN}:6190"

    @property
    def full_path(self) -> str:
        """The path with the bucket in it."""
        return f"/{self.bucket}/{quote(self.key, safe='/~')}"

    def request(self) -> AWSRequest:
        path = self.full_path.removeprefix(f"/{self.bucket}") if self.virtual else self.full_path
        query = "&".join(name if value is None else f"{name}={quote(value, safe='~')}" for name, value in self.query)
        url = f"http://{self.host}{path}" + (f"?{query}" if query else "")
        request = AWSRequest(method=self.method, url=url, auth_path=self.full_path)
        for name, value in self.headers:
            request.headers.add_header(name, value)
        return request

    def credentials(self) -> Credentials:
        return Credentials(self.pair.access_key, self.pair.secret_key, self.pair.session_token)


class _HeaderAuth(HmacV1Auth):
    def _get_date(self) -> str:
        return DATE


class _QueryAuth(HmacV1QueryAuth):
    def _get_date(self) -> str:
        return str(NOW + int(self._expires))


def signed(ask: Ask) -> RequestHead:
    """The head with botocore's Authorization header."""
    request = ask.request()
    _HeaderAuth(ask.credentials()).add_auth(request)
    return _head(ask, request)


def presigned(ask: Ask) -> RequestHead:
    """The head with botocore's authentication in its query; the ask's headers are sent as well."""
    request = ask.request()
    _QueryAuth(ask.credentials(), ask.expires).add_auth(request)
    for name in ("Date", SECURITY_TOKEN):
        del request.headers[name]
    return _head(ask, request)


def _head(ask: Ask, request: AWSRequest) -> RequestHead:
    url = urlsplit(request.url)
    headers = [("Host", ask.host), *((name, on_the_wire(value)) for name, value in request.headers.items())]
    return RequestHead(ask.method, url.path, url.query, tuple(headers))


def judge(head: RequestHead, secret: str = "fake-secret", now: float = NOW) -> V2Claim:
    """What the gateway does with a head: read its claim and verify it."""
    query = encoding.parse_query(head.query)
    claim = sigv2.read(head, query, now)
    assert claim is not None
    sigv2.verify(claim, head, resource_of(head), query, secret)
    return claim


def resource_of(head: RequestHead) -> Resource:
    return locate(head.path, head.get("host") or "", (DOMAIN,))


def string_of(head: RequestHead) -> str:
    """The string to sign of a signed head."""
    query = encoding.parse_query(head.query)
    claim = sigv2.read(head, query, NOW)
    assert claim is not None
    return sigv2.string_to_sign(claim, head, resource_of(head), query)


def with_header(head: RequestHead, name: str, value: str | None) -> RequestHead:
    """The head with one header replaced, added or (None) removed."""
    rest = tuple(pair for pair in head.headers if pair[0].lower() != name.lower())
    return replace(head, headers=rest if value is None else (*rest, (name, value)))


_values = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda value: "&" not in value
)
_listing = st.sampled_from(sorted(sigv2.LISTING_PARAMETERS))
_signed = st.sampled_from(sorted(set(HmacV1Auth.QSAOfInterest)))
_queries = st.dictionaries(_signed | _listing, _values, max_size=5)
_metadata = st.from_regex(r"[Xx]-[Aa]mz-[Mm]eta-[a-zA-Z0-9-]{1,12}", fullmatch=True)
_once = st.sampled_from(["Content-Type", "Content-MD5", "Cache-Control", "Range", "If-Match"])


@st.composite
def asks(draw: st.DrawFn, *, with_amz_headers: bool = True) -> Ask:
    """Any request that a client of Signature Version 2 could want to send."""
    headers = list(draw(st.dictionaries(_once, header_values, max_size=3)).items())
    if with_amz_headers:
        headers += draw(st.lists(st.tuples(_metadata, header_values), max_size=4))
    return Ask(
        method=draw(st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"])),
        key=draw(keys | st.just("")),
        virtual=draw(st.booleans()),
        query=tuple(draw(_queries).items()),
        headers=tuple(headers),
        pair=KeyPair(draw(access_keys), draw(secrets), draw(tokens)),
        expires=draw(st.integers(1, 604_800)),
    )
