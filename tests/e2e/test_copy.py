"""Copies: the source is read with the reader's rights and found under the store's name of its bucket."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from support.processes import config_for, gateway
from support.raw_s3 import presigned_target, send, send_signed
from support.recorder import Answer, Recorder, recorded_gateway
from support.s3 import client

COPIED = Answer(
    200,
    (("Content-Type", "application/xml"),),
    b"<CopyObjectResult><ETag>&quot;0&quot;</ETag><LastModified>2026-01-31T12:00:00.000Z</LastModified></CopyObjectResult>",
)
DENY_READS_OF_SECRET = """
def validator(token, bucket, request):
    if request.key.startswith("write-only/") and request.operation != "PutObject":
        return False
    return not (request.key.startswith("secret/") and request.operation != "ListObjectsV2")
"""


@pytest.fixture(scope="module")
def recorded_module(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded"), DENY_READS_OF_SECRET) as running:
        yield running


@pytest.fixture
def recorded(recorded_module):
    recorded_module.recorder.clear()
    recorded_module.recorder.answer = COPIED
    return recorded_module


@pytest.mark.parametrize(
    ("source", "target", "source_there", "target_there"),
    [
        ("demo", "demo", "demo", "demo"),
        ("demo", "renamed", "demo", "backend-name"),
        ("renamed", "demo", "backend-name", "demo"),
        ("renamed", "renamed", "backend-name", "backend-name"),
    ],
)
def test_an_object_is_copied_between_buckets(s3, direct, prefix, source, target, source_there, target_there):
    direct.put_object(Bucket=source_there, Key=f"{prefix}from", Body=b"copied", Metadata={"color": "blue"})
    answer = s3.copy_object(Bucket=target, Key=f"{prefix}to", CopySource={"Bucket": source, "Key": f"{prefix}from"})
    assert answer["CopyObjectResult"]["ETag"]
    copy = direct.get_object(Bucket=target_there, Key=f"{prefix}to")
    assert (copy["Body"].read(), copy["Metadata"]["Color"]) == (b"copied", "blue")


@pytest.mark.parametrize("key", ["a b", "a+b", "a%20b", "50% off", "ü/漢字", "😀", "&=?#;:@!$'()*,", '"<&>"'])
def test_a_source_of_any_name_is_copied(s3, direct, prefix, key):
    direct.put_object(Bucket="backend-name", Key=prefix + key, Body=key.encode())
    s3.copy_object(Bucket="demo", Key=f"{prefix}to", CopySource={"Bucket": "renamed", "Key": prefix + key})
    assert direct.get_object(Bucket="demo", Key=f"{prefix}to")["Body"].read() == key.encode()


def test_metadata_is_replaced_by_a_copy_onto_itself(s3, direct, prefix):
    s3.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x", Metadata={"color": "blue"})
    s3.copy_object(
        Bucket="demo",
        Key=f"{prefix}x",
        CopySource={"Bucket": "demo", "Key": f"{prefix}x"},
        Metadata={"color": "red"},
        MetadataDirective="REPLACE",
    )
    found = direct.get_object(Bucket="demo", Key=f"{prefix}x")
    assert (found["Body"].read(), found["Metadata"]["Color"]) == (b"x", "red")


def test_a_missing_source_is_the_stores_error(s3, prefix):
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.copy_object(Bucket="demo", Key=f"{prefix}to", CopySource=f"demo/{prefix}nothing")


def test_a_source_that_may_not_be_read_is_not_copied(s3, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"denied/{prefix}x", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.copy_object(Bucket="demo", Key=f"{prefix}to", CopySource=f"demo/denied/{prefix}x")
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")


@pytest.mark.parametrize(
    "source",
    [
        "demo/secret/x",
        "/demo/secret/x",
        "demo/%73ecret/x",
        "demo/secret%2Fx",
        "%64emo/secret/x",
        "demo%2Fsecret/x",
        "%2Fdemo/secret/x",
        "demo/secret/x?versionId=1",
        "renamed/secret/x",
    ],
)
def test_no_spelling_of_a_source_gets_by_the_validator(recorded, source):
    answer = send_signed("PUT", recorded.url, "/demo/to", {"x-amz-copy-source": source})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert not recorded.recorder.requests


def test_the_right_to_write_a_key_is_not_the_right_to_copy_from_it(recorded):
    recorded.s3.put_object(Bucket="demo", Key="write-only/x", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        recorded.s3.copy_object(Bucket="demo", Key="to", CopySource="demo/write-only/x")


@pytest.mark.parametrize(
    ("source", "forwarded"),
    [
        ("demo/key", "demo/key"),
        ("/demo/key", "demo/key"),
        ("renamed/a b/ü", "backend-name/a%20b/%C3%BC"),
        ("renamed/a%20b%2B", "backend-name/a%20b%2B"),
        ("renamed/a+b", "backend-name/a%2Bb"),
        ("renamed/key?versionId=a-B.1", "backend-name/key?versionId=a-B.1"),
        ("demo/a//b/", "demo/a//b/"),
        ("demo//leading", "demo//leading"),
    ],
)
def test_the_source_is_given_in_the_stores_terms(recorded, source, forwarded):
    answer = send_signed("PUT", recorded.url, "/demo/to", {"x-amz-copy-source": source})
    assert answer.status == 200, answer.body
    assert recorded.recorder.only["x-amz-copy-source"] == forwarded
    assert recorded.recorder.only.is_signed_by()


@pytest.mark.parametrize(
    "source", ["", "demo", "demo/", "/", "/demo", "demo/%ff", "demo/%zz", "demo/k?acl", "demo/k?versionId=1&x=1"]
)
def test_a_source_that_is_none_is_refused(recorded, source):
    answer = send_signed("PUT", recorded.url, "/demo/to", {"x-amz-copy-source": source})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert not recorded.recorder.requests


@pytest.mark.parametrize("source", ["unknown/key", "backend-name/key"])
def test_a_source_in_a_bucket_that_is_not_configured_does_not_exist(recorded, source):
    answer = send_signed("PUT", recorded.url, "/demo/to", {"x-amz-copy-source": source})
    assert (answer.status, answer.code) == (404, "NoSuchBucket")
    assert not recorded.recorder.requests


@pytest.mark.parametrize(
    "key", ["../other/secret", "a/../../other/secret", "./secret/x", "%2e%2e/other/secret", "a/.."]
)
@pytest.mark.parametrize("bucket", ["demo", "renamed"])
def test_a_source_does_not_climb_out_of_its_bucket(recorded, bucket, key):
    """As in a path: a store that resolves dot segments would read what was not authorized."""
    answer = send_signed("PUT", recorded.url, "/demo/to", {"x-amz-copy-source": f"{bucket}/{key}"})
    assert answer.status == 400, recorded.recorder.only["x-amz-copy-source"]
    assert not recorded.recorder.requests


@pytest.mark.parametrize("source", ["demo/..", "demo/../renamed/x"])
def test_the_store_is_not_asked_to_climb_either(osp, prefix, source):
    answer = send_signed("PUT", osp.url, f"/demo/{prefix}to", {"x-amz-copy-source": source})
    assert answer.status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
def test_a_copy_source_on_anything_but_a_put_is_refused(recorded, method):
    answer = send_signed(method, recorded.url, "/demo/to", {"x-amz-copy-source": "demo/key"})
    assert answer.status in (400, 405)
    assert not recorded.recorder.requests


def test_a_part_is_copied_from_a_renamed_bucket(recorded):
    recorded.s3.upload_part_copy(
        Bucket="demo", Key="to", UploadId="u", PartNumber=2, CopySource="renamed/a b", CopySourceRange="bytes=0-9"
    )
    request = recorded.recorder.only
    assert (request.path, request.query) == ("/demo/to", ["partNumber=2", "uploadId=u"])
    assert request["x-amz-copy-source"] == "backend-name/a%20b"
    assert request["x-amz-copy-source-range"] == "bytes=0-9"
    assert request.is_signed_by()


def test_a_copied_part_does_not_get_by_the_validator(recorded):
    with pytest.raises(ClientError, match="AccessDenied"):
        recorded.s3.upload_part_copy(Bucket="demo", Key="to", UploadId="u", PartNumber=2, CopySource="demo/secret/x")
    assert not recorded.recorder.requests


@pytest.mark.parametrize("name", ["x-amz-copy-source", "X-Amz-Copy-Source"])
def test_a_source_hoisted_into_a_presigned_url_is_mapped(recorded, name):
    target = presigned_target("PUT", recorded.url, f"/demo/to?{name}=renamed%2Fkey")
    answer = send("PUT", recorded.url, target)
    assert answer.status == 200, answer.body
    assert recorded.recorder.only.target == "/demo/to"
    assert recorded.recorder.only["x-amz-copy-source"] == "backend-name/key"


@pytest.mark.parametrize("name", ["x-amz-copy-source", "X-Amz-Copy-Source", "X-AMZ-COPY-SOURCE"])
def test_a_source_hoisted_into_a_presigned_url_does_not_get_by_the_validator(recorded, name):
    target = presigned_target("PUT", recorded.url, f"/demo/to?{name}=demo%2Fsecret%2Fx")
    answer = send("PUT", recorded.url, target)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert not recorded.recorder.requests


def test_a_source_both_hoisted_and_sent_is_refused(recorded):
    sent = {"x-amz-copy-source": "demo/secret/x"}
    target = presigned_target("PUT", recorded.url, "/demo/to?x-amz-copy-source=demo%2Fkey", sent)
    answer = send("PUT", recorded.url, target, {"Host": recorded.url.removeprefix("http://"), **sent})
    assert answer.status in (400, 403)
    assert not recorded.recorder.requests


@pytest.fixture(scope="module")
def two_stores(store, tmp_path_factory):
    """A gateway with `demo` on rclone and `elsewhere` on another server."""
    with Recorder().running() as other:
        extra = f"'elsewhere': {{**STORE, 'port': {other.port}}}"
        with gateway(tmp_path_factory.mktemp("two"), config_for(store, extra_buckets=extra)) as running:
            yield other, client(running.url)


@pytest.mark.parametrize(("source", "target"), [("demo", "elsewhere"), ("elsewhere", "demo")])
def test_a_copy_between_two_stores_is_refused_in_clear_words(two_stores, direct, prefix, source, target):
    other, s3 = two_stores
    direct.put_object(Bucket="demo", Key=f"{prefix}from", Body=b"x")
    with pytest.raises(ClientError, match="another backend") as caught:
        s3.copy_object(Bucket=target, Key=f"{prefix}to", CopySource=f"{source}/{prefix}from")
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert not other.requests
