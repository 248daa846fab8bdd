"""Edge cases of HTTP/1.1, rightly signed, each with a second request hidden behind it that the store must never see."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import pytest

from support.raw import Answer, Talk, talk
from support.signing import Raw, signed

BAD = (400, "InvalidRequest")


@dataclass
class Attack:
    """Octets put together from a signed request: its head with changes, then a body and the hidden request."""

    expected: tuple[int, str]
    line: tuple[str, str] = ("", "")
    plus: tuple[tuple[str, str], ...] = ()
    without_length: bool = False
    body: bytes = b"body"
    line_end: bytes = b"\r\n"


def chunked(body: bytes, expected: tuple[int, str] = BAD, coding: str = "chunked", **more: object) -> Attack:
    return Attack(expected, plus=(("Transfer-Encoding", coding),), without_length=True, body=body, **more)  # type: ignore[arg-type]


GOOD = b"4\r\nbody\r\n0\r\n\r\n"
ATTACKS = {
    "bare LF": Attack(BAD, line_end=b"\n"),
    "bare CR": Attack(BAD, line_end=b"\r"),
    "folded length": Attack(BAD, plus=(("X-A", "b\r\n Content-Length: 0"),)),
    "blank before a colon": Attack(BAD, plus=(("Content-Length ", "0"),)),
    "tab before a colon": Attack(BAD, plus=(("Transfer-Encoding\t", "chunked"),)),
    "no colon": Attack(BAD, plus=(("X-A\r\nContent-Length: 0\r\nX-B", "c"),)),
    "two lengths": Attack(BAD, plus=(("Content-Length", "0"),)),
    "two lengths alike": Attack(BAD, plus=(("Content-Length", "4"),)),
    "length and chunks": Attack(BAD, plus=(("Transfer-Encoding", "chunked"),), body=GOOD),
    "length and xchunked": Attack(BAD, plus=(("Transfer-Encoding", "xchunked"),)),
    "list of lengths": Attack(BAD, plus=(("Content-Length", "4, 0"),), without_length=True),
    "length +4": Attack(BAD, plus=(("Content-Length", "+4"),), without_length=True),
    "length 0x4": Attack(BAD, plus=(("Content-Length", "0x4"),), without_length=True),
    "length 004": Attack(BAD, plus=(("Content-Length", "004"),), without_length=True),
    "chunked, chunked": chunked(GOOD, coding="chunked, chunked"),
    "chunked, identity": chunked(GOOD, coding="chunked, identity"),
    "identity": chunked(GOOD, coding="identity"),
    "xchunked": chunked(GOOD, coding="xchunked"),
    "gzip, chunked": chunked(GOOD, (501, "NotImplemented"), coding="gzip, chunked"),
    "HTTP/1.0 with chunks": chunked(GOOD, line=("HTTP/1.1", "HTTP/1.0")),
    "HTTP/2.0": Attack((505, "HttpVersionNotSupported"), line=("HTTP/1.1", "HTTP/2.0")),
    "HTTP/1.2": Attack((505, "HttpVersionNotSupported"), line=("HTTP/1.1", "HTTP/1.2")),
    "two blanks in the request line": Attack(BAD, line=("PUT ", "PUT  ")),
    "tab in the request line": Attack(BAD, line=("PUT ", "PUT\t")),
    "asterisk": Attack((400, "InvalidURI"), line=("PUT /demo", "OPTIONS * HTTP/1.1\r\nX-A: /demo")),
    "two hosts": Attack(BAD, plus=(("host", "other.test"),)),
    "absolute-form for another host": Attack(BAD, line=("PUT /", "PUT http://other.test/")),
    "TRACE": Attack((405, "MethodNotAllowed"), line=("PUT", "TRACE")),
    "CONNECT": Attack((405, "MethodNotAllowed"), line=("PUT", "CONNECT")),
    "NUL in a value": Attack(BAD, plus=(("X-A", "b\0"),)),
}


def octets_of(attack: Attack, request: Raw) -> bytes:
    if attack.without_length:
        request = request.without("content-length")
    for name, value in attack.plus:
        request = request.plus(name, value)
    head = request.but(body=b"").head.decode("latin-1").replace(*attack.line, 1) if attack.line[0] else None
    return (head.encode("latin-1") if head else request.head).replace(b"\r\n", attack.line_end) + attack.body


def read_and_see_the_end(connection: Talk, method: str = "PUT") -> Answer:
    answer = connection.read_answer(method)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-amz-request-id"]
    assert connection.closed_by_peer()
    return answer


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused_and_nothing_behind_it_is_read(target, name):
    attack = ATTACKS[name]
    request = signed(target.port, "PUT", target.path, b"body")
    hidden = signed(target.port, "GET", f"/demo/{target.prefix}hidden")
    with talk(target.port) as connection:
        connection.send(octets_of(attack, request) + hidden.octets)
        answer = read_and_see_the_end(connection)
    assert (answer.status, answer.code) == attack.expected
    target.assert_nothing_left()


CHUNKS = {
    "blank behind the size": b"4 \r\n\r\n\r\n\r\n0\r\n\r\n",
    "sign": b"+4\r\n\r\n\r\n\r\n0\r\n\r\n",
    "0x": b"0x4\r\n\r\n\r\n\r\n0\r\n\r\n",
    "LF alone": b"4\n\r\n\r\n\n0\n\n",
    "LF alone in an extension": b"4;a\n\r\n\r\n\r\n0\r\n\r\n",
    "LF alone behind the data": b"4\r\n\r\n\r\n\n0\r\n\r\n",
    "too much data": b"3\r\n\r\n\r\n\r\n0\r\n\r\n",
    "trailer": b"0\r\nContent-Length: 0\r\n\r\n",
    "trailer that looks like a request": b"0\r\nGET /demo/hidden HTTP/1.1\r\nHost: h\r\n\r\n",
    "endless extension": b"4;" + b"a" * 100_000,
    "endless size": b"0" * 100_000,
}


INNER = b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % base64.b64encode(zlib.crc32(b"body").to_bytes(4))


def upload_in_chunks(target, outer: bytes) -> Raw:
    """What botocore sends over https: aws-chunked inside of chunks."""
    headers = (
        ("x-amz-decoded-content-length", "4"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("transfer-encoding", "chunked"),
    )
    kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    request = signed(target.port, "PUT", target.path, INNER, headers, payload_hash=kind)
    return request.without("content-length").but(body=outer)


@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks_are_refused_and_nothing_behind_them_is_read(target, name):
    outer = b"%x\r\n%s\r\n" % (len(INNER) - 4, INNER[:-4]) + CHUNKS[name]
    hidden = signed(target.port, "GET", f"/demo/{target.prefix}hidden")
    with talk(target.port) as connection:
        connection.send(upload_in_chunks(target, outer).octets + hidden.octets)
        answer = read_and_see_the_end(connection)
    assert (answer.status, answer.code) == BAD
    assert "chunk" in answer.message or "trailers" in answer.message
    target.assert_nothing_left()


def test_chunks_with_extensions_do_not_reach_the_store(target):
    outer = b"".join(b"1;a=b\r\n%s\r\n" % INNER[i : i + 1] for i in range(len(INNER))) + b"0\r\n\r\n"
    assert target.ask(upload_in_chunks(target, outer)).status == 200
    (seen,) = target.recorder.requests
    assert (bytes(seen.body), seen.header("transfer-encoding")) == (b"body", None)


def test_the_preface_of_http2_is_refused_without_tls(target):
    with talk(target.port) as connection:
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert read_and_see_the_end(connection).code == "InvalidRequest"
    target.assert_nothing_left()


def test_a_refused_head_request_has_no_body(target):
    with talk(target.port) as connection:
        connection.send(b"HEAD /demo/k HTTP/1.1\r\nHost : h\r\n\r\n")
        answer = read_and_see_the_end(connection, "HEAD")
        assert (answer.status, answer.body) == (400, b"")


@pytest.mark.parametrize("method", ["get", "Get", "BREW", "PROPFIND", "PATCH"])
def test_a_method_that_s3_does_not_have_is_refused(target, method):
    answer = target.ask(signed(target.port, method, target.path))
    assert answer.status in (400, 403, 405, 501)
    target.assert_nothing_left()


def test_an_absolute_target_is_its_path_for_the_store(target):
    request = signed(target.port, "GET", target.path)
    answer = target.ask(request.but(target=f"http://127.0.0.1:{target.port}{target.path}"))
    assert answer.status == 200
    assert target.only_request() == target.path


@pytest.mark.parametrize("value", ["h2c", "websocket", "TLS/1.2"])
def test_an_upgrade_is_not_made(target, value):
    request = signed(target.port, "GET", target.path).plus("Connection", "Upgrade").plus("Upgrade", value)
    assert target.ask(request).status == 200
    (seen,) = target.recorder.requests
    assert not {"upgrade", "connection"} & {name for name, _ in seen.headers}


def test_requests_sent_ahead_are_answered_in_order(target):
    paths = [f"/demo/{target.prefix}{number}" for number in range(20)]
    requests = [signed(target.port, "PUT", path, b"x" * 10_000) for path in paths]
    with talk(target.port) as connection:
        connection.send(b"".join(request.octets for request in requests))
        assert [connection.read_answer("PUT").status for _ in paths] == [200] * len(paths)
    assert [(seen.target, len(seen.body)) for seen in target.recorder.requests] == [(path, 10_000) for path in paths]


def test_a_connection_goes_on_after_a_refusal(target):
    wrong = signed(target.port, "GET", target.path, secret="another-fake-secret")
    with talk(target.port) as connection:
        for request, status in ((wrong, 403), (signed(target.port, "GET", target.path), 200)):
            connection.send(request.octets)
            assert connection.read_answer(request.method).status == status


@pytest.mark.parametrize("value", ["close", "Close", "x, CLOSE"])
def test_a_connection_ends_when_the_client_asks_for_it(target, value):
    request = signed(target.port, "GET", target.path).plus("Connection", value)
    with talk(target.port) as connection:
        connection.send(request.octets + signed(target.port, "GET", target.path).octets)
        assert connection.read_answer().headers["connection"] == "close"
        assert connection.closed_by_peer()
    assert len(target.recorder.requests) == 1


def test_http_1_0_gets_one_answer_and_the_end(target):
    with talk(target.port) as connection:
        connection.send(signed(target.port, "GET", target.path).head.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert connection.read_answer().status == 200
        assert connection.closed_by_peer()


def test_http_1_0_may_keep_its_connection(target):
    request = signed(target.port, "GET", target.path).plus("Connection", "Keep-Alive")
    with talk(target.port) as connection:
        for _ in range(2):
            connection.send(request.head.replace(b"HTTP/1.1", b"HTTP/1.0"))
            answer = connection.read_answer()
            assert (answer.status, answer.headers["connection"]) == (200, "keep-alive")


def test_http_1_0_gets_no_interim_answer(target):
    request = signed(target.port, "PUT", target.path, b"body").plus("Expect", "100-continue")
    with talk(target.port) as connection:
        connection.send(request.octets.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert connection.read_answer("PUT").status == 200


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n"])
def test_an_empty_line_before_a_request_is_passed_over(target, lines):
    with talk(target.port) as connection:
        connection.send(lines + signed(target.port, "GET", target.path).octets)
        assert connection.read_answer().status == 200


def test_a_refusal_is_seen_in_the_log(target):
    with talk(target.port) as connection:
        connection.send(b"GET / HTTP/1.1\nHost: h\n\n")
        connection.read_answer()
    target.gateway.running.wait_for(r"127\.0\.0\.1: a request that cannot be read is refused: A line of")
