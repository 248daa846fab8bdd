from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from osp_gateway.backends.responses import ResponseNames
from osp_gateway.backends.routes import Endpoint
from osp_gateway.mitm.showing import Showing, comment
from osp_gateway.mitm.wire import REFUSED_MARK, adapt_response, annotate, arrival_of, head_of, response_of
from osp_gateway.outcomes import ALLOWED, Forward, Verdict
from osp_gateway.redaction import Redactor
from support.heads import STORE, Bench, signed_head, unsigned_head

VERDICT = Verdict(
    "ID", "client-fake-key", "GetObject", "demo", "a/key", True, "allowed by f", False, "store (demo)", 42
)


def flow_with(
    path: bytes = b"/demo/key?a=b",
    headers: tuple[tuple[bytes, bytes], ...] = ((b"Host", b"gateway.example.test"),),
    *,
    authority: bytes = b"",
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    mode: str = "reverse:https://store.example.test:9000@6190",
) -> http.HTTPFlow:
    flow = tflow.tflow()
    data = flow.request.data
    data.path, data.authority, data.method, data.http_version = path, authority, method, version
    data.headers = http.Headers(headers)
    flow.client_conn.peername = ("192.0.2.7", 50000)
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    return flow


def test_every_octet_of_the_head_arrives_as_it_came() -> None:
    headers = ((b"hOsT", b"gateway.example.test"), (b"X-A", b" \xc3\xa4  b "), (b"x-a", b"\xff"))
    head = arrival_of(flow_with(b"/demo/%2e\xff//a?b=%zz&?c", headers, method=b"PuT")).head
    assert (head.method, head.path, head.query) == ("PuT", "/demo/%2e\xff//a", "b=%zz&?c")
    assert tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers) == headers


@pytest.mark.parametrize(
    ("path", "expected"),
    [(b"/a", ("/a", "")), (b"/a?", ("/a", "")), (b"/a??", ("/a", "?")), (b"/?x", ("/", "x")), (b"*", ("*", ""))],
)
def test_the_target_is_divided_at_its_first_question_mark(path: bytes, expected: tuple[str, str]) -> None:
    head = arrival_of(flow_with(path)).head
    assert (head.path, head.query) == expected


@pytest.mark.parametrize(
    ("authority", "hosts", "expected"),
    [
        (b"", [b"a"], ["a"]),
        (b"", [], []),
        (b"a", [], ["a"]),
        (b"a", [b"a"], ["a"]),
        (b"a", [b"b"], ["a", "b"]),
        (b"a", [b"a", b"b"], ["a", "a", "b"]),
        (b"", [b"a", b"b"], ["a", "b"]),
    ],
)
def test_an_authority_is_a_host_and_differing_ones_all_stay(
    authority: bytes, hosts: list[bytes], expected: list[str]
) -> None:
    head = arrival_of(flow_with(headers=tuple((b"host", host) for host in hosts), authority=authority)).head
    assert head.fields.get("host", []) == expected


async def test_two_different_hosts_are_refused() -> None:
    arrival = arrival_of(flow_with(authority=b"other.example.test"))
    assert (await Bench().refusal(arrival.head)).error.code == "InvalidRequest"


def test_the_clients_address_is_the_connections_and_no_headers() -> None:
    assert arrival_of(flow_with(headers=((b"x-forwarded-for", b"10.0.0.1"),))).source == "192.0.2.7"


@pytest.mark.parametrize("established", [True, False])
def test_it_is_known_whether_tls_was_used(established: bool) -> None:
    flow = flow_with()
    flow.client_conn.timestamp_tls_setup = 1.0 if established else None
    assert arrival_of(flow).tls is established


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("reverse:https://store.example.test:9000@6190", Endpoint("store.example.test", 9000, True)),
        ("reverse:http://store.example.test", Endpoint("store.example.test", 80, False)),
        ("reverse:https://store.example.test", Endpoint("store.example.test", 443, True)),
        ("reverse:tcp://store.example.test:1", None),
        ("regular", None),
        ("socks5", None),
    ],
)
def test_the_reverse_target_is_the_default_endpoint(mode: str, expected: Endpoint | None) -> None:
    assert arrival_of(flow_with(mode=mode)).default_endpoint == expected


async def test_a_refusal_becomes_a_response() -> None:
    refusal = await Bench().refusal(unsigned_head())
    response = response_of(refusal)
    assert (response.status_code, response.raw_content) == (403, refusal.body)
    assert [tuple(part.decode() for part in field) for field in response.headers.fields] == list(refusal.headers)


async def test_a_refused_head_becomes_a_response_without_body() -> None:
    response = response_of(await Bench().refusal(unsigned_head("HEAD")))
    assert (response.raw_content, response.headers["content-length"]) == (b"", "0")


async def test_the_gateways_own_answer_becomes_a_response() -> None:
    reply = await Bench().admit(signed_head(target="/"))
    response = response_of(reply)  # type: ignore[arg-type]
    assert response.status_code == 200
    assert response.headers["content-length"] == str(len(response.raw_content or b""))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["client-fake-key", "GetObject", "demo/a/key", "allowed by f", "store (demo)", "42 us"]),
        ({"authorizer": ALLOWED}, ["allowed by f, not from cache -> store"]),
        ({"cached": True}, [", from cache"]),
        ({"allowed": False, "reason": "denied by f"}, ["REFUSED", "denied by f"]),
        ({"bucket": "", "key": ""}, [" /: "]),
    ],
)
def test_the_comment_tells_all_of_it(changes: dict[str, Any], words: list[str]) -> None:
    line = comment(replace(VERDICT, **changes))
    assert [word for word in words if word not in line] == []


def test_the_comment_says_nothing_of_a_cache_where_no_authorizer_was_asked() -> None:
    assert "cache" not in comment(replace(VERDICT, allowed=False, reason="the signature does not match"))


@pytest.mark.parametrize("odd", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\0b", "a\tb"])
@pytest.mark.parametrize("place", ["who", "key", "bucket", "reason", "upstream"])
def test_the_comment_is_one_line_of_characters_that_can_be_seen(place: str, odd: str) -> None:
    line = comment(replace(VERDICT, **{place: odd}))
    assert line.isprintable()
    assert "\ufffd" in line


@pytest.mark.parametrize(("allowed", "mark"), [(True, ""), (False, REFUSED_MARK)])
def test_refused_flows_are_marked(allowed: bool, mark: str) -> None:
    flow = flow_with()
    annotate(flow, replace(VERDICT, allowed=allowed), Showing(), head_of(flow))
    assert (flow.comment, flow.marked) == (comment(replace(VERDICT, allowed=allowed)), mark)


@pytest.mark.parametrize("redacted", [True, False])
def test_the_log_tells_of_a_refusal_without_its_secrets(redacted: bool, caplog: pytest.LogCaptureFixture) -> None:
    signature = "0123456789abcdef" * 4
    flow = flow_with(path=b"/demo/k%3FX-Amz-Signature=" + signature.encode())
    refused = replace(VERDICT, allowed=False, key=f"k?X-Amz-Signature={signature}")
    with caplog.at_level(logging.INFO):
        annotate(flow, refused, Showing(Redactor() if redacted else None), head_of(flow))
    assert "k?X-Amz-Signature=redacted-" in caplog.text
    assert signature not in caplog.text
    assert (signature in flow.comment) != redacted


def test_nothing_else_about_the_verdict_is_kept_with_a_flow_that_nobody_looks_at() -> None:
    flow = flow_with()
    annotate(flow, VERDICT, Showing(details=False), head_of(flow))
    assert flow.metadata == {}


async def _forward(operation: str = "ListObjectsV2", method: str = "GET", bucket: str = "theirs") -> Forward:
    forward = await Bench(cos_map={"demo": STORE}).forward()
    names = ResponseNames(bucket, "demo", "http", "gateway.example.test", "/demo/key")
    return replace(forward, operation=operation, method=method, names=names)


def _response(flow: http.HTTPFlow, *headers: tuple[bytes, bytes], status: int = 200) -> http.Response:
    flow.response = http.Response.make(status)
    flow.response.headers = http.Headers(headers)
    return flow.response


def _streamed(flow: http.HTTPFlow, *pieces: bytes) -> bytes:
    stream = flow.response.stream if flow.response else None
    if stream is True:
        return b"".join(pieces)
    assert callable(stream)
    ready = [stream(piece) for piece in (*pieces, b"")]
    return b"".join(part if isinstance(part, bytes) else b"".join(part) for part in ready)


XML = (b"Content-Type", b"application/xml")
LISTING = (b"<R><Name>the", b"irs</Na", b"me><Name>x</Name></R>")


@pytest.mark.parametrize("preview", [0, 10, 10_000])
async def test_names_are_mapped_while_the_document_streams(preview: int) -> None:
    flow = flow_with()
    _response(flow, XML, (b"Content-Length", b"46"))
    adapt_response(flow, await _forward(), preview)
    assert _streamed(flow, *LISTING) == b"<R><Name>demo</Name><Name>x</Name></R>"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (b"HTTP/1.1", [XML, (b"transfer-encoding", b"chunked")]),
        (b"HTTP/1.0", [XML, (b"connection", b"close")]),
        (b"HTTP/2.0", [XML]),
    ],
)
async def test_the_length_of_a_mapped_document_is_not_told_beforehand(version: bytes, expected: object) -> None:
    flow = flow_with(version=version)
    _response(flow, XML, (b"Content-Length", b"46"))
    adapt_response(flow, await _forward(), 0)
    assert flow.response is not None
    assert list(flow.response.headers.fields) == expected


UNTOUCHED: dict[str, tuple[dict[str, str], tuple[tuple[bytes, bytes], ...], int, bytes]] = {
    "content": ({"operation": "GetObject"}, (XML,), 200, b"GET"),
    "a part of content": ({"operation": "GetObject"}, (XML,), 206, b"GET"),
    "one name": ({"bucket": "demo"}, (XML,), 200, b"GET"),
    "JSON": ({}, ((b"Content-Type", b"application/json"),), 200, b"GET"),
    "compressed": ({}, (XML, (b"Content-Encoding", b"gzip")), 200, b"GET"),
    "HEAD": ({"operation": "HeadObject"}, (XML,), 200, b"HEAD"),
    "204": ({}, (XML,), 204, b"GET"),
    "304": ({}, (XML,), 304, b"GET"),
}


@pytest.mark.parametrize("preview", [0, 10_000])
@pytest.mark.parametrize(("changes", "headers", "status", "method"), UNTOUCHED.values(), ids=UNTOUCHED.keys())
async def test_everything_else_is_streamed_as_it_is(
    changes: dict[str, str],
    headers: tuple[tuple[bytes, bytes], ...],
    status: int,
    method: bytes,
    preview: int,
) -> None:
    flow = flow_with(method=method)
    fields = (*headers, (b"Content-Length", b"46"), (b"ETag", b'"x"'), (b"x-amz-meta-A", b"\xff"))
    _response(flow, *fields, status=status)
    adapt_response(flow, await _forward(**changes), preview)
    assert flow.response is not None
    assert flow.response.headers.fields == fields
    assert _streamed(flow, *LISTING) == b"".join(LISTING)


async def test_a_response_that_says_it_is_empty_keeps_its_length() -> None:
    flow = flow_with(method=b"PUT")
    _response(flow, (b"Content-Length", b"0"), (b"ETag", b'"x"'))
    adapt_response(flow, await _forward("PutObject", "PUT"), 0)
    assert flow.response is not None
    assert flow.response.headers.fields == ((b"Content-Length", b"0"), (b"ETag", b'"x"'))


@pytest.mark.parametrize(
    ("size", "preview", "kept"), [(10, 10, True), (11, 10, False), (0, 10, True), (100, 10, False)]
)
async def test_a_small_body_stays_with_the_flow_and_a_large_one_does_not(size: int, preview: int, kept: bool) -> None:
    flow = flow_with()
    _response(flow)
    adapt_response(flow, await _forward("GetObject", bucket="demo"), preview)
    body = b"x" * size
    assert _streamed(flow, *(body[n : n + 3] for n in range(0, size, 3))) == body
    assert flow.response is not None
    assert (flow.response.raw_content == body) is kept


@pytest.mark.parametrize(
    ("name", "version", "stays"),
    [
        (b"Connection", b"HTTP/1.1", False),
        (b"Keep-Alive", b"HTTP/1.1", False),
        (b"Trailer", b"HTTP/1.1", False),
        (b"Upgrade", b"HTTP/1.1", False),
        (b"Transfer-Encoding", b"HTTP/1.1", True),
        (b"Transfer-Encoding", b"HTTP/2.0", False),
        (b"x-amz-request-id", b"HTTP/2.0", True),
        (b"Server", b"HTTP/1.1", True),
    ],
)
async def test_headers_of_the_backends_connection_stay_behind(name: bytes, version: bytes, stays: bool) -> None:
    flow = flow_with(version=version)
    _response(flow, (name, b"chunked"))
    adapt_response(flow, await _forward("GetObject"), 0)
    assert flow.response is not None
    assert flow.response.headers.fields == (((name, b"chunked"),) if stays else ())


@pytest.mark.parametrize(
    ("operation", "bucket", "location", "expected"),
    [
        ("CreateBucket", "theirs", b"/theirs", b"/demo"),
        ("CreateBucket", "demo", b"http://demo.store.example.test/", b"http://gateway.example.test/demo/key"),
        ("PutObject", "theirs", b"http://theirs.store.example.test/key", b"http://gateway.example.test/demo/key"),
    ],
)
async def test_the_location_is_told_in_the_clients_terms(
    operation: str, bucket: str, location: bytes, expected: bytes
) -> None:
    flow = flow_with(method=b"PUT")
    _response(flow, (b"Location", location))
    adapt_response(flow, await _forward(operation, "PUT", bucket), 0)
    assert flow.response is not None
    assert flow.response.headers["location"].encode() == expected


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_redirect_of_the_backends_does_not_send_the_client_in_a_circle(status: int) -> None:
    flow = flow_with()
    _response(flow, (b"Location", b"http://theirs.other-region.example.test/key"), status=status)
    adapt_response(flow, await _forward("GetObject"), 0)
    assert flow.response is not None
    assert flow.response.headers.get("location") != "http://gateway.example.test/demo/key"
