from __future__ import annotations

import io

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.aws_chunked import MODES, ChunkEnd, ChunkHeader, Data, Parser, Trailers
from support import aws_chunked
from support.aws_chunked import CRC32, HMAC, HMAC_TRAILER, UNSIGNED

BIG = 8192
SIGNATURE = b";chunk-signature=" + b"a" * 64
ECDSA = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
ECDSA_SIGNATURE = b";chunk-signature=" + b"a" * 140 + b"****"


def parse(mode: str, *feeds: bytes, **limits: int) -> list:
    """The events of a whole body, with data put together and copied."""
    parser = Parser(MODES[mode], **limits)
    events: list = []
    for feed in feeds:
        for event in parser.feed(feed):
            if not isinstance(event, Data):
                events.append(event)
            elif isinstance(events[-1], bytes):
                events[-1] += bytes(event)
            else:
                events.append(bytes(event))
    parser.finish()
    return events


def refusal(mode: str, body: bytes, **limits: int) -> S3Error:
    with pytest.raises(S3Error) as caught:
        parse(mode, body, **limits)
    return caught.value


def test_an_unsigned_body_is_chunks_and_trailers():
    assert parse(UNSIGNED, b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n") == [
        ChunkHeader(3, b"3", None),
        b"abc",
        ChunkEnd(),
        ChunkHeader(0, b"0", None),
        ChunkEnd(),
        Trailers(((CRC32, "NSRBwg=="),), b"x-amz-checksum-crc32:NSRBwg==\r\n", None),
    ]


def test_a_signed_body_has_no_trailers():
    assert parse(HMAC, b"3" + SIGNATURE + b"\r\nabc\r\n0" + SIGNATURE + b"\r\n\r\n") == [
        ChunkHeader(3, b"3", "a" * 64),
        b"abc",
        ChunkEnd(),
        ChunkHeader(0, b"0", "a" * 64),
        ChunkEnd(),
    ]


def test_signed_trailers_end_with_their_signature():
    body = b"0" + SIGNATURE + b"\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:" + b"b" * 64 + b"\r\n\r\n"
    assert parse(HMAC_TRAILER, body)[-1] == Trailers(
        ((CRC32, "AAAAAA=="),), b"x-amz-checksum-crc32:AAAAAA==\r\n", "b" * 64
    )


def test_sigv4a_signatures_are_padded_to_144():
    events = parse(ECDSA, b"0" + ECDSA_SIGNATURE + b"\r\n\r\n")
    assert events == [ChunkHeader(0, b"0", "a" * 140 + "****"), ChunkEnd()]


@pytest.mark.parametrize(
    ("line", "raw"),
    [
        (b"x-amz-checksum-crc32:AAAAAA==\n", "minio-go ends a trailer in LF CRLF"),
        (b"X-Amz-Checksum-CRC32 : \tAAAAAA== ", "names in any case, blanks around the colon"),
    ],
)
def test_trailers_as_clients_write_them_are_understood(line, raw):
    trailers = parse(UNSIGNED, b"0\r\n" + line + b"\r\n\r\n")[-1]
    assert trailers == Trailers(((CRC32, "AAAAAA=="),), line + b"\r\n", None)


@pytest.mark.parametrize("text", [b"A", b"a", b"0a", b"000000000000000a"])
def test_sizes_are_up_to_16_hex_digits_in_either_case(text):
    assert parse(UNSIGNED, text + b"\r\n0123456789\r\n0\r\n\r\n")[0] == ChunkHeader(10, text, None)


def test_what_botocore_sends_is_understood():
    data = b"d" * (BIG + 7)
    wrapper = AwsChunkedWrapper(io.BytesIO(data), Crc32Checksum, CRC32, chunk_size=BIG)
    events = parse(UNSIGNED, wrapper.read())
    assert b"".join(event for event in events if isinstance(event, bytes)) == data
    assert events[-1].fields == ((CRC32, aws_chunked.crc32(data)),)


@given(data=st.data())
@pytest.mark.parametrize("mode", aws_chunked.MODES)
def test_events_do_not_depend_on_how_the_body_is_split(mode, data):
    chunks = data.draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    body = aws_chunked.encode(mode, chunks)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)))))
    feeds = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert parse(mode, *feeds, min_chunk=0) == parse(mode, body, min_chunk=0)


@pytest.mark.parametrize("mode", aws_chunked.MODES)
def test_a_body_may_come_octet_by_octet(mode):
    body = aws_chunked.encode(mode, [b"a" * BIG, b"b"])
    assert parse(mode, *aws_chunked.split(body, 1)) == parse(mode, body)


@pytest.mark.parametrize("mode", aws_chunked.MODES)
def test_every_body_that_ends_early_is_incomplete(mode):
    body = aws_chunked.encode(mode, [b"abc"])
    for length in range(len(body)):
        assert refusal(mode, body[:length]).code == "IncompleteBody"


@pytest.mark.parametrize("after", [b"\r\n", b"x", b"0\r\n\r\n"])
@pytest.mark.parametrize("mode", aws_chunked.MODES)
def test_nothing_may_follow_the_end(mode, after):
    assert refusal(mode, aws_chunked.encode(mode, [b"abc"]) + after).code == "IncompleteBody"


@pytest.mark.parametrize(
    ("mode", "body"),
    [
        (UNSIGNED, b"\r\n"),
        (UNSIGNED, b"g\r\n"),
        (UNSIGNED, b" 1\r\n"),
        (UNSIGNED, b"1 \r\n"),
        (UNSIGNED, b"+1\r\n"),
        (UNSIGNED, b"-1\r\n"),
        (UNSIGNED, b"0x1\r\n"),
        (UNSIGNED, b"1_0\r\n"),
        (UNSIGNED, b"\xb2\r\n"),
        (UNSIGNED, b"0" * 16 + b"1\r\n"),
        (UNSIGNED, b"1;\r\na\r\n"),
        (UNSIGNED, b"1;name=value\r\na\r\n"),
        (UNSIGNED, b"1" + SIGNATURE + b"\r\na\r\n"),
        (UNSIGNED, b"1\na\n0\n\n"),
        (UNSIGNED, b"1\r\nab\r\n"),
        (UNSIGNED, b"1\r\na0\r\n\r\n"),
        (UNSIGNED, b"1\r\na\n0\r\n\r\n"),
        (UNSIGNED, b"1\r\na\r\r0\r\n\r\n"),
        (HMAC, b"1\r\na\r\n"),
        (HMAC, b"1;chunk-signature=\r\n"),
        (HMAC, b"1" + SIGNATURE[:-1] + b"\r\n"),
        (HMAC, b"1" + SIGNATURE + b"a\r\n"),
        (HMAC, b"1" + SIGNATURE.upper() + b"\r\n"),
        (HMAC, b"1" + SIGNATURE[:-1] + b"A\r\n"),
        (HMAC, b"1" + SIGNATURE + b";x=y\r\n"),
        (HMAC, b"1; chunk-signature=" + b"a" * 64 + b"\r\n"),
        (HMAC, b"1" + ECDSA_SIGNATURE + b"\r\n"),
        (HMAC, b"0" + SIGNATURE + b"\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"),
        (HMAC_TRAILER, b"0" + SIGNATURE + b"\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"),
        (HMAC_TRAILER, b"0" + SIGNATURE + b"\r\nx-amz-trailer-signature:" + b"a" * 64 + b"\r\nx-amz-a:b\r\n\r\n"),
        (ECDSA, b"1" + SIGNATURE + b"\r\n"),
        (ECDSA, b"1" + ECDSA_SIGNATURE + b"*\r\n"),
    ],
)
def test_broken_framing_is_an_incomplete_body(mode, body):
    assert refusal(mode, body).code == "IncompleteBody"


def test_a_header_line_that_does_not_end_is_refused_after_256_octets():
    parser = Parser(MODES[UNSIGNED])
    parser.feed(b"1" * 257)
    with pytest.raises(S3Error) as caught:
        parser.feed(b"1")
    assert caught.value.code == "IncompleteBody"


@pytest.mark.parametrize(
    "lines",
    [
        b"no colon\r\n",
        b":value\r\n",
        b"name:\r\n",
        b"na me:value\r\n",
        b"name:a\nb\r\n",
        b"name:a\n\n\r\n",
        b"name:a\rb\r\n",
        b"name:\x00\r\n",
        b"name:\xe9\r\n",
        b"name:a\r\nNAME:a\r\n",
        b"x-amz-trailer-signature:" + b"a" * 64 + b"\r\n",
        b"name:" + b"a" * 1020 + b"\r\n",
        b"".join(b"name-%d:a\r\n" % number for number in range(9)),
    ],
)
def test_trailers_that_are_none_or_too_many_are_malformed(lines):
    assert refusal(UNSIGNED, b"0\r\n" + lines + b"\r\n").code == "MalformedTrailerError"


def test_eight_trailers_of_1024_octets_are_the_most():
    lines = b"".join(b"name-%d:%s\r\n" % (number, b"a" * 1017) for number in range(8))
    assert len(parse(UNSIGNED, b"0\r\n" + lines + b"\r\n")[-1].fields) == 8


def test_only_the_last_chunk_may_be_small():
    error = refusal(UNSIGNED, b"2000\r\n" + b"a" * BIG + b"\r\n1fff\r\n" + b"a" * (BIG - 1) + b"\r\n1\r\na\r\n")
    assert (error.code, error.status) == ("InvalidChunkSizeError", 403)
    assert error.message == "Only the last chunk is allowed to have a size less than 8192 bytes"
    assert error.details == {"Chunk": "3", "BadChunkSize": "8191"}


def test_small_chunks_can_be_allowed():
    assert len(parse(UNSIGNED, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", min_chunk=0)) == 9


def test_a_signed_chunk_above_the_bound_is_refused_by_its_header():
    error = refusal(HMAC, b"11" + SIGNATURE + b"\r\n", max_chunk=16)
    assert error.code == "EntityTooLarge"
    assert error.details == {"ProposedSize": "17", "MaxSizeAllowed": "16"}


def test_the_bound_for_a_signed_chunk_is_16_mib():
    assert refusal(HMAC, b"1000001" + SIGNATURE + b"\r\n").code == "EntityTooLarge"
    assert len(Parser(MODES[HMAC]).feed(b"1000000" + SIGNATURE + b"\r\n")) == 1


def test_an_unsigned_chunk_is_not_held_and_so_not_bounded():
    parser = Parser(MODES[UNSIGNED])
    parser.feed(b"ffffffffffffffff\r\n")
    assert parser.feed(b"some data") == [memoryview(b"some data")]
