"""Heads of HTTP/2: nothing gets in that HTTP/1.1 would refuse."""

from __future__ import annotations

import pytest

from osp_gateway.limits import Limits
from osp_gateway.protocol.http2 import check_head
from osp_gateway.s3.errors import S3Error

Fields = list[tuple[bytes, bytes]]


def head(path: bytes = b"/b/k", method: bytes = b"GET", authority: bytes = b"h", plain: Fields | None = None) -> Fields:
    pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", authority), (b":path", path)]
    return [*pseudo, *(plain or [])]


def test_a_good_head_is_taken() -> None:
    check_head(head(plain=[(b"x-a", b"b\t\xff"), (b"content-length", b"3")]), Limits())


BAD = (400, "InvalidRequest")
REFUSED = {
    "blank in the path": (head(b"/a b"), (400, "InvalidURI")),
    "line break in the path": (head(b"/a HTTP/1.1\r\nX: y"), (400, "InvalidURI")),
    "no slash": (head(b"*"), (400, "InvalidURI")),
    "line break in the method": (head(method=b"GET / HTTP/1.1\r\n"), BAD),
    "TRACE": (head(method=b"TRACE"), (405, "MethodNotAllowed")),
    "user in the authority": (head(authority=b"u@h"), BAD),
    "broken host": (head(authority=b"", plain=[(b"host", b"a b")]), BAD),
    "no token": (head(plain=[(b"x a", b"b")]), BAD),
    "line break in a value": (head(plain=[(b"x-a", b"b\r\nx-b: c")]), BAD),
    "NUL": (head(plain=[(b"x-a", b"b\0")]), BAD),
    "two lengths": (head(plain=[(b"content-length", b"1")] * 2), BAD),
    "signed length": (head(plain=[(b"content-length", b"+1")]), BAD),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_http1_would_not_carry_is_refused(name: str) -> None:
    fields, expected = REFUSED[name]
    with pytest.raises(S3Error) as caught:
        check_head(fields, Limits())
    assert (caught.value.status, caught.value.code) == expected


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(head_octets=50), "RequestHeaderSectionTooLarge"),
        (Limits(head_fields=1), "RequestHeaderSectionTooLarge"),
        (Limits(url_octets=3), "RequestURITooLong"),
    ],
)
def test_the_limits_are_those_of_http1(limits: Limits, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_head(head(plain=[(b"x-a", b"b"), (b"x-b", b"c")]), limits)
    assert caught.value.code == code
