"""botocore and this gateway agree on every signature, in both directions."""

from __future__ import annotations

from hypothesis import example, given

from osp_gateway.s3 import encoding
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.keys import SigningKeys
from osp_gateway.sigv4.sign import presign_query, sign_head
from support import oracle
from support.oracle import HOST, NOW, Ask, asks, generated, judge, on_the_wire


@generated
@given(asks())
def test_a_request_that_botocore_signed_is_accepted(ask: Ask) -> None:
    claim = judge(oracle.signed(ask), ask.pair.secret_key)

    assert (claim.access_key, claim.region, claim.payload_hash) == (ask.pair.access_key, ask.region, ask.payload_hash)
    assert claim.session_token == ask.pair.session_token
    assert claim.expires is None


@generated
@given(asks())
def test_a_url_that_botocore_presigned_is_accepted(ask: Ask) -> None:
    claim = judge(oracle.presigned(ask), ask.pair.secret_key)

    assert (claim.access_key, claim.region, claim.expires) == (ask.pair.access_key, ask.region, ask.expires)
    assert claim.session_token == ask.pair.session_token
    assert claim.payload_hash == "UNSIGNED-PAYLOAD"


@generated
@given(asks())
def test_a_request_with_a_date_header_instead_of_x_amz_date_is_accepted(ask: Ask) -> None:
    dated = Ask(**{**vars(ask), "headers": (*ask.headers, ("Date", "to be set"))})
    head = oracle.signed(dated)

    assert "x-amz-date" not in head.fields
    assert judge(head, ask.pair.secret_key).amz_date == "20260101T120000Z"


@generated
@given(asks())
def test_we_sign_head_as_botocore_does(ask: Ask) -> None:
    headers = sign_head(
        method=ask.method,
        path=encoding.canonical_path(ask.encoded_path),
        query=encoding.parse_query(ask.encoded_query),
        headers=[("host", HOST), *((name.lower(), on_the_wire(value)) for name, value in ask.headers)],
        payload_hash=ask.payload_hash,
        pair=ask.pair,
        region=ask.region,
        now=NOW,
        keys=SigningKeys(),
    ).headers

    assert dict(headers)["authorization"] == oracle.signed(ask).get("authorization")


@generated
@given(asks())
def test_what_we_signed_we_accept(ask: Ask) -> None:
    headers = sign_head(
        method=ask.method,
        path=encoding.canonical_path(ask.encoded_path),
        query=encoding.parse_query(ask.encoded_query),
        headers=[("host", HOST), *((name.lower(), on_the_wire(value)) for name, value in ask.headers)],
        payload_hash=ask.payload_hash,
        pair=ask.pair,
        region=ask.region,
        now=NOW,
        keys=SigningKeys(),
    ).headers

    judge(RequestHead(ask.method, ask.encoded_path, ask.encoded_query, tuple(headers)), ask.pair.secret_key)


@generated
@given(asks(with_headers=False))
@example(Ask(query=(("", ""),)))
def test_we_presign_as_botocore_does(ask: Ask) -> None:
    ours = presign_query(
        method=ask.method,
        host=HOST,
        path=encoding.canonical_path(ask.encoded_path),
        query=encoding.parse_query(ask.encoded_query),
        expires=ask.expires,
        pair=ask.pair,
        region=ask.region,
        now=NOW,
        keys=SigningKeys(),
    )

    theirs = encoding.parse_query(oracle.presigned(ask).query)
    assert sorted(encoding.parse_query(ours)) == sorted(theirs)
    judge(RequestHead(ask.method, ask.encoded_path, ours, (("host", HOST),)), ask.pair.secret_key)


@generated
@given(asks())
def test_another_spelling_of_the_same_url_is_accepted(ask: Ask) -> None:
    head = oracle.signed(ask)
    respelled = RequestHead(
        head.method,
        "/".join(_escape_all(piece) for piece in ask.path.split("/")),
        "&".join(f"{_escape_all(name)}={_escape_all(value)}" for name, value in ask.query),
        head.headers,
    )

    judge(respelled, ask.pair.secret_key)


@generated
@given(asks())
def test_the_order_of_query_parameters_does_not_matter(ask: Ask) -> None:
    head = oracle.presigned(ask)
    turned = "&".join(reversed(head.query.split("&")))

    judge(RequestHead(head.method, head.path, turned, head.headers), ask.pair.secret_key)


@generated
@given(asks())
def test_the_order_and_case_of_header_names_do_not_matter(ask: Ask) -> None:
    once = {name.lower(): (name, value) for name, value in ask.headers}
    head = oracle.signed(Ask(**{**vars(ask), "headers": tuple(once.values())}))
    turned = tuple((name.upper(), value) for name, value in reversed(head.headers))

    judge(RequestHead(head.method, head.path, head.query, turned), ask.pair.secret_key)


def _escape_all(text: str) -> str:
    return "".join(f"%{octet:02x}" for octet in text.encode())
