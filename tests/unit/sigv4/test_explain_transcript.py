"""Requests that people paste."""

from __future__ import annotations

import pytest

from osp_gateway.sigv4.explain.transcript import MAX_REQUESTS, NotARequest, read

CURL = """\
*   Trying 127.0.0.1:6190...
* Connected to localhost (127.0.0.1) port 6190 (#0)
> PUT /demo/key?x=1 HTTP/1.1
> Host: localhost:6190
> Authorization: AWS4-HMAC-SHA256 Credential=k/d/r/s3/aws4_request, SignedHeaders=host, Signature=s
> X-Empty:
>
* upload completely sent off
< HTTP/1.1 403 Forbidden
< Content-Length: 3
<
{ [3 bytes data]
"""
RAW = b"PUT /demo/key?x=1&y HTTP/1.1\r\nHost: h:1\r\nContent-Length: 4\r\nX-Two: a\r\nX-Two: b\r\n\r\nbody"


def test_a_transcript_of_curl_holds_a_request() -> None:
    [pasted] = read(CURL.encode())
    assert (pasted.head.method, pasted.head.path, pasted.head.query, pasted.body) == ("PUT", "/demo/key", "x=1", None)
    assert [name for name, _ in pasted.head.headers] == ["Host", "Authorization", "X-Empty"]
    assert pasted.head.get("x-empty") == ""


def test_a_transcript_of_two_requests_holds_two() -> None:
    assert [one.head.method for one in read((CURL + CURL.replace("PUT", "GET")).encode())] == ["PUT", "GET"]


def test_a_transcript_that_was_cut_is_read_as_far_as_it_goes() -> None:
    [pasted] = read(CURL.partition("> X-Empty")[0].encode())
    assert pasted.head.get("host") == "localhost:6190"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_of_either_kind_do(line_end: str) -> None:
    [pasted] = read(CURL.replace("\n", line_end).encode())
    assert pasted.head.get("host") == "localhost:6190"


def test_http_2_is_written_by_curl_in_the_same_way() -> None:
    [pasted] = read(CURL.replace("HTTP/1.1\n>", "HTTP/2\n>").encode())
    assert pasted.head.path == "/demo/key"


def test_requests_in_a_transcript_are_bounded_in_number() -> None:
    assert len(read((CURL * (MAX_REQUESTS + 5)).encode())) <= MAX_REQUESTS + 1


def test_a_raw_request_is_read_to_the_octet() -> None:
    [pasted] = read(RAW)
    assert (pasted.head.path, pasted.head.query, pasted.body) == ("/demo/key", "x=1&y", b"body")
    assert pasted.head.fields["x-two"] == ["a", "b"]


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (RAW.replace(b"4", b"9"), None),
        (RAW.replace(b"Content-Length: 4\r\n", b""), None),
        (RAW.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"), None),
        (RAW + b"\n", b"body"),
        (RAW.replace(b"Content-Length: 4", b"Content-Length: x"), None),
        (b"GET / HTTP/1.1\nHost: h\n", b""),
    ],
)
def test_a_body_counts_where_it_is_there_in_full(request_: bytes, body: bytes | None) -> None:
    assert read(request_)[0].body == body


def test_a_target_with_its_host_in_it_names_the_host() -> None:
    [pasted] = read(b"GET http://h:1/demo?x HTTP/1.1\r\n\r\n")
    assert (pasted.head.path, pasted.head.query, pasted.head.get("host")) == ("/demo", "x", "h:1")


@pytest.mark.parametrize(
    "octets", [b"", b"hello", b"> hello\n>\n", b"\x00\xff" * 100, b"GET / HTTP/1.1\nno colon\n\n", b">"]
)
def test_what_is_no_request_is_told_so(octets: bytes) -> None:
    with pytest.raises(NotARequest, match="expected"):
        read(octets)


def test_a_long_input_without_line_ends_is_read_in_no_time() -> None:
    with pytest.raises(NotARequest):
        read(b"> " + b"G" * 5_000_000)
