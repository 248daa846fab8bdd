from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.aws_chunked import ECDSA_SIGNATURE_OCTETS
from osp_gateway.sigv4.chunked_codecs import Announcement, ChunkLimits, DecodingCodec, ResigningCodec
from osp_gateway.sigv4.keys import SigningKeys
from osp_gateway.sigv4.sigv4a import EcdsaChain, derive_private_key, is_signature, sign

VECTORS = Path(__file__).parents[2] / "vectors/aws-signing-test-suite/v4a"
CASES = sorted(file.parent for file in VECTORS.glob("*/public-key.json"))

ACCESS_KEY, SECRET = "FAKEACCESSKEY", "fake-secret"
AMZ_DATE, SCOPE = "20130524T000000Z", "20130524/s3/aws4_request"
PLAIN = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
TRAILER = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
LIMITS = ChunkLimits(hold=0, min_chunk=0)
CRC32C = [("x-amz-checksum-crc32c", "4waSgw==")]


def vector(case: Path, name: str) -> str:
    return (case / name).read_text()


def case_key(case: Path) -> ec.EllipticCurvePrivateKey:
    credentials = json.loads(vector(case, "context.json"))["credentials"]
    return derive_private_key(credentials["access_key_id"], credentials["secret_access_key"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_key_pair_of_a_secret_is_that_of_the_vectors(case):
    point = json.loads(vector(case, "public-key.json"))
    numbers = case_key(case).public_key().public_numbers()
    assert (f"{numbers.x:064x}", f"{numbers.y:064x}") == (point["X"], point["Y"])


def key(access_key: str = ACCESS_KEY, secret: str = SECRET) -> ec.EllipticCurvePrivateKey:
    return derive_private_key(access_key, secret)


def test_what_is_signed_is_right():
    assert is_signature(key().public_key(), "text", sign(key(), "text"))


@pytest.mark.parametrize("other", [{"access_key": "FAKEOTHER"}, {"secret": "fake-other"}])
def test_another_access_key_or_secret_is_another_key_pair(other):
    assert not is_signature(key(**other).public_key(), "text", sign(key(), "text"))


@pytest.mark.parametrize("signature", ["", "00", "zz", "é", "3006020101020101", "a" * 146])
def test_what_is_no_signature_is_not_right(signature):
    assert not is_signature(key().public_key(), "text", signature)


def test_a_signature_in_upper_case_is_not_right():
    assert not is_signature(key().public_key(), "text", sign(key(), "text").upper())


def test_keys_derived_before_are_kept():
    keys = SigningKeys()
    assert keys.key_pair(ACCESS_KEY, SECRET) is keys.key_pair(ACCESS_KEY, SECRET)
    assert keys.key_pair(ACCESS_KEY, "fake-other") is not keys.key_pair(ACCESS_KEY, SECRET)


def chain(seed: str = "ab", secret: str = SECRET) -> EcdsaChain:
    return EcdsaChain(key(secret=secret), AMZ_DATE, SCOPE, seed)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_chunk_signatures_have_one_length():
    signer = chain()
    assert {len(signer.sign(digest(b""))) for _ in range(50)} == {ECDSA_SIGNATURE_OCTETS}


def test_a_chunk_signs_the_one_before_it_without_padding():
    signer = chain("ab**")
    first, second = signer.sign(digest(b"1")).rstrip("*"), signer.sign(digest(b"2")).rstrip("*")
    empty = digest(b"")
    start = f"AWS4-ECDSA-P256-SHA256-PAYLOAD\n{AMZ_DATE}\n{SCOPE}"
    assert is_signature(key().public_key(), f"{start}\nab\n{empty}\n{digest(b'1')}", first)
    assert is_signature(key().public_key(), f"{start}\n{first}\n{empty}\n{digest(b'2')}", second)


def test_trailers_sign_the_chunk_before_them():
    signer = chain()
    last, signature = signer.sign(digest(b"")).rstrip("*"), signer.sign_trailers(CRC32C).rstrip("*")
    trailers = digest(b"x-amz-checksum-crc32c:4waSgw==\n")
    text = f"AWS4-ECDSA-P256-SHA256-TRAILER\n{AMZ_DATE}\n{SCOPE}\n{last}\n{trailers}"
    assert is_signature(key().public_key(), text, signature)


def body(mode: str, chunks: list[bytes], signer: EcdsaChain) -> bytes:
    out = b""
    for chunk in (*chunks, b""):
        out += f"{len(chunk):x};chunk-signature={signer.sign(digest(chunk))}\r\n".encode() + chunk
        out += b"\r\n" if chunk else b""
    if mode == TRAILER:
        out += f"{CRC32C[0][0]}:{CRC32C[0][1]}\r\nx-amz-trailer-signature:{signer.sign_trailers(CRC32C)}\r\n".encode()
    return out + b"\r\n"


def announcement(mode: str) -> Announcement:
    fields = {"x-amz-decoded-content-length": ["9"]}
    if mode == TRAILER:
        fields["x-amz-trailer"] = ["x-amz-checksum-crc32c"]
    return Announcement.of_headers(mode, fields)


@pytest.mark.parametrize("mode", [PLAIN, TRAILER])
def test_a_body_signed_with_sigv4a_is_decoded(mode):
    codec = DecodingCodec(announcement(mode), chain(), LIMITS)
    assert codec.feed(body(mode, [b"12345", b"6789"], chain())) + codec.finish() == b"123456789"


@pytest.mark.parametrize("mode", [PLAIN, TRAILER])
def test_a_body_signed_with_sigv4a_is_signed_anew_at_the_same_length(mode):
    wire = body(mode, [b"12345", b"6789"], chain())
    codec = ResigningCodec(announcement(mode), chain(), chain("cd", "fake-backend"), LIMITS)
    out = codec.feed(wire) + codec.finish()
    assert len(out) == len(wire)
    backend = DecodingCodec(announcement(mode), chain("cd", "fake-backend"), LIMITS)
    assert backend.feed(out) + backend.finish() == b"123456789"


@pytest.mark.parametrize("wrong", [chain("cd"), chain(secret="fake-other")])
def test_chunks_of_another_seed_or_secret_are_refused(wrong):
    with pytest.raises(S3Error) as caught:
        DecodingCodec(announcement(PLAIN), chain(), LIMITS).feed(body(PLAIN, [b"12345", b"6789"], wrong))
    assert caught.value.code == "SignatureDoesNotMatch"
