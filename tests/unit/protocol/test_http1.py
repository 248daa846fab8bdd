"""Heads of HTTP/1.1: what is taken is read as h11 reads it, what could be read in two ways is not taken."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.limits import Limits
from osp_gateway.protocol.http1 import Head, HeadReader
from osp_gateway.s3.errors import S3Error

LIMITS = Limits()


def read(data: bytes, limits: Limits = LIMITS) -> Head:
    head = HeadReader(limits).feed(data)
    assert head is not None
    return head


def head_of(line: str = "GET /b/k HTTP/1.1", *fields: str, host: str | None = "h") -> bytes:
    lines = [line, *([] if host is None else [f"Host: {host}"]), *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def refusal(data: bytes, limits: Limits = LIMITS) -> tuple[int, str]:
    with pytest.raises(S3Error) as caught:
        read(data, limits)
    return caught.value.status, caught.value.code


def test_a_head_is_read_octet_for_octet() -> None:
    head = read(head_of("PUT /b/%2e//k?a=%20&b HTTP/1.1", "X-A: \t b  c\xff \t", "content-LENGTH: 12"))
    assert (head.method, head.target, head.version) == (b"PUT", b"/b/%2e//k?a=%20&b", b"HTTP/1.1")
    assert head.fields == ((b"Host", b"h"), (b"X-A", b"b  c\xff"), (b"content-LENGTH", b"12"))
    assert (head.length, head.persistent) == (12, True)


BAD = (400, "InvalidRequest")
URI = (400, "InvalidURI")
REFUSED = {
    "two blanks": (head_of("GET  / HTTP/1.1"), BAD),
    "tab": (head_of("GET\t/ HTTP/1.1"), BAD),
    "leading blank": (b" " + head_of(), BAD),
    "trailing blank": (head_of("GET / HTTP/1.1 "), BAD),
    "HTTP/0.9": (b"GET /\r\n\r\n", BAD),
    "lower-case version": (head_of("GET / http/1.1"), BAD),
    "HTTP/1.2": (head_of("GET / HTTP/1.2"), (505, "HttpVersionNotSupported")),
    "HTTP/2.0": (head_of("GET / HTTP/2.0"), (505, "HttpVersionNotSupported")),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "method no token": (head_of("GE(T / HTTP/1.1"), BAD),
    "TRACE": (head_of("TRACE / HTTP/1.1"), (405, "MethodNotAllowed")),
    "CONNECT": (head_of("CONNECT h:443 HTTP/1.1"), (405, "MethodNotAllowed")),
    "asterisk": (head_of("OPTIONS * HTTP/1.1"), URI),
    "authority-form": (head_of("GET h:80 HTTP/1.1"), URI),
    "no slash": (head_of("GET b/k HTTP/1.1"), URI),
    "raw octets in the target": (head_of("GET /\xff HTTP/1.1"), URI),
    "other scheme": (head_of("GET ftp://h/ HTTP/1.1"), URI),
    "absolute-form with another host": (head_of("GET http://other/ HTTP/1.1"), BAD),
    "absolute-form with a user": (head_of("GET http://u@h/ HTTP/1.1"), BAD),
    "absolute-form without a host": (head_of("GET http:///k HTTP/1.1"), BAD),
    "absolute-form without Host": (head_of("GET http://h/ HTTP/1.1", host=None), BAD),
    "no Host": (head_of(host=None), BAD),
    "no Host in HTTP/1.0": (head_of("GET / HTTP/1.0", host=None), BAD),
    "two Hosts": (head_of("GET / HTTP/1.1", "host: h"), BAD),
    "empty Host": (head_of(host=""), BAD),
    "Host list": (head_of(host="a, b"), BAD),
    "Host with a path": (head_of(host="a/b"), BAD),
    "Host with a user": (head_of(host="u@a"), BAD),
    "Host with a wrong port": (head_of(host="a:8x"), BAD),
    "blank before the colon": (head_of("GET / HTTP/1.1", "X-A : b"), BAD),
    "no colon": (head_of("GET / HTTP/1.1", "X-A"), BAD),
    "no name": (head_of("GET / HTTP/1.1", ": b"), BAD),
    "folded": (head_of("GET / HTTP/1.1", "X-A: b", " c"), BAD),
    "folded first line": (head_of("GET / HTTP/1.1", host=None).replace(b"\r\n", b"\r\n Host: h\r\n", 1), BAD),
    "bare CR": (head_of("GET / HTTP/1.1", "X-A: b\rc"), BAD),
    "bare LF": (head_of("GET / HTTP/1.1", "X-A: b\nc: d"), BAD),
    "NUL": (head_of("GET / HTTP/1.1", "X-A: b\0"), BAD),
    "DEL": (head_of("GET / HTTP/1.1", "X-A: b\x7f"), BAD),
    "vertical tab": (head_of("GET / HTTP/1.1", "Transfer-Encoding: \x0bchunked"), BAD),
    "LF alone, never complete": (b"GET / HTTP/1.1\nHost: h\n", BAD),
    "three empty lines": (b"\r\n\r\n\r\n" + head_of(), BAD),
    "lengths": (head_of("PUT / HTTP/1.1", "Content-Length: 1", "Content-Length: 1"), BAD),
    "list of lengths": (head_of("PUT / HTTP/1.1", "Content-Length: 1, 1"), BAD),
    "signed length": (head_of("PUT / HTTP/1.1", "Content-Length: +1"), BAD),
    "length with a zero before it": (head_of("PUT / HTTP/1.1", "Content-Length: 01"), BAD),
    "empty length": (head_of("PUT / HTTP/1.1", "Content-Length:"), BAD),
    "endless length": (head_of("PUT / HTTP/1.1", "Content-Length: " + "9" * 20), BAD),
    "length and chunks": (head_of("PUT / HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"), BAD),
    "chunked twice": (head_of("PUT / HTTP/1.1", "Transfer-Encoding: chunked, chunked"), BAD),
    "chunked in two fields": (head_of("PUT / HTTP/1.1", *["Transfer-Encoding: chunked"] * 2), BAD),
    "chunked not last": (head_of("PUT / HTTP/1.1", "Transfer-Encoding: chunked, gzip"), BAD),
    "identity": (head_of("PUT / HTTP/1.1", "Transfer-Encoding: identity"), BAD),
    "xchunked": (head_of("PUT / HTTP/1.1", "Transfer-Encoding: xchunked"), BAD),
    "quoted": (head_of("PUT / HTTP/1.1", 'Transfer-Encoding: "chunked"'), BAD),
    "chunked with a parameter": (head_of("PUT / HTTP/1.1", "Transfer-Encoding: chunked;a=b"), BAD),
    "empty coding": (head_of("PUT / HTTP/1.1", "Transfer-Encoding:"), BAD),
    "gzip, chunked": (head_of("PUT / HTTP/1.1", "Transfer-Encoding: gzip, chunked"), (501, "NotImplemented")),
    "chunked in HTTP/1.0": (head_of("PUT / HTTP/1.0", "Transfer-Encoding: chunked"), BAD),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_malformed_or_ambiguous_is_refused(name: str) -> None:
    data, expected = REFUSED[name]
    assert refusal(data) == expected


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://h/b?c", b"/b?c"), ("HTTPS://h", b"/"), ("http://h?x", b"/?x"), ("http://h//a/../b", b"//a/../b")],
)
def test_an_absolute_target_is_taken_by_its_path(target: str, path: bytes) -> None:
    assert read(head_of(f"GET {target} HTTP/1.1")).target == path


@pytest.mark.parametrize("host", ["h", "h:80", "h:", "127.0.0.1:9000", "[::1]:80", "my_bucket.s3.example.test"])
def test_hosts_as_clients_write_them_are_taken(host: str) -> None:
    assert read(head_of(host=host)).fields == ((b"Host", host.encode()),)


@pytest.mark.parametrize("value", ["chunked", "CHUNKED", "Chunked"])
def test_a_chunked_body_has_no_length(value: str) -> None:
    assert read(head_of("PUT / HTTP/1.1", f"Transfer-Encoding: {value}")).length is None


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        ("1.1", [], True),
        ("1.1", ["Connection: Close"], False),
        ("1.1", ["Connection: a, CLOSE"], False),
        ("1.1", ["Connection: a", "Connection: close"], False),
        ("1.0", [], False),
        ("1.0", ["Connection: Keep-Alive"], True),
        ("1.0", ["Connection: keep-alive, close"], False),
    ],
)
def test_whether_the_connection_goes_on(version: str, connection: list[str], expected: bool) -> None:
    assert read(head_of(f"GET / HTTP/{version}", *connection)).persistent is expected


def test_limits_hold_to_the_octet() -> None:
    data = head_of("GET /k HTTP/1.1", "X-A: b")
    exact = Limits(head_octets=len(data), head_fields=2, url_octets=2)
    assert read(data, exact).target == b"/k"
    assert refusal(data, Limits(head_octets=len(data) - 1)) == (400, "RequestHeaderSectionTooLarge")
    assert refusal(data, Limits(head_fields=1)) == (400, "RequestHeaderSectionTooLarge")
    assert refusal(data, Limits(url_octets=1)) == (414, "RequestURITooLong")


def test_what_follows_a_head_does_not_count() -> None:
    data = head_of()
    reader = HeadReader(Limits(head_octets=len(data)))
    assert reader.feed(data + b"x" * 1000) is not None
    assert reader.rest() == b"x" * 1000


def test_a_head_without_end_is_refused_as_soon_as_it_is_too_long() -> None:
    reader = HeadReader(Limits(head_octets=100))
    assert reader.feed(b"GET /" + b"x" * 95) is None
    with pytest.raises(S3Error):
        reader.feed(b"x")


def test_empty_lines_before_a_request_are_passed_over() -> None:
    assert read(b"\r\n\r\n" + head_of()).target == b"/b/k"


PIECES = st.sampled_from(
    [
        *(b"GET ", b"/k ", b"HTTP/1.1", b"\r\n", b"\r", b"\n", b"Host: h\r\n", b"X-A", b":", b" ", b"\t", b"b", b"\0"),
        *(b"\xff", b",", b"\r\n\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
        b"PUT /k HTTP/1.1\r\nHost: h\r\n",
    ]
)


def h11_reads(data: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event.method, event.target, list(event.headers)


@given(st.lists(PIECES, max_size=14).map(b"".join).map(lambda middle: b"PUT /k HTTP/1.1\r\n" + middle + b"\r\n\r\n"))
def test_what_is_taken_is_read_as_h11_reads_it(data: bytes) -> None:
    reader = HeadReader(LIMITS)
    try:
        head = reader.feed(data)
    except S3Error:
        return
    assert head is not None
    method, target, fields = h11_reads(data)
    assert (head.method, head.target) == (method, target)
    assert [(name.lower(), value) for name, value in head.fields] == [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in fields
    ]


NAMES = st.text("abcXYZ-_.!09", min_size=1, max_size=8).map(lambda name: f"x{name}")
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=12)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_good_fields_are_taken_and_read_as_h11_reads_them(pairs: list[tuple[str, str]]) -> None:
    data = head_of("GET /k HTTP/1.1", *(f"{name}: {value}" for name, value in pairs))
    head = read(data)
    try:
        _, _, fields = h11_reads(data)
    except h11.RemoteProtocolError:  # h11 takes some octets above 0x7f for blanks
        return
    assert [(name.lower(), value) for name, value in head.fields] == fields


@given(st.data(), st.sampled_from(sorted(REFUSED)) | st.just(""))
def test_segments_make_no_difference(data: st.DataObject, name: str) -> None:
    octets = REFUSED[name][0] if name else head_of("PUT /k HTTP/1.1", "Content-Length: 3") + b"abc"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    reader, outcome = HeadReader(LIMITS), None
    try:
        for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
            if (head := reader.feed(octets[start:end])) is not None:
                outcome = head.target
                break
    except S3Error as error:
        outcome = (error.status, error.code)
    assert outcome == (REFUSED[name][1] if name else b"/k")
