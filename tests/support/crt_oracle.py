"""awscrt, the AWS SDKs' own signer in C, as the oracle of signatures; and requests at the edges of encoding.

Where awscrt and S3 differ, what is generated stays clear of it:
- awscrt signs a path as it is sent. S3 signs the path decoded and encoded again, so that `%2d` and `-` are one; what
  is sent here is encoded that way already. Queries awscrt does encode anew, so they come in any spelling.
- awscrt (and botocore) make one space of tabs, too; S3's documents speak of spaces only. No tabs are generated.
- Its Python binding takes header values as text and sends UTF-8: octets that are not UTF-8 cannot be put in.
- It leaves out of the signature what proxies change (`expect`, `transfer-encoding`, `user-agent` ...), as `sign_head`
  does, but not the same headers. None of them is generated.
- The binding signs heads and queries alone: no chunks and no trailers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from hypothesis import strategies as st

from osp_gateway.s3.head import Header, RequestHead
from osp_gateway.sigv4.keys import KeyPair
from support.oracle import HOST, NOW, access_keys, header_names, on_the_wire, payload_hashes, regions, secrets, tokens

SECONDS = 60


@dataclass(frozen=True)
class Wire:
    """A request before it is signed, as it will be sent but for header values, which are text."""

    method: str = "GET"
    path: str = "/bucket/key"
    query: str = ""
    headers: tuple[Header, ...] = ()
    payload_hash: str = "UNSIGNED-PAYLOAD"
    pair: KeyPair = field(default_factory=lambda: KeyPair("fake-key", "fake-secret"))
    region: str = "us-east-1"
    expires: int = 600

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def octets(self) -> list[Header]:
        """The headers as they are sent, with lower-case names, `host` among them."""
        return [("host", HOST), *((name.lower(), on_the_wire(value)) for name, value in self.headers)]


def signed(wire: Wire, *, asymmetric: bool = False) -> RequestHead:
    """The head with awscrt's Authorization header, by SigV4 or SigV4A."""
    return _sign(wire, asymmetric, None)


def presigned(wire: Wire, *, asymmetric: bool = False) -> RequestHead:
    """The head with awscrt's authentication in its query; the headers are signed, too."""
    return _sign(wire, asymmetric, wire.expires)


def _sign(wire: Wire, asymmetric: bool, expires: int | None) -> RequestHead:
    in_query = expires is not None
    pair = wire.pair
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC if asymmetric else AwsSigningAlgorithm.V4,
        signature_type=AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS
        if in_query
        else AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=AwsCredentialsProvider.new_static(pair.access_key, pair.secret_key, pair.session_token),
        region=wire.region,
        service="s3",
        date=datetime.fromtimestamp(NOW, UTC),
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value="UNSIGNED-PAYLOAD" if in_query else wire.payload_hash,
        signed_body_header_type=AwsSignedBodyHeaderType.NONE
        if in_query
        else AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        expiration_in_seconds=expires,
    )
    request = HttpRequest(wire.method, wire.target, HttpHeaders([("host", HOST), *wire.headers]))
    result = aws_sign_request(request, config).result(timeout=SECONDS)
    path, _, query = result.path.partition("?")
    return RequestHead(wire.method, path, query, tuple((name, on_the_wire(value)) for name, value in result.headers))


_edges = st.sampled_from(
    [b"/", b"//", b"/./", b"/../", b"..", b".", b"+", b"%", b"%2F", b"%41", b" ", b"~", b"&", b"=", b"?", b"#", b";"]
)
_octets = st.lists(st.binary(max_size=6) | _edges, max_size=6).map(b"".join)
_paths = _octets.map(lambda key: "/bucket/" + quote(key, safe="/~"))
_component = (st.binary(max_size=6) | _edges).map(lambda octets: quote(octets, safe="~"))
_names = _component.filter(
    lambda name: not name.lower().startswith("x-amz-") and name.lower() not in ("awsaccesskeyid", "signature", "")
)
# From few names, so that some of them come twice.
_queries = st.lists(st.tuples(_names | st.sampled_from(["a", "a-", "A"]), _component), max_size=5).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
_spellings = st.lists(
    _queries.filter(bool)
    | st.sampled_from(["a", "a=%2d", "%61=%2f", "a==", "a=b=c", "b=/:@!$'()*,;", "c=+", "d=~%7e"]),
    max_size=3,
).map("&".join)
_text = st.characters(min_codepoint=0x21, exclude_categories=["Cs", "Cc", "Z"]) | st.characters(
    min_codepoint=0xA1, max_codepoint=0xFF, exclude_categories=["Z"]
)
_values = st.lists(st.text(_text, max_size=5) | st.sampled_from([" ", "  ", "    ", ","]), max_size=6).map("".join)


@st.composite
def wires(draw: st.DrawFn, *, with_headers: bool = True, any_spelling: bool = True) -> Wire:
    """Requests with every octet in keys and queries, and runs of blanks in header values.

    With `any_spelling` a query need not be encoded as it is signed.
    """
    headers = draw(st.lists(st.tuples(header_names, _values), max_size=5)) if with_headers else []
    return Wire(
        method=draw(st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"])),
        path=draw(_paths),
        query=draw(_spellings if any_spelling else _queries),
        headers=tuple(headers),
        payload_hash=draw(payload_hashes),
        pair=KeyPair(draw(access_keys), draw(secrets), draw(tokens)),
        region=draw(regions),
        expires=draw(st.integers(1, 604_800)),
    )
