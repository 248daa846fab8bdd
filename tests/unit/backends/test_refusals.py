"""What a store says of the gateway's own signature does not reach the client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.refusals import QUOTED, QuoteMask

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


@pytest.mark.parametrize("name", sorted(QUOTED))
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
