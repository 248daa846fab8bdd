"""What a store says of the gateway's own signature does not reach the client."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.refusals import LONGEST_DECODED, QUOTED, DecodedRefusal, QuoteMask, coding_of

DOCUMENT = (
    b"<?xml version='1.0'?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message>"
    b"<AWSAccessKeyId>backend-fake-key</AWSAccessKeyId><StringToSign a='b'>AWS4\n1 &lt; 2</StringToSign>"
    b"<ns:SignatureProvided>fake</ns:SignatureProvided><Token-0></Token-0><RequestId>1</RequestId></Error>"
)
MASKED = (
    DOCUMENT.replace(b"backend-fake-key", b"*" * 16).replace(b"AWS4\n1 &lt; 2", b"*" * 13).replace(b">fake<", b">****<")
)


def masked(document: bytes, sizes: list[int]) -> tuple[bytes, int]:
    """In pieces of these sizes, the last one for all that follow; and how often it was told."""
    told: list[None] = []
    mask, out, at = QuoteMask(lambda: told.append(None)), b"", 0
    while at < len(document):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        out += mask.feed(document[at : at + size])
        at += size
    return out + mask.finish(), len(told)


def test_it_is_blotted_out_at_its_length():
    assert masked(DOCUMENT, [len(DOCUMENT)]) == (MASKED, 1)
    assert len(MASKED) == len(DOCUMENT)


@given(st.lists(st.integers(1, 40), min_size=1))
def test_however_it_comes(sizes):
    assert masked(DOCUMENT, sizes) == (MASKED, 1)


@pytest.mark.parametrize("name", sorted(QUOTED | {"Token-0", "Token-12"}))
def test_each_element_that_quotes(name):
    document = f"<Error><{name}>secret</{name}></Error>".encode()
    assert masked(document, [3]) == (document.replace(b"secret", b"******"), 1)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"plain text, no document",
        b"<Error><Code>AccessDenied</Code><Message>No.</Message><Key>a</Key></Error>",
        b"<Error><StringToSignature>x</StringToSignature><MyAWSAccessKeyId>x</MyAWSAccessKeyId></Error>",
        b"<" * 5000,
        b"<a " + b"x" * 5000 + b">",
    ],
)
def test_everything_else_stays_as_it_is(document):
    for size in (1, 7, 10_000):
        assert masked(document, [size]) == (document, 0)


def test_what_does_not_end_is_blotted_out_to_its_end():
    assert masked(b"<StringToSign>secret and on", [5]) == (b"<StringToSign>" + b"*" * 13, 1)


def test_it_holds_no_more_than_a_tag():
    mask = QuoteMask(lambda: None)
    mask.feed(b"<StringToSign>")
    for _ in range(100):
        assert mask.feed(b"x" * 10_000).strip(b"*") == b""
        assert len(mask._held) < 100
    plain = QuoteMask(lambda: None)
    for _ in range(100):
        plain.feed(b"<" * 10_000)
        assert len(plain._held) <= 1024


@pytest.mark.parametrize("value", ["AWS4-HMAC-SHA256 Credential=x", "Bearer fake", "AWS KEY:fake", "Basic ZmFrZQ=="])
def test_an_argument_is_blotted_out_where_it_is_the_gateways_authorization(value):
    document = f"<Error><ArgumentValue>{value}</ArgumentValue></Error>".encode()
    for size in (1, 5, 1000):
        assert masked(document, [size]) == (document.replace(value.encode(), b"*" * len(value)), 1)


@pytest.mark.parametrize("value", ["", "max-keys", "AWSomething", "a Bearer of news"])
def test_other_arguments_stay(value):
    document = f"<Error><ArgumentValue>{value}</ArgumentValue></Error>".encode()
    for size in (1, 5, 1000):
        assert masked(document, [size]) == (document, 0)


# Content codings


def decoded(coding: str, octets: bytes, size: int, status: int = 403) -> bytes:
    refusal = DecodedRefusal(coding, status)
    for at in range(0, len(octets), size):
        assert refusal.feed(octets[at : at + size]) == b""
    return refusal.finish()


@pytest.mark.parametrize(
    ("written", "coding"), [("", None), ("identity", None), ("aws-chunked", None), (" GZip ", "gzip")]
)
def test_what_has_to_be_decoded(written, coding):
    assert coding_of(written) == coding


@given(st.integers(1, 300))
def test_a_document_is_decoded_however_it_comes(size):
    assert decoded("gzip", gzip.compress(DOCUMENT), size) == DOCUMENT
    assert decoded("deflate", zlib.compress(DOCUMENT), size) == DOCUMENT


@pytest.mark.parametrize(
    ("coding", "octets"),
    [
        ("br", DOCUMENT),
        ("gzip, gzip", gzip.compress(gzip.compress(DOCUMENT))),
        ("gzip", DOCUMENT),
        ("gzip", gzip.compress(DOCUMENT)[:-9]),
        ("gzip", gzip.compress(DOCUMENT + b"x" * LONGEST_DECODED)),
    ],
    ids=["unknown", "two", "none", "cut off", "too long"],
)
@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (409, "InvalidRequest"), (503, "InternalError")])
def test_in_the_place_of_what_cannot_be_decoded_is_a_document_of_our_own(coding, octets, status, code):
    for size in (7, 10_000):
        told = decoded(coding, octets, size, status).decode()
        assert f"<Code>{code}</Code>" in told
        assert "Not" not in told
        assert "fake" not in told


def test_nothing_stays_nothing():
    assert decoded("gzip", b"", 1) == b""
    assert decoded("br", b"", 1) == b""


def test_as_long_as_may_be():
    document = DOCUMENT + b" " * (LONGEST_DECODED - len(DOCUMENT))
    assert decoded("gzip", gzip.compress(document), 50) == document
