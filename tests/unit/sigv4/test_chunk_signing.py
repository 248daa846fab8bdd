from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.chunk_signing import HmacChain
from osp_gateway.sigv4.keys import derive_signing_key
from support import aws_chunked

# The examples of AWS's documentation: "... transferring a payload in multiple chunks" and "... trailing headers".
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
SIGNATURES = [
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
]
TRAILER_SEED = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
TRAILER_SIGNATURES = [
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
]
TRAILER_SIGNATURE = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
DIGESTS = [hashlib.sha256(b"a" * size).hexdigest() for size in (65536, 1024, 0)]
TRAILERS = [("x-amz-checksum-crc32c", "sOO8/Q==")]


def chain(seed: str = SEED, secret: str = SECRET) -> HmacChain:
    key = derive_signing_key(secret, "20130524", "us-east-1", "s3")
    return HmacChain(key, aws_chunked.AMZ_DATE, aws_chunked.SCOPE, seed)


def test_the_documented_example_is_signed_as_documented():
    signer = chain()
    assert [signer.sign(digest) for digest in DIGESTS] == SIGNATURES


def test_the_documented_example_with_a_trailer_is_signed_as_documented():
    signer = chain(TRAILER_SEED)
    assert [signer.sign(digest) for digest in DIGESTS] == TRAILER_SIGNATURES
    assert signer.sign_trailers(TRAILERS) == TRAILER_SIGNATURE


def test_the_documented_examples_are_verified():
    plain, with_trailer = chain(), chain(TRAILER_SEED)
    for digest, signature in zip(DIGESTS, SIGNATURES, strict=True):
        plain.verify(digest, signature)
    for digest, signature in zip(DIGESTS, TRAILER_SIGNATURES, strict=True):
        with_trailer.verify(digest, signature)
    with_trailer.verify_trailers(TRAILERS, TRAILER_SIGNATURE)


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        (DIGESTS[1], SIGNATURES[0]),  # other data
        (DIGESTS[0], SIGNATURES[1]),  # another signature
        (DIGESTS[1], SIGNATURES[1]),  # the first chunk left out
        (DIGESTS[0], SIGNATURES[0][:-1]),
        (DIGESTS[0], SIGNATURES[0].upper()),
        (DIGESTS[0], ""),
    ],
)
def test_a_chunk_signature_that_does_not_fit_is_refused(digest, signature):
    with pytest.raises(S3Error) as caught:
        chain().verify(digest, signature)
    assert (caught.value.code, caught.value.status) == ("SignatureDoesNotMatch", 403)


def test_a_chunk_sent_twice_is_refused():
    verifier = chain()
    verifier.verify(DIGESTS[0], SIGNATURES[0])
    with pytest.raises(S3Error):
        verifier.verify(DIGESTS[0], SIGNATURES[0])


@pytest.mark.parametrize("other", [{"seed": TRAILER_SEED}, {"secret": "fake-other-secret"}])
def test_another_seed_or_secret_gives_other_signatures(other):
    assert chain(**other).sign(DIGESTS[0]) != SIGNATURES[0]


@pytest.mark.parametrize("trailers", [[], [("x-amz-checksum-crc32c", "AAAAAA==")], [*TRAILERS, ("x-amz-other", "1")]])
def test_other_trailers_than_were_signed_are_refused(trailers):
    verifier = chain(TRAILER_SEED)
    for digest in DIGESTS:
        verifier.sign(digest)
    with pytest.raises(S3Error) as caught:
        verifier.verify_trailers(trailers, TRAILER_SIGNATURE)
    assert caught.value.code == "SignatureDoesNotMatch"


def test_trailers_are_signed_lower_case_trimmed_and_sorted():
    left, right = chain(), chain()
    assert left.sign_trailers([("B", " 2 "), ("a", "1")]) == right.sign_trailers([("a", "1"), ("b", "2")])


@given(chunks=st.lists(st.binary(max_size=64)), secret=st.text(st.characters(codec="ascii")))
def test_chunks_are_signed_as_the_specification_is_written(chunks, secret):
    client = aws_chunked.Signer(secret, SEED)
    verifier = chain(secret=secret)
    for chunk in chunks:
        verifier.verify(hashlib.sha256(chunk).hexdigest(), client.chunk(chunk))
    verifier.verify_trailers(TRAILERS, client.trailers(b"x-amz-checksum-crc32c:sOO8/Q==\n"))
