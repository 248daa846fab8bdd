"""SigV4A through mitmdump: plain, presigned and chunked requests to rclone, and chunks that are signed anew."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.chunked_requests import in_http_chunks
from support.payloads import CHECKSUMS, HMAC, Upload
from support.processes import GatewayProcess, Store, config_for, gateway
from support.raw import ask
from support.signing import Raw, signed
from support.sigv4a_client import ECDSA, ECDSA_TRAILER, AsymmetricChain, sign_upload, signed_asymmetric
from support.upstream import Upstream, recording_upstream
from support.wrong_payloads import flipped

SMALL = b"a body that is held whole"
LARGE = bytes(range(251)) * 5000
BODIES = {"small": SMALL, "large": LARGE}
MODES = (ECDSA, ECDSA_TRAILER)
BACKEND = ("recorder-fake-key", "recorder-fake-secret")


@pytest.fixture(scope="module")
def recorder() -> Iterator[Upstream]:
    with recording_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def asymmetric(store: Store, recorder: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Bucket `demo` on rclone, `same` on a server that gets chunks as they are."""
    same = {
        "host": "127.0.0.1",
        "port": recorder.port,
        "is_tls_enabled": False,
        "access_key": BACKEND[0],
        "secret_key": BACKEND[1],
        "payload": "same",
    }
    with gateway(tmp_path_factory.mktemp("sigv4a"), config_for(store, extra_buckets=f"'same': {same!r}")) as running:
        yield running


@pytest.fixture
def port(asymmetric: GatewayProcess) -> int:
    return asymmetric.ports[0]


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Stored:
    """What the store has."""

    direct: Any

    def body(self, key: str) -> bytes:
        found: bytes = self.direct.get_object(Bucket="demo", Key=key)["Body"].read()
        return found

    def assert_missing(self, key: str) -> None:
        with pytest.raises(ClientError) as missing:
            self.direct.head_object(Bucket="demo", Key=key)
        assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.fixture
def stored(direct: Any) -> Stored:
    return Stored(direct)


@pytest.mark.parametrize("regions", ["*", "us-east-1", "us-east-1,eu-*"])
@pytest.mark.parametrize("size", BODIES)
def test_a_signed_request_is_accepted_and_signed_anew(port, stored, key, size, regions):
    put = signed_asymmetric(port, "PUT", f"/demo/{key}", BODIES[size], regions=regions)
    assert ask(port, put.octets).status == 200
    assert stored.body(key) == BODIES[size]
    get = ask(port, signed_asymmetric(port, "GET", f"/demo/{key}", regions=regions).octets)
    assert (get.status, get.body) == (200, BODIES[size])


def test_a_presigned_request_is_accepted(port, stored, key):
    put = signed_asymmetric(port, "PUT", f"/demo/{key}", SMALL, expires=600)
    assert ask(port, put.octets).status == 200
    assert stored.body(key) == SMALL
    get = ask(port, signed_asymmetric(port, "GET", f"/demo/{key}", expires=600).octets)
    assert (get.status, get.body) == (200, SMALL)


@pytest.mark.parametrize("expires", [None, 600])
def test_another_target_than_the_signed_one_is_refused(port, stored, key, expires):
    request = signed_asymmetric(port, "PUT", f"/demo/{key}", SMALL, expires=expires)
    moved = request.but(target=request.target.replace(key, f"{key}x"))
    answer = ask(port, moved.octets)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    stored.assert_missing(f"{key}x")


@pytest.mark.parametrize("expires", [None, 600])
def test_another_secret_is_refused(port, stored, key, expires):
    request = signed_asymmetric(port, "PUT", f"/demo/{key}", SMALL, secret="fake-wrong-secret", expires=expires)
    assert ask(port, request.octets).code == "SignatureDoesNotMatch"
    stored.assert_missing(key)


def test_another_body_is_refused(port, stored, key):
    request = signed_asymmetric(port, "PUT", f"/demo/{key}", SMALL)
    assert ask(port, request.but(body=SMALL[:-1] + b"!").octets).code == "XAmzContentSHA256Mismatch"
    stored.assert_missing(key)


@pytest.mark.parametrize("http_chunks", [False, True], ids=["content-length", "http-chunks"])
@pytest.mark.parametrize("size", [*BODIES, "empty"])
@pytest.mark.parametrize("mode", MODES)
def test_signed_chunks_are_decoded(port, stored, key, mode, size, http_chunks):
    data = BODIES.get(size, b"")
    request = sign_upload(Upload(mode, data, sizes=(65536,)), port, f"/demo/{key}").request
    answer = ask(port, (in_http_chunks(request) if http_chunks else request).octets)
    assert answer.status == 200, answer.body
    assert stored.body(key) == data


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_every_checksum_in_the_trailer(port, stored, key, algorithm):
    upload = Upload(ECDSA_TRAILER, LARGE, sizes=(65536,), algorithm=algorithm)
    assert ask(port, sign_upload(upload, port, f"/demo/{key}").request.octets).status == 200
    assert stored.body(key) == LARGE


@pytest.mark.parametrize("mode", MODES)
def test_the_same_mode_is_the_same_chunks_under_the_backends_key_pair(port, recorder, key, mode):
    upload = Upload(mode, LARGE, sizes=(65536,))
    request = sign_upload(upload, port, f"/same/{key}").request
    assert ask(port, request.octets).status == 200
    seen = recorder.wait_for_request(key)
    assert seen.ended.wait(60)
    assert seen.complete
    assert seen.header("x-amz-content-sha256") == mode
    assert seen.header("x-amz-region-set")
    assert len(seen.body) == len(request.body)
    head = Raw(seen.method, seen.target, tuple(seen.headers))
    assert verified_data(bytes(seen.body), AsymmetricChain(head, *BACKEND)) == LARGE


WRONG = {
    "first chunk's signature": lambda p: p.with_chunk(0, signature=with_another_digit(p.chunks[0].signature)),
    "middle chunk's signature": lambda p: p.with_chunk(2, signature=with_another_digit(p.chunks[2].signature)),
    "zero chunk's signature": lambda p: p.with_chunk(-1, signature=with_another_digit(p.chunks[-1].signature)),
    "signature of another chunk": lambda p: p.with_chunk(1, signature=p.chunks[0].signature),
    "middle chunk's data": lambda p: p.with_chunk(2, data=b"!" * len(p.chunks[2].data)),
    "chunks exchanged": lambda p: p.but(chunks=(p.chunks[1], p.chunks[0], *p.chunks[2:])),
    "chunk replayed": lambda p: p.but(chunks=(p.chunks[0], p.chunks[0], *p.chunks[2:])),
}


def with_another_digit(signature: str) -> str:
    """Changed in its last octet, which belongs to a number and not to its DER."""
    digits = signature.rstrip("*")
    return flipped(digits).ljust(len(signature), "*")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("mode", MODES)
def test_a_chunk_that_is_not_what_was_signed_is_refused(port, stored, key, mode, wrong):
    payload = sign_upload(Upload(mode, LARGE, sizes=(65536,)), port, f"/demo/{key}")
    answer = ask(port, WRONG[wrong](payload).request.octets)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    stored.assert_missing(key)


def test_a_trailer_that_is_not_what_was_signed_is_refused(port, stored, key):
    payload = sign_upload(Upload(ECDSA_TRAILER, SMALL), port, f"/demo/{key}")
    answer = ask(port, payload.but(trailers=(("x-amz-checksum-crc32", "AAAAAA=="),)).request.octets)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    stored.assert_missing(key)


def test_a_wrong_checksum_that_was_signed_is_a_bad_digest(port, stored, key):
    upload = Upload(ECDSA_TRAILER, SMALL, trailers=(("x-amz-checksum-crc32", "AAAAAA=="),))
    answer = ask(port, sign_upload(upload, port, f"/demo/{key}").request.octets)
    assert (answer.status, answer.code) == (400, "BadDigest")
    stored.assert_missing(key)


@pytest.mark.parametrize("mode", MODES)
def test_chunks_of_another_key_pair_are_refused(port, stored, key, mode):
    payload = sign_upload(Upload(mode, SMALL), port, f"/demo/{key}", secret="fake-wrong-secret")
    assert ask(port, payload.request.octets).code == "SignatureDoesNotMatch"
    stored.assert_missing(key)


@pytest.mark.parametrize(("mode", "sign"), [(ECDSA, signed), (ECDSA_TRAILER, signed), (HMAC, signed_asymmetric)])
def test_head_and_chunks_are_signed_in_the_same_way(port, stored, key, mode, sign):
    announcement = Upload(mode, SMALL).announcement()
    request = sign(port, "PUT", f"/demo/{key}", headers=announcement, payload_hash=mode)
    answer = ask(port, request.octets)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    stored.assert_missing(key)


def verified_data(body: bytes, chain: AsymmetricChain) -> bytes:
    """The data of a body, each signature checked."""
    data = b""
    while True:
        head, _, rest = body.partition(b"\r\n")
        found = re.fullmatch(rb"([0-9a-f]+);chunk-signature=([0-9a-f*]+)", head)
        assert found is not None
        size = int(found[1], 16)
        chain.check(chain.chunk_text(rest[:size]), found[2].decode())
        if not size:
            break
        data, body = data + rest[:size], rest[size + 2 :]
    if rest != b"\r\n":
        trailer, signature = re.fullmatch(rb"(.*)\r\nx-amz-trailer-signature:([0-9a-f*]+)\r\n\r\n", rest).groups()  # type: ignore[union-attr]
        chain.check(chain.trailer_text(trailer + b"\n"), signature.decode())
    return data
