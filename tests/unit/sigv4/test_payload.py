"""Bodies are checked while they stream, and a wrong one is never completed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.payload import HOLD_OCTETS, HeldBody, Sha256Body, UnsignedBody, codec_for
from support.oracle import generated

bodies = st.lists(st.binary(max_size=12), max_size=12)
holds = st.integers(0, 20)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@generated
@given(bodies, holds)
def test_however_a_body_is_split_it_passes_unchanged(pieces: list[bytes], hold: int) -> None:
    body = b"".join(pieces)
    codec = Sha256Body(digest(body), hold)

    assert b"".join([codec.feed(piece) for piece in pieces]) + codec.finish() == body


@generated
@given(bodies, holds)
def test_the_last_octet_never_leaves_before_the_end(pieces: list[bytes], hold: int) -> None:
    codec = Sha256Body(digest(b"".join(pieces)), hold)
    received, released = b"", b""
    for piece in pieces:
        received += piece
        released += codec.feed(piece)
        assert released == received[: len(released)]
        assert not received or len(released) < len(received)
        assert len(received) > hold or not released


@generated
@given(bodies, holds)
def test_what_is_held_back_does_not_grow_with_the_body(pieces: list[bytes], hold: int) -> None:
    codec = Sha256Body(digest(b""), hold)
    received = released = 0
    for piece in pieces:
        received += len(piece)
        released += len(codec.feed(piece))
        assert received - released <= max(hold, 1)


@generated
@given(bodies, holds, st.binary(min_size=1, max_size=3))
def test_a_wrong_body_is_refused_and_nothing_more_is_released(pieces: list[bytes], hold: int, more: bytes) -> None:
    codec = Sha256Body(digest(b"".join(pieces) + more), hold)
    released = sum(len(codec.feed(piece)) for piece in pieces)

    for _ in range(2):
        with pytest.raises(S3Error) as caught:
            codec.finish()
        assert (caught.value.code, caught.value.status) == ("XAmzContentSHA256Mismatch", 400)
    assert released <= max(0, len(b"".join(pieces)) - 1)


def test_the_refusal_names_both_hashes() -> None:
    codec = Sha256Body(digest(b"a"))
    codec.feed(b"b")

    with pytest.raises(S3Error) as caught:
        codec.finish()

    assert caught.value.details == {
        "ClientComputedContentSHA256": digest(b"a"),
        "S3ComputedContentSHA256": digest(b"b"),
    }


@pytest.mark.parametrize("size", [0, 1, 1000, HOLD_OCTETS])
def test_a_small_body_leaves_whole_and_only_at_the_end(size: int) -> None:
    body = bytes(size)
    codec = Sha256Body(digest(body))

    assert b"".join(codec.feed(body[i : i + 1000]) for i in range(0, size, 1000)) == b""
    assert codec.finish() == body


def test_a_large_body_streams() -> None:
    body = bytes(HOLD_OCTETS + 1)
    codec = Sha256Body(digest(body))

    assert codec.feed(body) == body[:-1]
    assert codec.feed(b"") == b""
    assert codec.finish() == body[-1:]


@generated
@given(bodies)
def test_an_unsigned_body_passes_as_it_is(pieces: list[bytes]) -> None:
    codec = UnsignedBody()

    assert [codec.feed(piece) for piece in pieces] == pieces
    assert codec.finish() == b""


def test_the_payload_hash_chooses_the_codec() -> None:
    assert isinstance(codec_for("UNSIGNED-PAYLOAD", {}), UnsignedBody)
    assert isinstance(codec_for(digest(b""), {}), Sha256Body)


@pytest.mark.parametrize(
    "payload_hash",
    [
        "",
        "unsigned-payload",
        "UNSIGNED-PAYLOAD ",
        "UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-EVENTS",
        digest(b"").upper(),
        digest(b"")[:-1],
        digest(b"") + "\n",
        digest(b"") + "0",
        "g" * 64,
        "é" * 64,
    ],
    ids=ascii,
)
def test_an_unknown_payload_hash_is_refused(payload_hash: str) -> None:
    with pytest.raises(S3Error, match="InvalidArgument"):
        codec_for(payload_hash, {})


@generated
@given(bodies)
def test_a_held_body_leaves_whole_and_only_at_the_end(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    codec = HeldBody(Sha256Body(digest(body), 1), len(body))

    assert b"".join(codec.feed(piece) for piece in pieces) == b""
    assert codec.finish() == body


@generated
@given(bodies)
def test_a_held_body_that_is_wrong_is_not_released(pieces: list[bytes]) -> None:
    codec = HeldBody(Sha256Body(digest(b"".join(pieces) + b"x"), 1), 1000)

    assert b"".join(codec.feed(piece) for piece in pieces) == b""
    with pytest.raises(S3Error, match="XAmzContentSHA256Mismatch"):
        codec.finish()


@generated
@given(bodies.filter(any))
def test_a_held_body_above_its_limit_is_refused(pieces: list[bytes]) -> None:
    codec = HeldBody(UnsignedBody(), len(b"".join(pieces)) - 1)

    with pytest.raises(S3Error, match="EntityTooLarge"):
        for piece in pieces:
            codec.feed(piece)
