"""Requests as programs: what a flow brings along is data in them, and what they send is what was sent."""

from __future__ import annotations

import ast
import shlex
from typing import Any

import pytest
from mitmproxy import exceptions, http
from mitmproxy.test import tflow

from osp_gateway.mitm.showing import DETAILS
from osp_gateway.mitm.snippets import Snippet, as_boto3, as_curl

MASKED = b"redacted-0123456789ab"
LINE_ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85"]


def snippet(
    *headers: tuple[bytes, bytes],
    method: bytes = b"GET",
    path: bytes = b"/demo/key",
    host: bytes = b"127.0.0.1:9000",
    body: bytes = b"",
    **details: Any,
) -> Snippet:
    """Of a flow as it is read from a file: its maker may have written anything."""
    flow = tflow.tflow(resp=True)
    flow.client_conn.timestamp_tls_setup = None
    data = flow.request.data
    length = ((b"content-length", str(len(body)).encode()),) if body else ()
    data.method, data.path, data.content, data.authority = method, path, body, b""
    data.headers = http.Headers([(b"host", host), *length, *headers])
    flow.metadata[DETAILS] = {"operation": "GetObject", "bucket": "demo", "key": "key", **details}
    return Snippet.of(flow)


def put(*headers: tuple[bytes, bytes], **more: Any) -> Snippet:
    return snippet(*headers, method=b"PUT", body=b"x", operation="PutObject", **more)


def words(command: str) -> list[str]:
    """What a shell takes as the words of a command, comments left out."""
    return shlex.split(command, comments=True)


def calls(program: str) -> list[str]:
    """What a Python program calls, by name."""
    return [ast.unparse(node.func) for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]


def how(program: str) -> str:
    """Whether a program calls the operation, or signs a request of its own."""
    return "signed alone" if "URLLib3Session().send" in calls(program) else "called"


# What a flow brings along


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("value", [MASKED, b"plain"], ids=["masked", "plain"])
def test_a_name_of_a_header_ends_no_comment(end: str, value: bytes) -> None:
    name = f"x-amz-meta-a{end}touch pwned #".encode("latin-1")
    one = snippet((name, value))
    command, program = as_curl(one), as_boto3(one)
    assert [line for line in command.splitlines() if "touch" in line and not line.startswith("# ")] == []
    assert words(command)[0] == "curl"
    assert not any("touch" in word for word in words(command))
    assert program.startswith("# left out, because no names of headers: ")
    assert calls(program) == calls(as_boto3(snippet()))


def test_a_name_that_curl_would_take_for_a_file_is_left_out() -> None:
    assert not any(word.startswith("@") for word in words(as_curl(snippet((b"@/etc/passwd", b"x")))))


@pytest.mark.parametrize("value", [b"a\nx-injected: b", b"a\0b", b"\x1b[2J", "\u202e".encode()], ids=ascii)
def test_a_value_that_could_not_be_seen_is_left_out_with_a_remark(value: bytes) -> None:
    command = as_curl(put((b"x-amz-meta-a", value)))
    assert command.startswith("# left out, because not printable: x-amz-meta-a\n")
    assert all(line.isprintable() for line in command.splitlines())
    assert "injected" not in command


@pytest.mark.parametrize(
    "odd", [{"method": b"GET\ntouch pwned"}, {"host": b"a\ntouch pwned"}, {"host": b"a/b?c"}], ids=ascii
)
def test_what_no_request_could_have_is_told_not_exported(odd: dict[str, bytes]) -> None:
    with pytest.raises(exceptions.CommandError, match="cannot be sent"):
        snippet(**odd)


def test_what_is_masked_is_left_out_with_a_remark() -> None:
    one = snippet((b"x-ticket", MASKED), path=b"/demo/key?pass=" + MASKED + b"&versionId=7")
    assert as_curl(one).startswith("# left out, because masked: x-ticket, ?pass=\n")
    assert words(as_curl(one))[-1].endswith("/demo/key?versionId=7")


# What is sent is what was sent


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"/demo/a!$&'()+,;=:@b", "/demo/a%21%24%26%27%28%29%2B%2C%3B%3D%3A%40b"),
        (b"/demo/%7ba,b%7D%2f%2F", "/demo/%7Ba%2Cb%7D//"),
        (b"/demo/{a}[1-3]", "/demo/%7Ba%7D%5B1-3%5D"),
        (b"/demo/caf\xc3\xa9%c3%a9", "/demo/caf%C3%A9%C3%A9"),
    ],
)
def test_a_path_is_encoded_as_aws_signs_it(sent: bytes, signed: str) -> None:
    one = snippet(path=sent, key="another")
    assert words(as_curl(one))[-1] == f"http://127.0.0.1:9000{signed}"
    assert f"url='http://127.0.0.1:9000{signed}'" in as_boto3(one)


def test_a_path_that_cannot_be_encoded_is_told() -> None:
    with pytest.raises(exceptions.CommandError, match="path"):
        snippet(path=b"/demo/%zz")


@pytest.mark.parametrize(
    ("host", "path", "key", "endpoint", "style"),
    [
        (b"demo.osp.localhost:80", b"/demo-file", "demo-file", "http://osp.localhost:80", "virtual"),
        (b"demo.osp.localhost:80", b"/demo/x", "demo/x", "http://osp.localhost:80", "virtual"),
        (b"osp.localhost:80", b"/demo/demo/x", "demo/x", "http://osp.localhost:80", "path"),
        (b"demo.osp.localhost:80", b"/demo/x", "x", "http://demo.osp.localhost:80", "path"),
    ],
)
def test_a_call_of_boto3_gets_to_the_same_object(host: bytes, path: bytes, key: str, endpoint: str, style: str) -> None:
    program = as_boto3(snippet(host=host, path=path, key=key))
    assert f"endpoint_url={endpoint!r}" in program
    assert f"'addressing_style': {style!r}" in program


def test_where_no_call_of_boto3_would_get_there_the_request_is_signed_alone() -> None:
    program = as_boto3(snippet(host=b"demo", path=b"/x", key="x"))
    assert "url='http://demo/x'" in program


@pytest.mark.parametrize("number", ["007", "%D9%A3", "9" * 5000, "-1", "", "1_0", "0x10"], ids=lambda text: text[:8])
def test_a_number_that_boto3_would_write_otherwise_is_sent_as_it_came(number: str) -> None:
    program = as_boto3(snippet(path=b"/demo/key?partNumber=" + number.encode()))
    assert f"key?partNumber={number}'" in program
    assert how(program) == "signed alone"


def test_numbers_dates_and_flags_are_arguments_of_the_call() -> None:
    date = b"Wed, 01 Jan 2025 00:00:00 GMT"
    program = as_boto3(snippet((b"if-modified-since", date), path=b"/demo/key?partNumber=7"))
    assert "    PartNumber=7,\n" in program
    assert f"    IfModifiedSince={date.decode()!r},\n" in program
    assert how(as_boto3(snippet((b"if-modified-since", b"0")))) == "signed alone"


def test_what_is_there_twice_is_sent_twice() -> None:
    one = snippet(path=b"/demo?list-type=2&prefix=a&prefix=b", operation="ListObjectsV2", key="")
    assert "?list-type=2&prefix=a&prefix=b" in words(as_curl(one))[-1]
    assert "?list-type=2&prefix=a&prefix=b'" in as_boto3(one)


def test_headers_of_one_name_are_one_header_with_both_values() -> None:
    one = put((b"x-fake", b"1"), (b"X-Fake", b"2"))
    assert "x-fake: 1,2" in words(as_curl(one))
    assert "'x-fake': '1,2'" in as_boto3(one)


def test_a_text_in_utf8_is_sent_as_its_octets() -> None:
    one = put((b"x-amz-meta-a", "café 漢".encode()))
    assert "x-amz-meta-a: café 漢" in words(as_curl(one))
    program = as_boto3(one)
    assert how(program) == "signed alone"
    assert "prepared.headers['x-amz-meta-a'] = prepared.headers['x-amz-meta-a'].encode()" in program


def test_octets_that_are_no_text_are_left_out_with_a_remark() -> None:
    assert as_curl(put((b"x-amz-meta-a", b"caf\xe9"))).startswith("# left out, because no UTF-8: x-amz-meta-a\n")


def test_an_empty_header_is_sent_empty_or_left_out_with_a_remark() -> None:
    one = put((b"x-amz-meta-a", b""))
    assert as_curl(one).startswith("# left out, because empty, which curl cannot sign: x-amz-meta-a\n")
    assert "Metadata={'a': ''}" in as_boto3(one)


def test_a_framing_that_is_not_sent_is_no_coding_of_what_is() -> None:
    assert "content-encoding" not in as_curl(put((b"content-encoding", b"aws-chunked")))
    assert "content-encoding: gzip" in words(as_curl(put((b"content-encoding", b"aws-chunked, gzip"))))


@pytest.mark.parametrize("saved", [5, "text", [["a"]], None, {"string_to_sign": 7}], ids=ascii)
def test_a_signature_that_a_file_says_nothing_sensible_of_is_none(saved: object) -> None:
    assert snippet(signature=saved).region == "us-east-1"
