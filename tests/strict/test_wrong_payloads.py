"""Bodies that are not what they say, in every payload mode: AWS's answer, and the store is as it was before.

Nothing new comes into being, what was there stays, and a multipart upload gets no part.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.certificates import certificate
from support.chunked_requests import in_http_chunks
from support.payload_gateways import payload_config
from support.payloads import HMAC, PLAIN, UNSIGNED, Upload
from support.processes import GatewayProcess, gateway
from support.raw import Answer, ask, talk
from support.signing import Raw
from support.strict import Cluster, ceph_backend
from support.wrong_payloads import EVERY, LIMITS, Wrong, case_id, cases, large_upload, small_upload

OLDER = b"an older version"
UPLOADS = {"held": small_upload, "streamed": large_upload}


@dataclass(frozen=True)
class Guarded:
    """A gateway before a bucket that has an object, `older`, and an upload of parts, `parts`, without any."""

    port: int
    store: Any
    bucket: str
    upload_id: str

    def put(self, request: Raw) -> Answer:
        return ask(self.port, request.octets)

    def targets(self, way: str) -> tuple[str, ...]:
        """Where a body that is right would make, replace or add something."""
        part = f"/{way}/parts?partNumber=1&uploadId={self.upload_id}"
        return (f"/{way}/new-{uuid.uuid4().hex}", f"/{way}/older", part)

    def assert_untouched(self, new: str) -> None:
        """As straight from the store."""
        with pytest.raises(ClientError) as missing:
            self.store.head_object(Bucket=self.bucket, Key=new.rpartition("/")[2])
        assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert self.store.get_object(Bucket=self.bucket, Key="older")["Body"].read() == OLDER
        parts = self.store.list_parts(Bucket=self.bucket, Key="parts", UploadId=self.upload_id)
        assert "Parts" not in parts


@pytest.fixture(scope="module")
def wrong_osp(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, str]]:
    """A gateway with small limits before a bucket of its own."""
    folder = tmp_path_factory.mktemp("wrong")
    bucket = f"wrong-{uuid.uuid4().hex[:16]}"
    cluster.s3().create_bucket(Bucket=bucket)
    config = payload_config(ceph_backend(cluster, bucket), certificate(folder, "127.0.0.1"), LIMITS)
    with gateway(folder, config) as running:
        yield running, bucket


@pytest.fixture(scope="module")
def guarded(wrong_osp: tuple[GatewayProcess, str], cluster: Cluster) -> Guarded:
    running, bucket = wrong_osp
    store = cluster.s3()
    store.put_object(Bucket=bucket, Key="older", Body=OLDER)
    upload_id = store.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    return Guarded(running.ports[0], store, bucket, upload_id)


def assert_refused(guarded: Guarded, way: str, case: Wrong, upload: Upload) -> None:
    new, older, part = guarded.targets(way)
    for target in (new, older, part):
        answer = guarded.put(case.request(upload, guarded.port, target))
        assert (answer.status, answer.code) == case.answer, (target, answer.message)
    guarded.assert_untouched(new)


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize(("mode", "case"), cases(*EVERY), ids=case_id)
def test_a_wrong_body_is_refused_and_changes_nothing(guarded, mode, case, size):
    assert_refused(guarded, "auto", case, UPLOADS[size](mode))


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize(("mode", "case"), cases(HMAC), ids=case_id)
def test_a_wrong_body_is_refused_where_its_chunks_are_signed_anew(guarded, mode, case, size):
    assert_refused(guarded, "same", case, UPLOADS[size](mode))


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize(("mode", "case"), cases(UNSIGNED), ids=case_id)
def test_a_wrong_body_is_refused_in_http_chunks_too(guarded, mode, case, size):
    new, _, _ = guarded.targets("auto")
    answer = guarded.put(in_http_chunks(case.request(UPLOADS[size](mode), guarded.port, new)))
    assert (answer.status, answer.code) == case.answer
    guarded.assert_untouched(new)


@pytest.mark.parametrize("way", ["plain", "same"])
@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize("mode", EVERY)
def test_a_client_that_hangs_up_leaves_nothing(guarded, mode, size, way):
    new, older, part = guarded.targets(way)
    for target in (new, older, part):
        request = UPLOADS[size](mode).sign(guarded.port, target).request
        with talk(guarded.port) as connection:
            connection.send(request.head + request.body[:-1])
    guarded.assert_untouched(new)


@pytest.mark.parametrize("size", UPLOADS)
@pytest.mark.parametrize("mode", EVERY)
def test_the_same_bodies_are_accepted_when_nothing_is_wrong_with_them(guarded, mode, size):
    """Or the refusals above would prove nothing."""
    upload = UPLOADS[size](mode)
    for way in ("plain", "same") if mode in (*PLAIN, HMAC) else ("plain",):
        target = f"/{way}/right-{uuid.uuid4().hex}"
        assert guarded.put(upload.sign(guarded.port, target).request).status == 200
        key = target.rpartition("/")[2]
        assert guarded.store.get_object(Bucket=guarded.bucket, Key=key)["Body"].read() == upload.data
        guarded.store.delete_object(Bucket=guarded.bucket, Key=key)
