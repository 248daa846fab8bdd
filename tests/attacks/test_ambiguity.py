"""Requests that two readers could understand differently: refused, however well they are signed."""

import pytest

from support.raw import talk
from support.signing import signed


@pytest.mark.parametrize(
    "name", ["Host", "Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "host", "AUTHORIZATION", "x-AMZ-date"]
)
@pytest.mark.parametrize("same", [True, False])
def test_a_header_that_decides_must_come_once(target, name, same):
    request = signed(target.port, "GET", target.path)
    answer = target.ask(request.plus(name, request.header(name) if same else "another"))
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    target.assert_nothing_left()


@pytest.mark.parametrize("name", ["Range", "If-None-Match", "Content-MD5", "Content-Type", "x-amz-meta-a"])
def test_a_header_that_changes_the_meaning_must_come_once(target, name):
    request = signed(target.port, "PUT", target.path, b"body", ((name, "1"),))
    assert target.ask(request.plus(name, "2")).status == 400
    target.assert_nothing_left()


def test_a_second_host_before_the_first_is_refused(target):
    request = signed(target.port, "GET", target.path)
    assert target.ask(request.but(headers=(("Host", "other.test"), *request.headers))).status == 400
    target.assert_nothing_left()


@pytest.mark.parametrize("query", ["?prefix=a&prefix=b", "?acl&acl", "?versionId=1&versionId=2", "?a=1&%61=2"])
def test_a_query_parameter_must_come_once(target, query):
    request = signed(target.port, "GET", target.path + query.replace("%61", "a"))
    answer = target.ask(request.but(target=target.path + query))
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    target.assert_nothing_left()


CONNECTION = [
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-meta-a",
    "X-Amz-Meta-A",
    "host",
    "authorization",
    "content-type",
    "range",
    "if-none-match",
    "close, x-amz-meta-a",
    "content-disposition",
    "content-language",
    "cache-control",
    "if-range",
]


@pytest.mark.parametrize("value", CONNECTION)
def test_a_connection_header_does_not_take_a_signed_header_away(target, value):
    headers = (
        ("x-amz-meta-a", "1"),
        ("Content-Type", "text/plain"),
        ("Content-Disposition", "attachment"),
        ("Content-Language", "de"),
        ("Cache-Control", "no-store"),
        ("If-Range", '"e"'),
        ("If-None-Match", "*"),
        ("Range", "bytes=0-1"),
    )
    answer = target.ask(signed(target.port, "PUT", target.path, b"body", headers).plus("Connection", value))
    assert answer.status == 400
    target.assert_nothing_left()


def test_an_upgrade_that_clients_offer_by_habit_is_left_behind(target):
    request = signed(target.port, "GET", target.path).plus("Connection", "Upgrade, HTTP2-Settings")
    request = request.plus("Upgrade", "h2c").plus("HTTP2-Settings", "AAMAAABkAAQAAP__")
    assert target.ask(request).status == 200
    (seen,) = target.recorder.requests
    assert not {"connection", "upgrade", "http2-settings"} & {name for name, _ in seen.headers}


BROKEN_HEADERS = {
    "space before the colon": ("x-amz-acl ", "public-read"),
    "folded": ("x-harmless", "a\r\n x-amz-acl: public-read"),
    "folded with a tab": ("x-harmless", "a\r\n\tb"),
    "carriage return": ("x-harmless", "a\rx-amz-acl: public-read"),
    "line feed": ("x-harmless", "a\nx-amz-acl: public-read"),
    "NUL": ("x-harmless", "a\0b"),
    "NUL in the name": ("x-amz\0-acl", "public-read"),
    "empty name": ("", "value"),
}


@pytest.mark.parametrize("kind", BROKEN_HEADERS)
def test_a_broken_header_is_refused(target, kind):
    request = signed(target.port, "GET", target.path)
    assert target.ask(request.plus(*BROKEN_HEADERS[kind])).status in (400, 403)
    target.assert_nothing_left()


LENGTHS = {
    "two": (("Content-Length", "4"), ("Content-Length", "0")),
    "two alike": (("Content-Length", "4"), ("Content-Length", "4")),
    "list": (("Content-Length", "4, 4"),),
    "plus": (("Content-Length", "+4"),),
    "negative": (("Content-Length", "-4"),),
    "hexadecimal": (("Content-Length", "0x4"),),
    "underscore": (("Content-Length", "0_4"),),
    "spelled with an underscore": (("Content-Length", "4"), ("Content_Length", "0")),
    "empty": (("Content-Length", ""),),
    "length and chunks": (("Content-Length", "4"), ("Transfer-Encoding", "chunked")),
    "chunks and length": (("Transfer-Encoding", "chunked"), ("Content-Length", "4")),
    "unknown transfer encoding": (("Transfer-Encoding", "gzip"),),
    "transfer encoding twice": (("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")),
    "hidden transfer encoding": (("Content-Length", "4"), ("Transfer-Encoding", "\x0bchunked")),
    "transfer encoding with an underscore": (("Content-Length", "4"), ("Transfer_Encoding", "chunked")),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_an_ambiguous_length_is_refused(target, kind):
    request = signed(target.port, "PUT", target.path, b"body").without("content-length")
    for name, value in LENGTHS[kind]:
        request = request.plus(name, value)
    assert target.ask(request).status in (400, 411)
    target.assert_nothing_left()


def test_a_body_of_unknown_length_is_refused(target):
    request = signed(target.port, "PUT", target.path, b"body").without("content-length")
    request = request.plus("Transfer-Encoding", "chunked").but(body=b"4\r\nbody\r\n0\r\n\r\n")
    answer = target.ask(request)
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    target.assert_nothing_left()


def test_what_follows_a_body_is_a_request_of_its_own(target):
    """A request hidden behind a body's end is judged like any other."""
    hidden = f"DELETE {target.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    with talk(target.port) as connection:
        connection.send(signed(target.port, "PUT", target.path, b"body").octets + hidden)
        assert connection.read_answer("PUT").status == 200
        assert connection.read_answer("DELETE").status == 403
    assert [seen.method for seen in target.recorder.requests] == ["PUT"]


def test_a_request_inside_a_body_stays_a_body(target):
    inner = f"DELETE {target.path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    assert target.ask(signed(target.port, "PUT", target.path, inner)).status == 200
    (seen,) = target.recorder.requests
    assert (seen.method, bytes(seen.body)) == ("PUT", inner)


def test_headers_of_proxies_do_not_reach_the_store(target):
    request = signed(target.port, "GET", target.path)
    for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via", "Proxy-Authorization"):
        request = request.plus(name, "203.0.113.1")
    assert target.ask(request).status == 200
    (seen,) = target.recorder.requests
    assert b"203.0.113.1" not in seen.head
