"""Every payload mode through mitmdump to Ceph RGW: what boto3 and Java send, and what RGW alone turns away.

RGW 16 verifies the chunks of STREAMING-AWS4-HMAC-SHA256-PAYLOAD, so it judges the chunks that the gateway signs anew.
It knows neither trailers nor checksums: that they go up as headers is for `tests/e2e/test_payload_modes.py`.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from support.certificates import Certificate, certificate
from support.chunked_requests import in_http_chunks
from support.http2 import http2
from support.payload_gateways import payload_config
from support.payloads import CHECKSUMS, CHUNKED, HEX, HMAC, HMAC_TRAILER, PLAIN, SIGNED, TRAILED, Upload, checksum
from support.processes import GatewayProcess, gateway
from support.raw import ask, talk
from support.s3 import client
from support.signing import presigned, signed
from support.strict import ALICE, Cluster, ceph_backend

MIB = 1024 * 1024
SMALL = b"a body that is held whole"
LARGE = random.Random(3).randbytes(2 * MIB + 17)
BODIES = {"small": SMALL, "large": LARGE}
KIB_SIZES = {"8K": (8192,), "64K": (65536,), "128K": (131072,), "uneven": (9000, 20001, 65537, 8192)}
FRAMINGS = ("content-length", "http-chunks", "http2")


@dataclass(frozen=True)
class Bench:
    """A gateway over http and https before one bucket, and the bucket straight."""

    gateway: GatewayProcess
    certificate: Certificate
    cluster: Cluster
    bucket: str

    @property
    def port(self) -> int:
        return self.gateway.ports[0]

    def s3(self, scheme: str) -> Any:
        """boto3 through the gateway."""
        url = self.gateway.https_url if scheme == "https" else self.gateway.url
        return client(url, verify=str(self.certificate.authority))

    def stored(self, key: str) -> bytes:
        """The object as the store has it."""
        body: bytes = self.cluster.s3().get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def coding(self, key: str) -> str:
        """The object's Content-Encoding, as the store has it."""
        found: str = self.cluster.s3().head_object(Bucket=self.bucket, Key=key).get("ContentEncoding", "")
        return found

    def put(self, upload: Upload, target: str, framing: str = "content-length") -> tuple[int, str]:
        """Status and code."""
        if framing == "http2":
            request = upload.sign(self.port, target, scheme="https").request
            with http2(self.port, self.certificate.client_context(["h2"])) as connection:
                answer = connection.ask(request)
                assert answer is not None
        else:
            request = upload.sign(self.port, target).request
            answer = ask(self.port, (in_http_chunks(request) if framing == "http-chunks" else request).octets)
        return answer.status, answer.code


@pytest.fixture(scope="module")
def bench(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("payloads")
    bucket = f"payloads-{uuid.uuid4().hex[:16]}"
    cluster.s3().create_bucket(Bucket=bucket)
    own = certificate(folder, "127.0.0.1", "localhost")
    with gateway(folder, payload_config(ceph_backend(cluster, bucket), own)) as running:
        yield Bench(running, own, cluster, bucket)


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


class OneWay(io.RawIOBase):
    """A stream that is read once."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(size)


# boto3


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("algorithm", [None, *CHECKSUMS])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_boto3_puts_an_object_with_each_checksum(bench, key, scheme, algorithm, size):
    arguments = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    answer = bench.s3(scheme).put_object(Bucket="auto", Key=key, Body=BODIES[size], **arguments)
    assert answer["ETag"] == f'"{hashlib.md5(BODIES[size]).hexdigest()}"'
    assert bench.stored(key) == BODIES[size]
    assert bench.coding(key) == ""


@pytest.mark.parametrize("algorithm", [None, *CHECKSUMS])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_boto3_uploads_parts_with_each_checksum(bench, key, scheme, algorithm):
    s3 = bench.s3(scheme)
    arguments = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload_id = s3.create_multipart_upload(Bucket="auto", Key=key, **arguments)["UploadId"]
    part = s3.upload_part(Bucket="auto", Key=key, UploadId=upload_id, PartNumber=1, Body=LARGE, **arguments)
    s3.complete_multipart_upload(
        Bucket="auto",
        Key=key,
        UploadId=upload_id,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert bench.stored(key) == LARGE


@pytest.mark.parametrize("size", [0, 25, 2 * MIB, 11 * MIB])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_boto3_uploads_a_stream_that_it_cannot_rewind(bench, key, scheme, size):
    data = random.Random(size).randbytes(size)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=2)
    bench.s3(scheme).upload_fileobj(OneWay(data), "auto", key, Config=config)
    assert bench.stored(key) == data


def test_a_composite_checksum_goes_with_a_completion(bench, key):
    """It is the object's: over the checksums of its parts, and not over the body that it comes with."""
    s3 = bench.s3("https")
    upload_id = s3.create_multipart_upload(Bucket="auto", Key=key, ChecksumAlgorithm="SHA256")["UploadId"]
    part = s3.upload_part(
        Bucket="auto", Key=key, UploadId=upload_id, PartNumber=1, Body=SMALL, ChecksumAlgorithm="SHA256"
    )
    composite = checksum("SHA256", hashlib.sha256(SMALL).digest())
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": checksum("SHA256", SMALL)}]
    s3.complete_multipart_upload(
        Bucket="auto",
        Key=key,
        UploadId=upload_id,
        ChecksumSHA256=f"{composite}-1",
        ChecksumType="COMPOSITE",
        MultipartUpload={"Parts": parts},
    )
    assert bench.stored(key) == SMALL


# Chunks as the SDK for Java signs them


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("sizes", KIB_SIZES)
@pytest.mark.parametrize("mode", SIGNED)
def test_signed_chunks_of_every_size_are_decoded(bench, key, mode, sizes, framing):
    upload = Upload(mode, LARGE, sizes=KIB_SIZES[sizes])
    assert bench.put(upload, f"/plain/{key}", framing) == (200, "")
    assert bench.stored(key) == LARGE
    assert bench.coding(key) == ""


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("sizes", KIB_SIZES)
def test_chunks_signed_anew_are_accepted_by_a_store_that_verifies_them(bench, key, sizes, framing):
    upload = Upload(HMAC, LARGE, sizes=KIB_SIZES[sizes])
    assert bench.put(upload, f"/same/{key}", framing) == (200, "")
    assert bench.stored(key) == LARGE


def test_the_store_does_verify_them(bench, key):
    """Or the test above would prove nothing."""
    alice = bench.cluster.users[ALICE]
    target = f"/{bench.bucket}/{key}"
    payload = Upload(HMAC, LARGE, sizes=(65536,)).sign(bench.cluster.port, target, alice.access_key, alice.secret_key)
    assert ask(bench.cluster.port, payload.request.octets).status == 200
    wrong = payload.with_chunk(3, signature="0" * 64).request
    assert ask(bench.cluster.port, wrong.octets).status == 403


@pytest.mark.parametrize("data", [b"", b"!", SMALL], ids=len)
@pytest.mark.parametrize("way", ["auto", "plain", "same"])
@pytest.mark.parametrize("mode", [*PLAIN, *CHUNKED])
def test_small_bodies_in_every_mode_and_way(bench, key, mode, way, data):
    """RGW 16 knows no trailers, nor signed chunks of nothing: what goes up the same it refuses as it does straight."""
    status, _ = bench.put(Upload(mode, data), f"/{way}/{key}")
    if way == "same" and (mode in TRAILED or (mode == HMAC and not data)):
        assert status == 400
    else:
        assert status == 200
        assert bench.stored(key) == data


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("algorithm", CHECKSUMS)
@pytest.mark.parametrize("mode", TRAILED)
def test_every_checksum_in_a_trailer(bench, key, mode, algorithm, size):
    upload = Upload(mode, BODIES[size], sizes=(65536,), algorithm=algorithm)
    assert bench.put(upload, f"/auto/{key}") == (200, "")
    assert bench.stored(key) == BODIES[size]


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("mode", TRAILED)
def test_what_pyarrow_sends_works_through_the_gateway_and_fails_straight(bench, key, mode, size):
    """aws-chunked inside HTTP's chunks, with a trailer and no Content-Length."""
    alice = bench.cluster.users[ALICE]
    upload = Upload(mode, BODIES[size], sizes=(65536,))
    straight = upload.sign(bench.cluster.port, f"/{bench.bucket}/{key}", alice.access_key, alice.secret_key)
    refused = ask(bench.cluster.port, in_http_chunks(straight.request).octets)
    assert (refused.status, refused.code) == (411, "MissingContentLength")
    assert bench.put(upload, f"/auto/{key}", "http-chunks") == (200, "")
    assert bench.stored(key) == BODIES[size]


@seed(20130524)
@given(
    cuts=st.lists(st.integers(1, 60_000), min_size=1, max_size=12),
    sizes=st.lists(st.integers(1000, 30_000), min_size=1, max_size=4).map(tuple),
    mode=st.sampled_from(SIGNED),
    way=st.sampled_from(["plain", "same"]),
)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_signed_chunks_arrive_however_tcp_cuts_them(bench, cuts, sizes, mode, way):
    key = uuid.uuid4().hex
    way = "plain" if mode == HMAC_TRAILER else way
    octets = Upload(mode, LARGE[:50_000], sizes=sizes).sign(bench.port, f"/{way}/{key}").request.octets
    edges = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    with talk(bench.port) as connection:
        for start, end in itertools.pairwise(edges):
            connection.send(octets[start:end])
        assert connection.read_answer("PUT").status == 200
    assert bench.stored(key) == LARGE[:50_000]


# An absent x-amz-content-sha256


def test_a_signed_head_must_say_how_its_body_is_signed(bench, key):
    request = signed(bench.port, "PUT", f"/auto/{key}", SMALL).without("x-amz-content-sha256")
    names = request.header("authorization").replace("x-amz-content-sha256;", "")
    answer = ask(bench.port, request.with_changed("authorization", lambda _: names).octets)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.message == "Missing required header for this request: x-amz-content-sha256"


@pytest.mark.parametrize("size", BODIES)
def test_a_presigned_request_need_not(bench, key, size):
    request = presigned(bench.port, "PUT", f"/auto/{key}", BODIES[size])
    assert ask(bench.port, request.octets).status == 200
    assert bench.stored(key) == BODIES[size]


def test_a_presigned_request_may_say_so_and_is_held_to_it(bench, key):
    right = hashlib.sha256(SMALL).hexdigest()
    request = presigned(bench.port, "PUT", f"/auto/{key}", SMALL, (("x-amz-content-sha256", right),))
    refused = ask(bench.port, request.but(body=SMALL[:-1] + b"!").octets)
    assert (refused.status, refused.code) == (400, "XAmzContentSHA256Mismatch")
    assert ask(bench.port, request.octets).status == 200
    assert bench.stored(key) == SMALL


def test_a_body_in_http_chunks_that_is_not_aws_chunked_has_no_length(bench, key):
    request = in_http_chunks(Upload(HEX, SMALL).sign(bench.port, f"/auto/{key}").request)
    answer = ask(bench.port, request.octets)
    assert (answer.status, answer.code) == (411, "MissingContentLength")
