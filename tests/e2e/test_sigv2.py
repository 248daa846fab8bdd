"""Signature V2 with boto3: refused unless the operator allows it, and as strict as V4 where it is."""

from __future__ import annotations

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from support.processes import CLIENT_KEY, CLIENT_SECRET, config_for, gateway


def v2(front, secret=CLIENT_SECRET):
    """A client that signs with V2, and has secrets that can be wrong."""
    return boto3.client(
        "s3",
        endpoint_url=front.url,
        region_name="us-east-1",
        aws_access_key_id=CLIENT_KEY,
        aws_secret_access_key=secret,
        config=Config(signature_version="s3", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def allowing(store, tmp_path_factory):
    config = config_for(store, extra="allow_sigv2=True, max_presign_url_usage_attempts=2")
    with gateway(tmp_path_factory.mktemp("sigv2"), config) as running:
        yield running


@pytest.fixture
def s3v2(allowing):
    return v2(allowing)


def fetched(url, method="GET", **written):
    return urllib3.request(method, url, retries=False, timeout=60, **written)


def test_objects_are_written_read_and_listed(s3v2, prefix):
    s3v2.put_object(Bucket="demo", Key=f"{prefix}a b+c/ü", Body=b"signed the old way")
    assert s3v2.get_object(Bucket="demo", Key=f"{prefix}a b+c/ü")["Body"].read() == b"signed the old way"
    listed = s3v2.list_objects_v2(Bucket="demo", Prefix=prefix)["Contents"]
    assert [entry["Key"] for entry in listed] == [f"{prefix}a b+c/ü"]


def test_an_upload_in_parts_arrives(s3v2, prefix):
    upload = s3v2.create_multipart_upload(Bucket="demo", Key=f"{prefix}parts")["UploadId"]
    part = s3v2.upload_part(Bucket="demo", Key=f"{prefix}parts", UploadId=upload, PartNumber=1, Body=b"one part")
    s3v2.complete_multipart_upload(
        Bucket="demo",
        Key=f"{prefix}parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert s3v2.get_object(Bucket="demo", Key=f"{prefix}parts")["Body"].read() == b"one part"


def test_a_presigned_url_works_as_often_as_it_may(s3v2, prefix):
    s3v2.put_object(Bucket="demo", Key=f"{prefix}key", Body=b"presigned")
    url = s3v2.generate_presigned_url("get_object", {"Bucket": "demo", "Key": f"{prefix}key"})
    assert "AWSAccessKeyId=" in url
    answers = [fetched(url) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 403]
    assert answers[0].data == b"presigned"


CHANGES = {
    "another key": lambda url: url.replace("key?", "kex?"),
    "a later end": lambda url: url.replace("Expires=", "Expires=1"),
    "another operation": lambda url: url + "&acl",
    "a parameter that nothing signs": lambda url: url + "&attributes",
    "a header in the query": lambda url: url + "&x-amz-acl=public-read",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_presigned_url_that_was_changed_is_refused(s3v2, prefix, change):
    url = s3v2.generate_presigned_url("get_object", {"Bucket": "demo", "Key": f"{prefix}key"})
    assert fetched(CHANGES[change](url)).status in (400, 403)


def test_a_presigned_url_is_for_its_method_only(s3v2, prefix):
    url = s3v2.generate_presigned_url("get_object", {"Bucket": "demo", "Key": f"{prefix}key"})
    assert fetched(url, "DELETE").status == 403


def test_a_wrong_secret_is_refused(allowing):
    with pytest.raises(ClientError) as caught:
        v2(allowing, "wrong-fake-secret").list_objects_v2(Bucket="demo")
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_it_is_refused_where_it_is_not_allowed(osp):
    with pytest.raises(ClientError) as caught:
        v2(osp).list_objects_v2(Bucket="demo")
    assert caught.value.response["Error"]["Code"] == "InvalidRequest"
    url = v2(osp).generate_presigned_url("get_object", {"Bucket": "demo", "Key": "key"})
    answer = fetched(url)
    assert (answer.status, b"Please use AWS4-HMAC-SHA256" in answer.data) == (400, True)
