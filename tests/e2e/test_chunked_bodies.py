"""aws-chunked bodies through the gateway: decoded for stores that know them not, re-signed for those that do."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
import zlib
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import aws_chunked
from support.certificates import Certificate, certificate
from support.chunked_requests import Upload, in_http_chunks
from support.processes import GatewayProcess, Store, config_for, gateway
from support.raw import ask
from support.s3 import client
from support.upstream import Upstream, recording_upstream

SMALL = b"a small body"
LARGE = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture(scope="module")
def tls_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificate"), "127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def recorder() -> Iterator[Upstream]:
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def chunked(
    store: Store, recorder: Upstream, tls_certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """Bucket `demo` on rclone (decoded), `same` and `plain` on a recorder."""
    there = f"**STORE, 'port': {recorder.port}, 'payload'"
    config = config_for(
        store,
        extra_buckets=f"'same': {{{there}: 'same'}}, 'plain': {{{there}: 'plain'}}",
        extra=f"cert_path={str(tls_certificate.chain)!r}, key_path={str(tls_certificate.key)!r},",
    )
    with gateway(tmp_path_factory.mktemp("chunked"), config) as running:
        yield running


@pytest.fixture(scope="module")
def https(chunked: GatewayProcess, tls_certificate: Certificate):
    return client(chunked.https_url, verify=str(tls_certificate.authority))


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_boto3_over_https_with_its_defaults(https, direct, prefix, data):
    https.put_object(Bucket="demo", Key=prefix + "key", Body=data, Metadata={"a": "b"})
    stored = direct.get_object(Bucket="demo", Key=prefix + "key")
    assert stored["Body"].read() == data
    assert {name.lower(): value for name, value in stored["Metadata"].items()} == {"a": "b"}  # rclone: "A"
    assert "aws-chunked" not in stored.get("ContentEncoding", "")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_every_checksum_algorithm(https, direct, prefix, algorithm):
    https.put_object(Bucket="demo", Key=prefix + "key", Body=SMALL, ChecksumAlgorithm=algorithm)
    assert direct.get_object(Bucket="demo", Key=prefix + "key")["Body"].read() == SMALL


def test_a_wrong_checksum_in_a_header_is_refused_and_nothing_is_stored(https, direct, prefix):
    with pytest.raises(ClientError) as refused:
        https.put_object(Bucket="demo", Key=prefix + "key", Body=SMALL, ChecksumCRC32="AAAAAA==")
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=prefix)


def test_a_wrong_content_md5_is_refused_and_nothing_is_stored(s3, direct, prefix):
    wrong = base64.b64encode(hashlib.md5(b"another body").digest()).decode()
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="demo", Key=prefix + "key", Body=SMALL, ContentMD5=wrong)
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=prefix)


@pytest.mark.parametrize("mode", aws_chunked.MODES)
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("http_chunks", [False, True], ids=["content-length", "http-chunks"])
def test_every_mode_is_decoded_for_a_store_that_knows_none(chunked, direct, prefix, mode, data, http_chunks):
    request = Upload(mode, data).request(chunked.ports[0], f"/demo/{prefix}key")
    answer = ask(chunked.ports[0], (in_http_chunks(request) if http_chunks else request).octets)
    assert answer.status == 200, answer.body
    assert direct.get_object(Bucket="demo", Key=prefix + "key")["Body"].read() == data


WRONG = {
    "trailer checksum": {"trailers": ((aws_chunked.CRC32, "AAAAAA=="),)},
    "no trailer": {"trailers": ()},
    "shorter than declared": {"declared": +1},
    "longer than declared": {"declared": -1},
}


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_body_is_refused_and_nothing_is_stored(chunked, direct, prefix, wrong, data):
    changes = dict(WRONG[wrong])
    if "declared" in changes:
        changes["declared"] += len(data)
    request = Upload(aws_chunked.UNSIGNED, data, **changes).request(chunked.ports[0], f"/demo/{prefix}key")
    assert ask(chunked.ports[0], request.octets).status == 400
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=prefix)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("mode", [aws_chunked.HMAC, aws_chunked.HMAC_TRAILER])
def test_a_changed_octet_in_a_signed_chunk_is_refused_and_nothing_is_stored(chunked, direct, prefix, mode, data):
    request = Upload(mode, data).request(chunked.ports[0], f"/demo/{prefix}key")
    body = bytearray(request.body)
    body[body.rindex(data[-8:])] ^= 1
    answer = ask(chunked.ports[0], request.but(body=bytes(body)).octets)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert "Contents" not in direct.list_objects_v2(Bucket="demo", Prefix=prefix)


@pytest.mark.parametrize("mode", aws_chunked.MODES)
def test_towards_a_store_that_knows_them_chunks_keep_their_shape(chunked, recorder, mode):
    recorder.forget()
    request = Upload(mode, LARGE, chunk=65536).request(chunked.ports[0], f"/same/{uuid.uuid4().hex}")
    assert ask(chunked.ports[0], request.octets).status == 200
    (seen,) = recorder.requests
    assert seen.header("x-amz-content-sha256") == mode
    assert len(seen.body) == len(request.body)
    assert (seen.body == request.body) == (mode == aws_chunked.UNSIGNED)
    assert aws_chunked_data(seen.body) == LARGE


def test_a_body_held_whole_goes_up_with_its_hash_and_its_checksum(chunked, recorder):
    recorder.forget()
    request = Upload(aws_chunked.UNSIGNED, SMALL, coding="gzip,aws-chunked").request(chunked.ports[0], "/plain/key")
    assert ask(chunked.ports[0], request.octets).status == 200
    (seen,) = recorder.requests
    assert seen.body == SMALL
    assert seen.header("x-amz-content-sha256") == hashlib.sha256(SMALL).hexdigest()
    assert seen.header("x-amz-checksum-crc32") == base64.b64encode(zlib.crc32(SMALL).to_bytes(4, "big")).decode()
    assert seen.header("content-encoding") == "gzip"
    assert seen.header("x-amz-trailer") is None
    assert seen.header("x-amz-decoded-content-length") is None


def test_a_large_body_streams_up_unsigned_and_checked_here(chunked, recorder):
    recorder.forget()
    request = Upload(aws_chunked.UNSIGNED, LARGE).request(chunked.ports[0], "/plain/key")
    assert ask(chunked.ports[0], request.octets).status == 200
    (seen,) = recorder.requests
    assert seen.body == LARGE
    assert seen.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    assert seen.header("content-length") == str(len(LARGE))


@given(st.binary(max_size=40_000), st.integers(1, 9000), st.sampled_from(aws_chunked.MODES))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_body_in_any_chunks_arrives(chunked, direct, data, size, mode):
    key = uuid.uuid4().hex
    request = Upload(mode, data, chunk=max(size, len(data) // 64 + 1)).request(chunked.ports[0], f"/demo/{key}")
    assert ask(chunked.ports[0], request.octets).status == 200
    assert direct.get_object(Bucket="demo", Key=key)["Body"].read() == data


def aws_chunked_data(body: bytes) -> bytes:
    """The data in an encoded body, read in the plainest way."""
    data = b""
    while True:
        head, _, rest = body.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if not size:
            return data
        data, body = data + rest[:size], rest[size + 2 :]
