from __future__ import annotations

import hashlib
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.checksums import BodyChecks
from osp_gateway.sigv4.chunk_signing import HmacChain
from osp_gateway.sigv4.chunked_codecs import (
    Announcement,
    ChunkLimits,
    DecodingCodec,
    PassingCodec,
    PlainChecksumCodec,
    ResigningCodec,
)
from osp_gateway.sigv4.payload import BodyCodec, Sha256Body, UnsignedBody
from support import aws_chunked
from support.aws_chunked import CRC32, HMAC, HMAC_TRAILER, UNSIGNED, Signer, encode, headers

CLIENT = Signer("fake-client-secret", "c1" * 32)
BACKEND = Signer("fake-backend-secret", "b2" * 32)
WHOLE = ChunkLimits(hold=1 << 20, min_chunk=0)
STREAM = ChunkLimits(hold=0, min_chunk=0)
CHUNKS = [b"first chunk,", b"another", b"!"]
BODY = b"".join(CHUNKS)
SIGNED = (HMAC, HMAC_TRAILER)
KINDS = [*(("decode", mode) for mode in aws_chunked.MODES), ("pass", UNSIGNED), *(("re-sign", mode) for mode in SIGNED)]


def signer(of: Signer) -> Signer:
    return Signer(of.secret, of.seed)


def chain(of: Signer) -> HmacChain:
    return HmacChain(aws_chunked.signing_key(of.secret), aws_chunked.AMZ_DATE, aws_chunked.SCOPE, of.seed)


def codec(kind: str, mode: str, length: int, limits: ChunkLimits = STREAM, **fields: str) -> BodyCodec:
    announcement = Announcement.of_headers(mode, headers(mode, length, **fields))
    verifier = None if mode == UNSIGNED else chain(CLIENT)
    if kind == "decode":
        return DecodingCodec(announcement, verifier, limits)
    if kind == "pass":
        return PassingCodec(announcement, limits)
    return ResigningCodec(announcement, verifier, chain(BACKEND), limits)


def body(mode: str, chunks=CHUNKS, of: Signer = CLIENT, **more) -> bytes:
    return encode(mode, chunks, signer=signer(of), **more)


def wanted(kind: str, mode: str, chunks=CHUNKS, **more) -> bytes:
    """What the backend is to see."""
    if kind == "decode":
        return b"".join(chunks)
    return body(mode, chunks, BACKEND if kind == "re-sign" else CLIENT, **more)


def run(under_test: BodyCodec, *feeds: bytes) -> tuple[bytes, bytes]:
    """What came before `finish`, and what from it."""
    return b"".join([under_test.feed(feed) for feed in feeds]), under_test.finish()


def refused(under_test: BodyCodec, *feeds: bytes) -> tuple[bytes, S3Error]:
    """What was released before the refusal, and the refusal, which must stay one."""
    released = b""
    with pytest.raises(S3Error) as caught:
        for feed in feeds:
            released += under_test.feed(feed)
        released += under_test.finish()
    for again in (under_test.finish, lambda: under_test.feed(b"more")):
        with pytest.raises(S3Error):
            again()
    return released, caught.value


@pytest.mark.parametrize("limits", [WHOLE, STREAM], ids=["whole", "streaming"])
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_a_right_body_comes_out_as_the_backend_needs_it(kind, mode, limits):
    assert b"".join(run(codec(kind, mode, len(BODY), limits), body(mode))) == wanted(kind, mode)


@given(data=st.data())
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_the_output_does_not_depend_on_how_the_body_is_split(kind, mode, data):
    chunks = data.draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
    hold = data.draw(st.integers(0, 100))
    wire = body(mode, chunks)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)))))
    feeds = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    under_test = codec(kind, mode, len(b"".join(chunks)), ChunkLimits(hold=hold, min_chunk=0))
    assert b"".join(run(under_test, *feeds)) == wanted(kind, mode, chunks)


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_an_empty_body_passes(kind, mode):
    assert run(codec(kind, mode, 0), body(mode, [])) == (b"", wanted(kind, mode, []))


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_chunks_of_many_sizes_in_feeds_of_64_kib_pass(kind, mode):
    chunks = [bytes([size % 251]) * size for size in (8192, 65536, 8193, 200_000, 131072, 3)]
    feeds = aws_chunked.split(body(mode, chunks), 65536)
    assert b"".join(run(codec(kind, mode, len(b"".join(chunks)), ChunkLimits()), *feeds)) == wanted(kind, mode, chunks)


@pytest.mark.parametrize("limits", [WHOLE, STREAM], ids=["whole", "streaming"])
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_before_finish_the_backend_never_has_all_data(kind, mode, limits):
    before, rest = run(codec(kind, mode, len(BODY), limits), body(mode))
    assert len(before) < len(wanted(kind, mode)) - len(b"\r\n0\r\n\r\n") * (kind != "decode")
    assert BODY[-1:] in rest[:2] or limits is WHOLE


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_a_body_up_to_hold_is_released_by_finish_alone(kind, mode):
    assert run(codec(kind, mode, len(BODY), WHOLE), *aws_chunked.split(body(mode), 5)) == (b"", wanted(kind, mode))


@pytest.mark.parametrize("kind", ["decode", "re-sign"])
def test_a_signed_chunk_is_released_once_its_signature_is_known_to_be_right(kind):
    under_test = codec(kind, HMAC, len(BODY))
    wire = body(HMAC)
    end = wire.index(CHUNKS[0]) + len(CHUNKS[0])
    assert under_test.feed(wire[: end + 1]) == b""
    assert CHUNKS[0][:-1] in under_test.feed(wire[end + 1 : end + 2])


@pytest.mark.parametrize(("kind", "mode"), KINDS)
@pytest.mark.parametrize("limits", [WHOLE, STREAM], ids=["whole", "streaming"])
def test_every_change_of_a_single_octet_is_refused_and_the_body_not_completed(kind, mode, limits):
    wire = body(mode)
    right = wanted(kind, mode)
    # The case of a hex size and of a trailer's name says nothing.
    no_case = {
        at
        for match in re.finditer(rb"(?m)^[0-9a-f]+(?=[\r;])|^x-amz-checksum-crc32", wire)
        for at in range(*match.span())
    }
    for position, octet in enumerate(wire):
        for other in {octet ^ 1, octet ^ 0x20, 0, 0x0A, 0x0D, 0x30, 0x7F, 0xFF} - {octet}:
            wrong = wire[:position] + bytes([other]) + wire[position + 1 :]
            if position in no_case and wrong.lower() == wire.lower():
                continue
            released, error = refused(codec(kind, mode, len(BODY), limits), wrong)
            assert error.status in (400, 403)
            assert len(released) < (1 if limits is WHOLE else len(right))


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_a_body_cut_anywhere_does_not_fill_the_length_that_it_came_with(kind, mode):
    """Or the backend would think that it has the whole request."""
    wire = body(mode)
    for end in range(1, len(wire)):
        released, error = refused(codec(kind, mode, len(BODY)), wire[:end])
        assert error.code == "IncompleteBody"
        assert len(released) < end


@pytest.mark.parametrize("mode", SIGNED)
@pytest.mark.parametrize("kind", ["decode", "re-sign"])
def test_wrong_data_in_a_signed_chunk_are_never_released(kind, mode):
    wire = body(mode).replace(b"another", b"Another")
    released, error = refused(codec(kind, mode, len(BODY)), *aws_chunked.split(wire, 3))
    assert error.code == "SignatureDoesNotMatch"
    assert b"nother" not in released


@pytest.mark.parametrize("mode", SIGNED)
@pytest.mark.parametrize("kind", ["decode", "re-sign"])
@pytest.mark.parametrize("wrong", [Signer("fake-wrong-secret", CLIENT.seed), Signer(CLIENT.secret, "00" * 32)])
def test_chunks_signed_with_another_secret_or_seed_are_refused(kind, mode, wrong):
    released, error = refused(codec(kind, mode, len(BODY)), body(mode, of=wrong))
    assert (released, error.code) == (b"", "SignatureDoesNotMatch")


@pytest.mark.parametrize("mode", SIGNED)
def test_chunks_in_another_order_are_refused(mode):
    chunks = [b"aaaa", b"bbbb"]
    pattern = rb"(4;.{80}\r\naaaa\r\n)(4;.{80}\r\nbbbb\r\n)(.*)"
    first, second, tail = re.fullmatch(pattern, body(mode, chunks), re.S).groups()
    for wire in (second + first + tail, first + first + tail, second + second + tail):
        _, error = refused(codec("decode", mode, 8), wire)
        assert error.code == "SignatureDoesNotMatch"


def test_a_wrong_trailer_signature_is_refused():
    wire = re.sub(rb"(trailer-signature:)[0-9a-f]{64}", rb"\g<1>" + b"0" * 64, body(HMAC_TRAILER))
    _, error = refused(codec("decode", HMAC_TRAILER, len(BODY)), wire)
    assert error.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(("kind", "mode"), [pair for pair in KINDS if pair[1].endswith("TRAILER")])
@pytest.mark.parametrize(
    ("trailers", "code"),
    [
        ([(CRC32, "AAAAAA==")], "BadDigest"),
        ([(CRC32, "AAAAAAAA")], "InvalidRequest"),
        ([], "MalformedTrailerError"),
        ([("x-amz-checksum-sha1", "AAAAAA==")], "MalformedTrailerError"),
        ([(CRC32, aws_chunked.crc32(BODY)), ("x-amz-meta-more", "1")], "MalformedTrailerError"),
    ],
)
def test_a_wrong_missing_or_extra_trailer_is_refused_and_the_last_octet_kept(kind, mode, trailers, code):
    released, error = refused(codec(kind, mode, len(BODY)), body(mode, trailers=trailers))
    assert error.code == code
    assert len(released) < len(wanted(kind, mode, trailers=trailers))


@pytest.mark.parametrize(("kind", "mode"), KINDS)
@pytest.mark.parametrize(("declared", "provided"), [(len(BODY) + 1, len(BODY)), (len(BODY) - 1, len(BODY)), (0, 12)])
def test_another_length_than_declared_is_an_incomplete_body(kind, mode, declared, provided):
    _, error = refused(codec(kind, mode, declared), body(mode))
    assert error.code == "IncompleteBody"
    assert error.details == {"NumberBytesExpected": str(declared), "NumberBytesProvided": str(provided)}


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_more_data_than_declared_are_refused_before_they_come(kind, mode):
    signature = b"" if mode == UNSIGNED else b";chunk-signature=" + b"a" * 64
    with pytest.raises(S3Error) as caught:
        codec(kind, mode, 9).feed(b"a" + signature + b"\r\n")
    assert caught.value.code == "IncompleteBody"


@pytest.mark.parametrize(("kind", "mode"), [("decode", HMAC), ("re-sign", HMAC)])
def test_a_header_checksum_is_compared_with_the_decoded_body(kind, mode):
    right, wrong = aws_chunked.crc32(BODY), aws_chunked.crc32(b"")
    assert b"".join(run(codec(kind, mode, len(BODY), x_amz_checksum_crc32=right), body(mode)))
    _, error = refused(codec(kind, mode, len(BODY), x_amz_checksum_crc32=wrong), body(mode))
    assert error.code == "BadDigest"


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_a_wrong_content_md5_is_a_bad_digest(kind, mode):
    released, error = refused(codec(kind, mode, len(BODY), content_md5="A" * 22 + "=="), body(mode))
    assert error.code == "BadDigest"
    assert not released.endswith(BODY[-1:] + b"\r\n0\r\n")


@pytest.mark.parametrize("mode", SIGNED)
def test_what_is_signed_anew_is_as_long_as_it_was(mode):
    chunks = [b"a" * 8192, b"b" * 9000]
    wire = body(mode, chunks).replace(b"2000;", b"00002000;").replace(b"\r\n2328;", b"\r\n02328;")
    out = b"".join(run(codec("re-sign", mode, 17192), wire))
    assert len(out) == len(wire)
    assert out.startswith(b"00002000;chunk-signature=")


@pytest.mark.parametrize("end", [b"\r\n", b"\n\r\n"])
@pytest.mark.parametrize(("kind", "mode"), [("pass", UNSIGNED), ("re-sign", HMAC_TRAILER)])
def test_trailers_go_on_as_they_were_written(kind, mode, end):
    out = b"".join(run(codec(kind, mode, len(BODY)), body(mode, trailer_end=end)))
    assert out == wanted(kind, mode, trailer_end=end)


def test_decoding_tells_the_trailers_and_the_hash_of_a_body_that_is_held_whole():
    under_test = codec("decode", UNSIGNED, len(BODY), WHOLE)
    assert under_test.held_whole
    run(under_test, body(UNSIGNED))
    assert under_test.trailers == ((CRC32, aws_chunked.crc32(BODY)),)
    assert under_test.sha256 == hashlib.sha256(BODY).hexdigest()


def test_decoding_knows_no_hash_of_a_body_that_streams():
    under_test = codec("decode", UNSIGNED, len(BODY), ChunkLimits(hold=len(BODY) - 1, min_chunk=0))
    assert not under_test.held_whole
    run(under_test, body(UNSIGNED))
    assert under_test.sha256 is None


@pytest.mark.parametrize("size", [1, 100, 5000, 65536])
@pytest.mark.parametrize("limits", [ChunkLimits(hold=70_000), ChunkLimits(hold=0)], ids=["hold", "stream"])
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_no_more_is_held_than_hold_or_one_chunk(kind, mode, limits, size):
    chunks = [b"a" * 20_000] * 6
    under_test = codec(kind, mode, 120_000, limits)
    wire = body(mode, chunks)
    taken = released = most = 0
    for feed in aws_chunked.split(wire[: wire.rindex(b"\r\n0")], size):
        taken += len(feed)
        released += len(under_test.feed(feed))
        most = max(most, taken - released)
    framing = 90 * len(chunks)
    assert most <= (20_000 if mode != UNSIGNED else 1) + framing


@pytest.mark.parametrize(
    ("mode", "fields", "code"),
    [
        (UNSIGNED, {"x-amz-decoded-content-length": None}, "MissingContentLength"),
        (UNSIGNED, {"x-amz-decoded-content-length": ["1", "1"]}, "MissingContentLength"),
        (UNSIGNED, {"x-amz-decoded-content-length": ["-1"]}, "MissingContentLength"),
        (UNSIGNED, {"x-amz-decoded-content-length": ["\xb2"]}, "MissingContentLength"),
        (UNSIGNED, {"x-amz-decoded-content-length": ["1" * 20]}, "MissingContentLength"),
        (UNSIGNED, {"x-amz-trailer": ["x-amz-meta-a"]}, "InvalidRequest"),
        (HMAC, {"x-amz-trailer": [CRC32]}, "MalformedTrailerError"),
    ],
)
def test_a_head_that_announces_no_readable_body_is_refused(mode, fields, code):
    announced = {name: value for name, value in (headers(mode, 1) | fields).items() if value}
    with pytest.raises(S3Error) as caught:
        Announcement.of_headers(mode, announced)
    assert caught.value.code == code


@pytest.mark.parametrize(("mode", "verifier"), [(UNSIGNED, chain(CLIENT)), (HMAC, None)])
def test_a_chain_goes_with_signed_modes_and_only_with_them(mode, verifier):
    with pytest.raises(ValueError, match="chain"):
        DecodingCodec(Announcement.of_headers(mode, headers(mode, 1)), verifier)


@pytest.mark.parametrize("mode", SIGNED)
def test_signed_chunks_are_not_passed_on_as_they_are(mode):
    with pytest.raises(ValueError, match="chain"):
        PassingCodec(Announcement.of_headers(mode, headers(mode, 1)))


def plain(fields: dict[str, str], inner: BodyCodec | None = None, hold: int = 0) -> PlainChecksumCodec:
    checks = BodyChecks.of_headers({name: [value] for name, value in fields.items()})
    return PlainChecksumCodec(inner or UnsignedBody(), checks, hold)


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("hold", [0, 5, 100])
def test_a_plain_body_with_a_right_checksum_passes_but_for_its_end(size, hold):
    before, rest = run(plain({CRC32: aws_chunked.crc32(BODY)}, hold=hold), *aws_chunked.split(BODY, size))
    assert before + rest == BODY
    assert len(before) == (0 if hold >= len(BODY) else len(BODY) - 1)


@pytest.mark.parametrize("fields", [{CRC32: "AAAAAA=="}, {"content-md5": "A" * 22 + "=="}])
@pytest.mark.parametrize("inner", [UnsignedBody, lambda: Sha256Body(hashlib.sha256(BODY).hexdigest(), 1)])
def test_a_plain_body_with_a_wrong_checksum_is_not_completed(fields, inner):
    under_test = plain(fields, inner())
    released = under_test.feed(BODY)
    with pytest.raises(S3Error) as caught:
        under_test.finish()
    assert caught.value.code == "BadDigest"
    assert len(released) < len(BODY)


def test_a_plain_body_with_a_right_checksum_and_a_wrong_hash_is_not_completed():
    under_test = plain({CRC32: aws_chunked.crc32(BODY)}, Sha256Body("0" * 64, 1))
    assert len(under_test.feed(BODY)) < len(BODY)
    with pytest.raises(S3Error) as caught:
        under_test.finish()
    assert caught.value.code == "XAmzContentSHA256Mismatch"


def test_a_plain_body_has_no_trailers_to_announce():
    with pytest.raises(S3Error) as caught:
        plain({"x-amz-trailer": CRC32})
    assert caught.value.code == "MalformedTrailerError"


@pytest.mark.parametrize("kind", ["decode", "re-sign"])
def test_a_signed_chunk_that_comes_octet_by_octet_takes_little_more_memory_than_its_data(kind):
    wire = body(HMAC, [b"a" * 65536])
    under_test = codec(kind, HMAC, 65536)
    tracemalloc.start()
    try:
        for position in range(60_000):
            under_test.feed(wire[position : position + 1])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * 65536
