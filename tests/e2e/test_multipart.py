"""Objects in parts."""

from __future__ import annotations

import hashlib
import random

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from support.recorder import Answer, recorded_gateway

MIB = 1024 * 1024
PARTS_OF_8_MIB = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """A file of 64 MiB and its SHA-256."""
    file = tmp_path_factory.mktemp("large") / "file"
    digest = hashlib.sha256()
    source = random.Random(64)
    with file.open("wb") as target:
        for _ in range(64):
            piece = source.randbytes(MIB)
            digest.update(piece)
            target.write(piece)
    return file, digest.hexdigest()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded")) as running:
        yield running


def sha256_of(body):
    digest = hashlib.sha256()
    for piece in body.iter_chunks(MIB):
        digest.update(piece)
    return digest.hexdigest()


def test_64_mib_are_uploaded_in_parts(s3, direct, prefix, large_file):
    file, digest = large_file
    s3.upload_file(str(file), "demo", f"{prefix}large", Config=PARTS_OF_8_MIB)
    stored = direct.get_object(Bucket="demo", Key=f"{prefix}large")
    assert stored["ContentLength"] == 64 * MIB
    assert sha256_of(stored["Body"]) == digest
    direct.delete_object(Bucket="demo", Key=f"{prefix}large")


def test_64_mib_are_downloaded_in_ranges(s3, direct, prefix, large_file, tmp_path):
    file, digest = large_file
    direct.upload_file(str(file), "demo", f"{prefix}large", Config=PARTS_OF_8_MIB)
    s3.download_file("demo", f"{prefix}large", str(tmp_path / "back"), Config=PARTS_OF_8_MIB)
    with (tmp_path / "back").open("rb") as back:
        assert hashlib.file_digest(back, "sha256").hexdigest() == digest
    direct.delete_object(Bucket="demo", Key=f"{prefix}large")


def test_64_mib_are_uploaded_and_downloaded_in_one_piece(s3, prefix, large_file):
    file, digest = large_file
    with file.open("rb") as body:
        s3.put_object(Bucket="demo", Key=f"{prefix}large", Body=body)
    assert sha256_of(s3.get_object(Bucket="demo", Key=f"{prefix}large")["Body"]) == digest
    s3.delete_object(Bucket="demo", Key=f"{prefix}large")


def test_parts_are_put_together_in_the_order_of_their_numbers(s3, direct, prefix):
    upload = {"Bucket": "demo", "Key": f"{prefix}parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    bodies = {1: bytes(5 * MIB), 2: b"\x01" * (5 * MIB), 3: b"the end"}
    tags = {number: s3.upload_part(**upload, PartNumber=number, Body=bodies[number])["ETag"] for number in (3, 1, 2)}
    listed = s3.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 5 * MIB), (2, 5 * MIB), (3, 7)]
    parts = [{"PartNumber": number, "ETag": tags[number]} for number in (1, 2, 3)]
    answer = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert (answer["Bucket"], answer["Key"]) == ("demo", f"{prefix}parts")
    assert direct.get_object(Bucket="demo", Key=f"{prefix}parts")["Body"].read() == b"".join(bodies.values())


def test_an_upload_under_way_is_listed(s3, prefix):
    upload = {"Bucket": "demo", "Key": f"{prefix}under way"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    listed = s3.list_multipart_uploads(Bucket="demo", Prefix=prefix)["Uploads"]
    assert [(found["Key"], found["UploadId"]) for found in listed] == [(upload["Key"], upload["UploadId"])]
    s3.abort_multipart_upload(**upload)


def test_an_aborted_upload_leaves_nothing_behind(s3, direct, prefix):
    upload = {"Bucket": "demo", "Key": f"{prefix}aborted"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    s3.upload_part(**upload, PartNumber=1, Body=b"x")
    assert s3.abort_multipart_upload(**upload)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.list_parts(**upload)
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")


def test_a_part_of_an_unknown_upload_is_the_stores_error(s3, prefix):
    with pytest.raises(ClientError, match="NoSuchUpload"):
        s3.upload_part(Bucket="demo", Key=f"{prefix}x", UploadId="unknown", PartNumber=1, Body=b"x")


@pytest.mark.parametrize(
    "operation",
    [
        lambda s3, upload: s3.create_multipart_upload(**upload),
        lambda s3, upload: s3.upload_part(**upload, UploadId="any", PartNumber=1, Body=b"x"),
        lambda s3, upload: s3.complete_multipart_upload(**upload, UploadId="any"),
        lambda s3, upload: s3.abort_multipart_upload(**upload, UploadId="any"),
        lambda s3, upload: s3.list_parts(**upload, UploadId="any"),
    ],
    ids=["create", "upload-part", "complete", "abort", "list-parts"],
)
def test_no_step_of_an_upload_gets_by_the_validator(s3, operation):
    with pytest.raises(ClientError, match="AccessDenied"):
        operation(s3, {"Bucket": "demo", "Key": "denied/parts"})


COMPLETED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<CompleteMultipartUploadResult>'
    "<Location>http://backend.example/{0}/k</Location><Bucket>{0}</Bucket><Key>k</Key><ETag>&quot;0&quot;</ETag>"
    "</CompleteMultipartUploadResult>"
)


@pytest.mark.parametrize(
    ("bucket", "backend_bucket"),
    [("demo", "demo"), ("virtual", "virtual"), ("renamed", "backend-name"), ("renamed-virtual", "backend-name")],
)
def test_the_location_of_a_completed_upload_is_the_gateways(recorded, bucket, backend_bucket):
    document = COMPLETED.format(backend_bucket).encode()
    recorded.recorder.answer = Answer(200, (("Content-Type", "application/xml"),), document)
    parts = {"Parts": [{"PartNumber": 1, "ETag": "0"}]}
    answer = recorded.s3.complete_multipart_upload(Bucket=bucket, Key="a b/k", UploadId="u", MultipartUpload=parts)
    assert (answer["Location"], answer["Bucket"]) == (f"{recorded.url}/{bucket}/a%20b/k", bucket)
