"""What the store gets to see of each payload mode, octet by octet, and that no wrong body is complete up there."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.aws_chunked import Signer
from support.certificates import certificate
from support.chunked_requests import in_http_chunks, signer_for
from support.payload_gateways import payload_config
from support.payloads import (
    CHECKSUMS,
    CHUNKED,
    HEX,
    HMAC,
    SIGNED,
    TRAILED,
    UNSIGNED,
    Upload,
    checksum,
    checksum_field,
    checksum_name,
)
from support.processes import Store, gateway
from support.raw import Answer, ask
from support.signing import Raw, signed
from support.upstream import Seen, Upstream, recording_upstream, response
from support.wrong_payloads import EVERY, LIMITS, Wrong, case_id, cases, large_upload, small_upload

BACKEND_SECRET = "recorder-fake-secret"
UPLOADS = {"held": small_upload, "streamed": large_upload}


@dataclass(frozen=True)
class Bench:
    """A gateway before a server that keeps what it gets."""

    port: int
    upstream: Upstream

    def put(self, request: Raw) -> Answer:
        return ask(self.port, request.octets)

    def seen(self, part: str) -> list[Seen]:
        """The requests for a target that contains `part`."""
        return [seen for seen in self.upstream.requests if part in seen.target]

    def only(self, part: str) -> Seen:
        (seen,) = self.seen(part)
        assert seen.ended.wait(60)
        return seen


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("payloads")
    with recording_upstream(coded) as upstream:
        backend = {
            "host": "127.0.0.1",
            "port": upstream.port,
            "is_tls_enabled": False,
            "access_key": "recorder-fake-key",
            "secret_key": BACKEND_SECRET,
        }
        config = payload_config(repr(backend), certificate(folder, "127.0.0.1"), LIMITS)
        with gateway(folder, config) as running:
            yield Bench(running.ports[0], upstream)


def coded(upstream: Upstream, peer, seen: Seen) -> bool:
    """Reads a body by its Content-Length or in HTTP's chunks; `Seen.body` is without the latter."""
    if seen.header("transfer-encoding") != "chunked":
        if not peer.read_body(seen):
            return False
    elif not read_chunks(peer, seen):
        return False
    peer.send(response(200, etag='"e"'))
    return True


def read_chunks(peer, seen: Seen) -> bool:
    while True:
        while b"\r\n" not in peer.buffer:
            if not peer.receive():
                return False
        line, _, peer.buffer = peer.buffer.partition(b"\r\n")
        size = int(line, 16)
        while len(peer.buffer) < size + 2:
            if not peer.receive():
                return False
        seen.body += peer.buffer[:size]
        peer.buffer = peer.buffer[size + 2 :]
        if size == 0:
            seen.complete = True
            return True


@pytest.fixture
def target() -> str:
    return uuid.uuid4().hex


def chain_of(seen: Seen) -> Signer:
    """The chain of chunk signatures that the backend computes from the head that it got."""
    head = Raw(seen.method, seen.target, tuple(seen.headers))
    return signer_for(head, BACKEND_SECRET)


# Right


@pytest.mark.parametrize("framing", ["content-length", "http-chunks"])
@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize("mode", SIGNED)
def test_the_same_mode_is_the_same_chunks_under_the_backends_key(bench, target, mode, size, framing):
    upload = UPLOADS[size](mode)
    request = upload.sign(bench.port, f"/same/{target}").request
    assert bench.put(in_http_chunks(request) if framing == "http-chunks" else request).status == 200
    seen = bench.only(target)
    assert seen.header("x-amz-content-sha256") == mode
    head = Raw(seen.method, seen.target, tuple(seen.headers))
    assert bytes(seen.body) == upload.chained(head, chain_of(seen)).body
    assert len(seen.body) == len(request.body)


@pytest.mark.parametrize("framing", ["content-length", "http-chunks"])
@pytest.mark.parametrize("size", UPLOADS)
def test_the_same_unsigned_mode_is_the_same_octets(bench, target, size, framing):
    request = UPLOADS[size](UNSIGNED).sign(bench.port, f"/same/{target}").request
    assert bench.put(in_http_chunks(request) if framing == "http-chunks" else request).status == 200
    assert bytes(bench.only(target).body) == request.body


@pytest.mark.parametrize("algorithm", CHECKSUMS)
@pytest.mark.parametrize("mode", TRAILED)
def test_a_held_body_goes_up_plain_with_its_hash_and_its_trailer_as_a_header(bench, target, mode, algorithm):
    upload = small_upload(mode).but(algorithm=algorithm).plus(("x-amz-sdk-checksum-algorithm", algorithm))
    assert bench.put(upload.sign(bench.port, f"/auto/{target}").request).status == 200
    seen = bench.only(target)
    assert bytes(seen.body) == upload.data
    assert seen.header("x-amz-content-sha256") == hashlib.sha256(upload.data).hexdigest()
    assert seen.header(checksum_name(algorithm)) == checksum(algorithm, upload.data)
    assert seen.header("x-amz-sdk-checksum-algorithm") == algorithm
    assert_plain(seen, len(upload.data))


@pytest.mark.parametrize("algorithm", CHECKSUMS)
@pytest.mark.parametrize("mode", TRAILED)
def test_a_longer_body_streams_up_plain_and_unsigned(bench, target, mode, algorithm):
    upload = large_upload(mode).but(algorithm=algorithm).plus(("x-amz-sdk-checksum-algorithm", algorithm))
    assert bench.put(upload.sign(bench.port, f"/auto/{target}").request).status == 200
    seen = bench.only(target)
    assert bytes(seen.body) == upload.data
    assert seen.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    assert seen.header(checksum_name(algorithm)) is None
    assert seen.header("x-amz-sdk-checksum-algorithm") is None
    assert_plain(seen, len(upload.data))


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize("mode", [HEX, HMAC, *TRAILED])
@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_checksum_in_a_header_goes_up_as_it_is(bench, target, algorithm, mode, size):
    upload = UPLOADS[size](mode)
    upload = upload.but(checked=False).plus(checksum_field(algorithm, upload.data))
    assert bench.put(upload.sign(bench.port, f"/auto/{target}").request).status == 200
    assert bench.only(target).header(checksum_name(algorithm)) == checksum(algorithm, upload.data)


def test_a_composite_checksum_of_a_completion_goes_up_as_it_is(bench, target):
    """Whatever it is: only the store knows the parts."""
    body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
    headers = (("x-amz-checksum-crc32", "AAAAAA==-2"), ("x-amz-checksum-type", "COMPOSITE"))
    request = signed(bench.port, "POST", f"/auto/{target}?uploadId=u", body, headers)
    assert bench.put(request).status == 200
    seen = bench.only(target)
    assert (seen.header("x-amz-checksum-crc32"), seen.header("x-amz-checksum-type")) == ("AAAAAA==-2", "COMPOSITE")


def assert_plain(seen: Seen, length: int) -> None:
    """No trace of chunks is left in the head."""
    assert seen.header("content-length") == str(length)
    for name in ("transfer-encoding", "content-encoding", "x-amz-trailer", "x-amz-decoded-content-length"):
        assert seen.header(name) is None


# Wrong


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize("way", ["plain", "same"])
@pytest.mark.parametrize(("mode", "case"), cases(*EVERY), ids=case_id)
def test_a_wrong_body_is_cut_off_and_its_connection_ended(bench, target, mode, case: Wrong, way, size):
    answer = bench.put(case.request(UPLOADS[size](mode), bench.port, f"/{way}/{target}"))
    assert (answer.status, answer.code) == case.answer
    reached = bench.seen(target)
    assert not reached or size == "streamed"
    for seen in reached:
        assert seen.ended.wait(60)
        assert not seen.complete


@pytest.mark.parametrize("mode", SIGNED)
@pytest.mark.parametrize("way", ["plain", "same"])
def test_no_octet_of_a_chunk_wrongly_signed_leaves(bench, target, mode, way):
    payload = large_upload(mode).sign(bench.port, f"/{way}/{target}")
    wrong = payload.with_chunk(2, data=b"!" * len(payload.chunks[2].data))
    assert bench.put(wrong.request).code == "SignatureDoesNotMatch"
    assert all(b"!!!!" not in seen.body for seen in bench.seen(target))


# pyarrow, before rclone


@pytest.mark.parametrize("mode", TRAILED)
def test_what_pyarrow_sends_works_through_the_gateway_and_fails_straight(osp, store: Store, direct, prefix, mode):
    """aws-chunked inside HTTP's chunks, with a trailer and no Content-Length."""
    upload = Upload(mode, b"pyarrow" * 100_000, sizes=(65536,))
    straight = upload.sign(store.port, f"/demo/{prefix}key", store.access_key, store.secret_key)
    assert ask(store.port, in_http_chunks(straight.request).octets).status == 411
    request = in_http_chunks(upload.sign(osp.ports[0], f"/demo/{prefix}key").request)
    assert ask(osp.ports[0], request.octets).status == 200
    assert direct.get_object(Bucket="demo", Key=f"{prefix}key")["Body"].read() == upload.data


# A bearer token


def iam(upstream: Upstream, peer, seen: Seen) -> bool:
    if not peer.read_body(seen):
        return False
    token = {"access_token": "fake-token", "expires_in": 3600, "token_type": "Bearer"}
    peer.send(response(200, json.dumps(token).encode()))
    return True


@pytest.fixture(scope="module")
def bearer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A gateway that has an API key for a store behind TLS."""
    folder = tmp_path_factory.mktemp("bearer")
    own = certificate(folder, "127.0.0.1")
    with recording_upstream(coded, own.server_context()) as upstream, recording_upstream(iam) as service:
        backend = {"host": "127.0.0.1", "port": upstream.port, "is_tls_enabled": True, "apikey": "fake-apikey"}
        with gateway(
            folder,
            payload_config(repr(backend), own, LIMITS),
            options={"ssl_verify_upstream_trusted_ca": str(own.authority)},
            env={"IBM_IAM_URL": f"http://127.0.0.1:{service.port}"},
        ) as running:
            yield Bench(running.ports[0], upstream)


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize("way", ["auto", "plain", "same"])
@pytest.mark.parametrize("mode", CHUNKED)
def test_with_a_bearer_token_there_are_no_chunks_whatever_is_configured(bearer, target, mode, way, size):
    upload = UPLOADS[size](mode)
    assert bearer.put(upload.sign(bearer.port, f"/{way}/{target}").request).status == 200
    seen = bearer.only(target)
    assert bytes(seen.body) == upload.data
    assert seen.header("authorization") == "Bearer fake-token"
    assert_plain(seen, len(upload.data))
