"""Bodies as clients frame them: our own decoder, and an encoder written from the documentation, are the oracles."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.replay.encode import CHUNK_OCTETS, checksum, checksum_of_parts, chunked, chunked_length, speaks_of_body
from osp_gateway.replay.exchange import Content, Stretch
from osp_gateway.sigv4.aws_chunked import MODES
from osp_gateway.sigv4.checksums import ALGORITHMS
from osp_gateway.sigv4.chunk_signing import ChunkChain, HmacChain
from osp_gateway.sigv4.chunked_codecs import DECODED_LENGTH, Announcement, ChunkLimits, DecodingCodec
from osp_gateway.sigv4.sigv4a import EcdsaChain, derive_private_key
from support import aws_chunked
from support.aws_chunked import CRC32, HMAC, HMAC_TRAILER, UNSIGNED, Signer

LIMITS = ChunkLimits(hold=0, min_chunk=8192)
SIZES = [0, 1, 5, CHUNK_OCTETS - 1, CHUNK_OCTETS, CHUNK_OCTETS + 1, 3 * CHUNK_OCTETS, 300_001]
ECDSA = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
TRAILERS = {
    ECDSA: [],
    f"{ECDSA}-TRAILER": [CRC32],
    UNSIGNED: [CRC32],
    HMAC: [],
    HMAC_TRAILER: ["x-amz-checksum-sha256"],
}


def chain(mode: str) -> ChunkChain | None:
    if mode == UNSIGNED:
        return None
    signer = Signer()
    if mode.startswith(ECDSA):
        scope = signer.scope.replace("/us-east-1", "")
        return EcdsaChain(derive_private_key("key", signer.secret), signer.amz_date, scope, signer.seed)
    return HmacChain(aws_chunked.signing_key(signer.secret), signer.amz_date, signer.scope, signer.seed)


def content(length: int) -> Content:
    """Some octets made up, some kept."""
    kept = min(length, 3)
    return Content((Stretch(length - kept, seed="body"), Stretch(kept, b"end"[:kept])))


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("length", SIZES)
def test_our_decoder_finds_every_signature_and_checksum_right(mode, length):
    body = content(length)
    fields = {DECODED_LENGTH: [str(length)]}
    if TRAILERS[mode]:
        fields["x-amz-trailer"] = [",".join(TRAILERS[mode])]
    decoder = DecodingCodec(Announcement.of_headers(mode, fields), chain(mode), LIMITS)
    found = b"".join(decoder.feed(piece) for piece in chunked(body, TRAILERS[mode], chain(mode)))
    found += decoder.finish()
    assert found == b"".join(body.pieces())


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("length", SIZES)
def test_the_length_that_is_announced_is_the_real_one(mode, length):
    body = b"".join(chunked(content(length), TRAILERS[mode], chain(mode)))
    assert chunked_length(length, MODES[mode], TRAILERS[mode]) == len(body)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_the_length_is_right_with_each_checksum(name):
    body = b"".join(chunked(content(100_000), [name], None))
    assert chunked_length(100_000, MODES[UNSIGNED], [name]) == len(body)


@given(st.integers(0, 200_000))
def test_the_body_is_what_the_documentation_says(length):
    body = content(length)
    octets = b"".join(body.pieces())
    chunks = [octets[at : at + CHUNK_OCTETS] for at in range(0, length, CHUNK_OCTETS)]
    assert b"".join(chunked(body, [], chain(HMAC))) == aws_chunked.encode(HMAC, chunks, signer=Signer())


def test_checksums_are_of_what_is_sent():
    body = content(300_001)
    octets = b"".join(body.pieces())
    assert checksum(CRC32, body) == base64.b64encode(zlib.crc32(octets).to_bytes(4, "big")).decode()
    assert checksum("content-md5", body) == base64.b64encode(hashlib.md5(octets).digest()).decode()
    assert checksum("x-amz-checksum-sha256", body) == base64.b64encode(hashlib.sha256(octets).digest()).decode()


def test_the_checksum_of_parts_is_of_all_octets_or_of_their_checksums():
    parts = [content(10), content(20)]
    octets = [b"".join(part.pieces()) for part in parts]
    assert checksum_of_parts(CRC32, "AAAAAA==", parts) == checksum(
        CRC32, Content(parts[0].stretches + parts[1].stretches)
    )
    name = "x-amz-checksum-sha256"
    digests = b"".join(hashlib.sha256(one).digest() for one in octets)
    composite = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert checksum_of_parts(name, "AAAA=-2", parts) == composite


def test_only_checksums_of_this_body_are_made_anew():
    assert speaks_of_body("content-md5", "x")
    assert speaks_of_body(CRC32, "AAAAAA==")
    assert not speaks_of_body(CRC32, "AAAAAA==-2")
    assert not speaks_of_body("x-amz-checksum-type", "COMPOSITE")
    assert not speaks_of_body("etag", "x")
