"""What a store says of the gateway's own signature does not reach the client."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.refusals import (
    LONGEST_DECODED,
    QUOTED,
    CredentialMask,
    DecodedRefusal,
    QuoteMask,
    coding_of,
    credentials_in,
    without_credentials,
)

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


# What the gateway has sent, in whatever words

SIGNATURE = b"0123456789abcdef" * 4
TOKEN = b"a-fake/session+token=&of-a-backend"
SENT = (
    (b"Host", b"store"),
    (b"authorization", b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + SIGNATURE),
)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (SENT, (SIGNATURE,)),
        ((*SENT, (b"X-Amz-Security-Token", TOKEN)), (SIGNATURE, TOKEN)),
        (((b"Authorization", b"Bearer eyJhbGciOi.fake.token=="),), (b"eyJhbGciOi.fake.token==",)),
        (((b"authorization", b"Bearer short"),), ()),
        (((b"host", b"store"),), ()),
    ],
)
def test_what_a_request_is_signed_with(fields, found):
    assert credentials_in(fields) == found


SPELLED = [
    TOKEN,
    b"a-fake\\/session+token=&of-a-backend",
    b"a-fake/session+token=&amp;of-a-backend",
    b"a-fake%2Fsession%2Btoken%3D%26of-a-backend",
]


@pytest.mark.parametrize("spelled", [*SPELLED, SIGNATURE])
@given(sizes=st.lists(st.integers(1, 60), min_size=1))
def test_a_credential_is_blotted_out_wherever_it_stands_and_however_it_comes(spelled, sizes):
    told: list[None] = []
    mask = CredentialMask((SIGNATURE, TOKEN), lambda: told.append(None))
    document, out, at, sizes = b'{"got": "' + spelled + b'", "and": "more"}' + spelled, b"", 0, [*sizes]
    while at < len(document):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        out += mask.feed(document[at : at + size])
        at += size
    out += mask.finish()
    assert out == document.replace(spelled, b"*" * len(spelled))
    assert len(told) == 1


def test_without_credentials_everything_goes_through_at_once():
    mask = CredentialMask((), lambda: pytest.fail("told"))
    assert mask.feed(b"document") == b"document"
    assert mask.finish() == b""


def test_headers_of_an_answer_do_not_tell_credentials():
    fields = ((b"x-debug", b"got " + SENT[1][1]), (b"location", b"/?token=" + SPELLED[3]), (b"etag", b'"a"'))
    masked_fields = without_credentials(fields, (SIGNATURE, TOKEN))
    assert masked_fields[0][1].endswith(b"Signature=" + b"*" * 64)
    assert masked_fields[1] == (b"location", b"/?token=" + b"*" * len(SPELLED[3]))
    assert masked_fields[2] is fields[2] or masked_fields[2] == fields[2]


def test_headers_that_tell_nothing_stay_the_very_same():
    fields = ((b"etag", b'"a"'),)
    assert without_credentials(fields, (SIGNATURE, TOKEN)) is fields
    assert without_credentials(fields, ()) is fields
