from __future__ import annotations

import base64
import hashlib
import itertools

import pytest
from botocore.httpchecksum import _CHECKSUM_CLS
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.s3.errors import S3Error
from osp_gateway.sigv4.checksums import ALGORITHMS, BodyChecks, is_composite

BODY = b"123456789"
# "The quick check value" of each CRC's catalogue entry, and digests anybody can compute.
KNOWN = {
    "x-amz-checksum-crc32": (0xCBF43926).to_bytes(4, "big"),
    "x-amz-checksum-crc32c": (0xE3069283).to_bytes(4, "big"),
    "x-amz-checksum-crc64nvme": (0xAE8B14860A799888).to_bytes(8, "big"),
    "x-amz-checksum-md5": hashlib.md5(BODY).digest(),
    "x-amz-checksum-sha1": hashlib.sha1(BODY).digest(),
    "x-amz-checksum-sha256": hashlib.sha256(BODY).digest(),
    "x-amz-checksum-sha512": hashlib.sha512(BODY).digest(),
}


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def checked(body: bytes, headers: dict[str, str], trailers: list[tuple[str, str]] = ()) -> None:
    checks = BodyChecks.of_headers({name: [value] for name, value in headers.items()})
    checks.update(body)
    checks.verify_headers()
    checks.verify_trailers(trailers)


@pytest.mark.parametrize("name", KNOWN)
def test_the_check_value_of_an_algorithm_comes_out(name):
    running = ALGORITHMS[name].new()
    running.update(BODY)
    assert running.digest() == base64_of(KNOWN[name])


@given(data=st.binary(), cuts=st.lists(st.integers(0, 200)))
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_checksum_does_not_depend_on_how_the_body_is_split(name, data, cuts):
    whole, parts = ALGORITHMS[name].new(), ALGORITHMS[name].new()
    whole.update(data)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(edges):
        parts.update(memoryview(data)[start:end])
    assert parts.digest() == whole.digest()


@given(data=st.binary())
@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() & {f"x-amz-checksum-{name}" for name in _CHECKSUM_CLS}))
def test_botocore_computes_the_same_checksum(name, data):
    running = ALGORITHMS[name].new()
    running.update(data)
    assert running.digest() == _CHECKSUM_CLS[name.removeprefix("x-amz-checksum-")]().handle(data)


@pytest.mark.parametrize("name", KNOWN)
def test_a_right_header_checksum_is_accepted(name):
    checked(BODY, {name: base64_of(KNOWN[name])})


@pytest.mark.parametrize("name", KNOWN)
def test_a_wrong_header_checksum_is_a_bad_digest(name):
    with pytest.raises(S3Error) as caught:
        checked(BODY + b"!", {name: base64_of(KNOWN[name])})
    assert caught.value.code == "BadDigest"
    assert caught.value.message == f"The {ALGORITHMS[name].name} you specified did not match the calculated checksum."


def test_a_wrong_content_md5_says_what_was_expected_and_what_came():
    with pytest.raises(S3Error) as caught:
        checked(b"other", {"content-md5": base64_of(hashlib.md5(BODY).digest())})
    assert caught.value.code == "BadDigest"
    assert caught.value.details == {
        "ExpectedDigest": base64_of(hashlib.md5(BODY).digest()),
        "CalculatedDigest": base64_of(hashlib.md5(b"other").digest()),
    }


def test_content_md5_goes_together_with_another_checksum():
    checked(BODY, {"content-md5": base64_of(hashlib.md5(BODY).digest()), "x-amz-checksum-crc32": "y/Q5Jg=="})


@pytest.mark.parametrize("value", ["", "!", "AAAA", "AAAAAAAAAA==", "y/Q5Jg", "é/Q5Jg==", "AAAAAA==-2"])
def test_a_content_md5_that_is_none_is_an_invalid_digest(value):
    with pytest.raises(S3Error) as caught:
        checked(BODY, {"content-md5": value})
    assert caught.value.code == "InvalidDigest"


@pytest.mark.parametrize("value", ["", "!", "AAAA", "AAAAAAAAAA==", "y/Q5Jg", "é/Q5Jg==", "y/Q5Jg==-", "y/Q5Jg==-0"])
def test_a_header_value_that_is_no_checksum_is_an_invalid_request(value):
    with pytest.raises(S3Error) as caught:
        checked(BODY, {"x-amz-checksum-crc32": value})
    assert (caught.value.code, caught.value.message) == (
        "InvalidRequest",
        "Value for x-amz-checksum-crc32 header is invalid.",
    )


@pytest.mark.parametrize("value", ["y/Q5Jg==-1", "y/Q5Jg==-10000"])
def test_a_composite_value_passes_unverified(value):
    assert is_composite(value)
    checked(b"anything", {"x-amz-checksum-crc32": value})


def test_two_checksums_are_refused():
    with pytest.raises(S3Error) as caught:
        checked(BODY, {"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-checksum-crc32c": "4waSgw=="})
    assert caught.value.message.startswith("Expecting a single x-amz-checksum- header.")


@pytest.mark.parametrize("trailer", ["x-amz-checksum-crc32", "x-amz-checksum-crc32c"])
def test_a_checksum_in_a_header_and_one_in_the_trailer_are_refused(trailer):
    with pytest.raises(S3Error) as caught:
        checked(BODY, {"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-trailer": trailer})
    assert (caught.value.code, caught.value.message) == (
        "InvalidRequest",
        "Expecting a single x-amz-checksum- header",
    )


def test_a_checksum_of_an_unknown_algorithm_is_refused():
    with pytest.raises(S3Error) as caught:
        checked(BODY, {"x-amz-checksum-bad": "y/Q5Jg=="})
    assert (caught.value.code, caught.value.message) == (
        "InvalidRequest",
        "The algorithm type you specified in x-amz-checksum- header is invalid.",
    )


@pytest.mark.parametrize("name", ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"])
def test_headers_about_checksums_are_none(name):
    assert not BodyChecks.of_headers({name: ["CRC32"]})


@pytest.mark.parametrize("place", ["header", "trailer"])
def test_a_checksum_is_of_the_algorithm_that_the_sdk_names(place):
    given = ("x-amz-checksum-crc32", "y/Q5Jg==") if place == "header" else ("x-amz-trailer", "x-amz-checksum-crc32")
    for named in ("CRC32", "crc32"):
        assert BodyChecks.of_headers({given[0]: [given[1]], "x-amz-sdk-checksum-algorithm": [named]})
    with pytest.raises(S3Error) as caught:
        BodyChecks.of_headers({given[0]: [given[1]], "x-amz-sdk-checksum-algorithm": ["CRC32C"]})
    assert (caught.value.code, caught.value.message) == (
        "InvalidRequest",
        "Value for x-amz-sdk-checksum-algorithm header is invalid.",
    )


@pytest.mark.parametrize("name", ["x-amz-checksum-crc32", "content-md5"])
def test_a_checksum_header_given_twice_is_refused(name):
    with pytest.raises(S3Error) as caught:
        BodyChecks.of_headers({name: ["y/Q5Jg==", "y/Q5Jg=="]})
    assert caught.value.code == "InvalidRequest"


@pytest.mark.parametrize("names", ["x-amz-meta-a", "content-md5", "", "x-amz-checksum-crc32,", "x-amz-checksum-crc99"])
def test_a_trailer_that_is_no_checksum_is_refused(names):
    with pytest.raises(S3Error) as caught:
        BodyChecks.of_headers({"x-amz-trailer": [names]})
    assert caught.value.message == "The value specified in the x-amz-trailer header is not supported"


def test_a_trailer_announced_twice_is_refused():
    with pytest.raises(S3Error) as caught:
        BodyChecks.of_headers({"x-amz-trailer": ["x-amz-checksum-crc32", "X-Amz-Checksum-CRC32"]})
    assert caught.value.code == "InvalidRequest"


def test_a_right_trailer_is_accepted():
    checked(BODY, {"x-amz-trailer": " X-Amz-Checksum-CRC32 "}, [("x-amz-checksum-crc32", "y/Q5Jg==")])


@pytest.mark.parametrize(
    ("trailers", "code"),
    [
        ([], "MalformedTrailerError"),
        ([("x-amz-checksum-crc32c", "4waSgw==")], "MalformedTrailerError"),
        ([("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")], "MalformedTrailerError"),
        ([("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32", "y/Q5Jg==")], "MalformedTrailerError"),
        ([("x-amz-checksum-crc32", "AAAAAA==")], "BadDigest"),
        ([("x-amz-checksum-crc32", "y/Q5Jg==-1")], "InvalidRequest"),
        ([("x-amz-checksum-crc32", "BAD")], "InvalidRequest"),
    ],
)
def test_a_trailer_other_than_the_announced_one_is_refused(trailers, code):
    with pytest.raises(S3Error) as caught:
        checked(BODY, {"x-amz-trailer": "x-amz-checksum-crc32"}, trailers)
    assert caught.value.code == code


def test_a_trailer_that_was_not_announced_is_refused():
    with pytest.raises(S3Error) as caught:
        checked(BODY, {}, [("x-amz-checksum-crc32", "y/Q5Jg==")])
    assert caught.value.code == "MalformedTrailerError"
