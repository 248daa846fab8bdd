"""One request in its many spellings: encodings, hosts, cases, orders, and the places where its signature can stand."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.keys import KeyPair, SigningKeys
from osp_gateway.sigv4.sign import presign_query
from support.heads import CLIENT, HOST, NOW, signed_head

DOMAIN = "osp.localhost"
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
RAW_IN_PATHS = frozenset(b"!$'()*,:;=@+&")
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asked:
    """What is asked, whatever its spelling: decoded key, query and headers."""

    method: str
    bucket: str = "demo"
    key: str = ""
    query: Pairs = ()
    headers: Pairs = ()


@st.composite
def encoded(draw: st.DrawFn, text: str, raw: frozenset[int] = frozenset()) -> str:
    """A text in percent-encoding, of which each octet may be written in any way that stands for it."""
    return "".join(
        draw(st.sampled_from([*([chr(octet)] if octet in UNRESERVED | raw else []), f"%{octet:02X}", f"%{octet:02x}"]))
        for octet in text.encode()
    )


@st.composite
def query_of(draw: st.DrawFn, pairs: Pairs) -> str:
    """A query in any order, with empty pieces; a parameter without value may have its equals sign."""
    pieces = []
    for name, value in draw(st.permutations(pairs)):
        sign = "=" if value or draw(st.booleans()) else ""
        pieces.append(draw(encoded(name)) + sign + draw(encoded(value)))
    return draw(st.sampled_from(["", "&"])) + draw(st.sampled_from(["&", "&&"])).join(pieces)


@st.composite
def spelled(draw: st.DrawFn, asked: Asked, pair: KeyPair = CLIENT) -> RequestHead:
    """The head of a request, rightly signed."""
    slash = frozenset(b"/")
    key = draw(encoded(asked.key, RAW_IN_PATHS | slash))
    if draw(st.booleans()):
        host = draw(st.sampled_from([f"{asked.bucket}.{DOMAIN}", f"{asked.bucket.upper()}.{DOMAIN}:6190"]))
        path = f"/{key}"
    else:
        host = HOST
        separator = draw(st.sampled_from(["/", "%2F", "%2f"])) if key else draw(st.sampled_from(["", "/"]))
        path = "/" + draw(encoded(asked.bucket)) + separator + key
    if draw(st.booleans()):
        head = _presigned(draw, asked, host, path, pair)
    else:
        query = draw(query_of(asked.query))
        target = path + ("?" + query if query else "")
        head = signed_head(asked.method, target, asked.headers, host=host, pair=pair)
    names = st.sampled_from([str.lower, str.upper, str.title])
    return replace(head, headers=tuple((draw(names)(name), value) for name, value in head.headers))


def _presigned(draw: st.DrawFn, asked: Asked, host: str, path: str, pair: KeyPair) -> RequestHead:
    """Headers with a meaning stand in the query, where they are signed."""
    names = st.sampled_from([str.lower, str.title])
    pairs = (*asked.query, *((draw(names)(name), value) for name, value in asked.headers))
    raw = presign_query(
        method=asked.method,
        host=host,
        path=encoding.canonical_path(path),
        query=tuple((encoding.encode(name.encode()), encoding.encode(value.encode())) for name, value in pairs),
        expires=600,
        pair=pair,
        region="us-east-1",
        now=NOW,
        keys=SigningKeys(),
    )
    decoded = tuple((encoding.decode(n).decode(), encoding.decode(v).decode()) for n, v in encoding.parse_query(raw))
    return RequestHead(asked.method, path, draw(query_of(decoded)), (("host", host),))
