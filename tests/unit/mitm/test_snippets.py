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
