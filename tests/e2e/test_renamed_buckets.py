"""Buckets that have another name on the backend: clients never see it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from support.raw_s3 import send_signed
from support.recorder import Answer, recorded_gateway

XML = (("Content-Type", "application/xml"),)


@pytest.fixture(scope="module")
def recorded_module(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded")) as running:
        yield running


@pytest.fixture
def recorded(recorded_module):
    recorded_module.recorder.clear()
    return recorded_module


def test_what_is_written_to_a_renamed_bucket_is_in_the_backends_bucket(s3, direct, prefix):
    s3.put_object(Bucket="renamed", Key=f"{prefix}x", Body=b"x")
    assert direct.get_object(Bucket="backend-name", Key=f"{prefix}x")["Body"].read() == b"x"


def test_what_is_in_the_backends_bucket_is_read_from_the_renamed_one(s3, direct, prefix):
    direct.put_object(Bucket="backend-name", Key=f"{prefix}x", Body=b"x")
    assert s3.get_object(Bucket="renamed", Key=f"{prefix}x")["Body"].read() == b"x"
    assert s3.head_object(Bucket="renamed", Key=f"{prefix}x")["ContentLength"] == 1


@pytest.mark.parametrize("version", ["list_objects_v2", "list_objects"])
def test_a_listing_names_the_clients_bucket(s3, direct, prefix, version):
    direct.put_object(Bucket="backend-name", Key=f"{prefix}x", Body=b"x")
    page = getattr(s3, version)(Bucket="renamed", Prefix=prefix)
    assert page["Name"] == "renamed"
    assert [entry["Key"] for entry in page["Contents"]] == [f"{prefix}x"]


def test_a_listing_of_many_pages_keeps_every_key(s3, direct, prefix):
    """Keys named like the backend's bucket are no bucket names, and stay."""
    keys = sorted(f"{prefix}backend-name/{number}/backend-name" for number in range(25))
    for key in keys:
        direct.put_object(Bucket="backend-name", Key=key, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="renamed", Prefix=prefix, PaginationConfig={"PageSize": 10}
    )
    pages = list(pages)
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    assert {page["Name"] for page in pages} == {"renamed"}


def test_an_upload_in_parts_names_the_clients_bucket_throughout(s3, direct, prefix):
    upload = {"Bucket": "renamed", "Key": f"{prefix}x"}
    created = s3.create_multipart_upload(**upload)
    upload["UploadId"] = created["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"a part")
    listed = s3.list_parts(**upload)
    under_way = s3.list_multipart_uploads(Bucket="renamed", Prefix=prefix)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    completed = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert [answer["Bucket"] for answer in (created, listed, under_way, completed)] == ["renamed"] * 4
    assert direct.get_object(Bucket="backend-name", Key=f"{prefix}x")["Body"].read() == b"a part"


def test_several_objects_are_deleted_from_the_backends_bucket(s3, direct, prefix):
    for name in "ab":
        direct.put_object(Bucket="backend-name", Key=prefix + name, Body=b"x")
    s3.delete_objects(Bucket="renamed", Delete={"Objects": [{"Key": prefix + name} for name in "ab"]})
    assert not direct.list_objects_v2(Bucket="backend-name", Prefix=prefix).get("Contents")


def test_the_backends_name_is_no_name_for_clients(s3):
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="backend-name")


@pytest.mark.parametrize("bucket", ["renamed", "renamed-virtual"])
@pytest.mark.parametrize("element", ["Bucket", "BucketName", "Name"])
def test_an_element_that_names_the_bucket_is_mapped(recorded, bucket, element):
    document = f"<Result><{element}>backend-name</{element}><Key>backend-name</Key></Result>"
    recorded.recorder.answer = Answer(200, XML, document.encode())
    answer = send_signed("GET", recorded.url, f"/{bucket}?uploads")
    expected = f"<Result><{element}>{bucket}</{element}><Key>backend-name</Key></Result>"
    assert answer.body == expected.encode()


def test_an_error_names_the_clients_bucket(recorded):
    document = (
        b"<Error><Code>NoSuchBucket</Code><BucketName>backend-name</BucketName>"
        b"<Resource>/backend-name/a%20b</Resource></Error>"
    )
    recorded.recorder.answer = Answer(404, XML, document)
    with pytest.raises(ClientError) as caught:
        recorded.s3.get_object(Bucket="renamed", Key="a b")
    error = caught.value.response["Error"]
    assert (error["Code"], error["BucketName"], error["Resource"]) == ("NoSuchBucket", "renamed", "/renamed/a%20b")


def test_another_buckets_name_is_not_mapped(recorded):
    recorded.recorder.answer = Answer(200, XML, b"<Result><Name>backend-name-2</Name></Result>")
    assert send_signed("GET", recorded.url, "/renamed?uploads").body == b"<Result><Name>backend-name-2</Name></Result>"


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml", "text/plain"])
@pytest.mark.parametrize("status", [200, 206])
def test_an_objects_content_is_never_touched(recorded, content_type, status):
    content = (
        b"<ListBucketResult><Name>backend-name</Name><Location>http://x/backend-name</Location></ListBucketResult>"
    )
    recorded.recorder.answer = Answer(status, (("Content-Type", content_type),), content)
    answer = send_signed("GET", recorded.url, "/renamed/feed.xml")
    assert (answer.status, answer.body) == (status, content)
    assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("bucket", ["demo", "renamed"])
@pytest.mark.parametrize(
    "location", ["/{}", "http://{}.backend.example/", "http://backend.example/{}"], ids=["path", "host", "url"]
)
def test_the_location_of_a_new_bucket_is_the_clients(recorded, bucket, location):
    there = "demo" if bucket == "demo" else "backend-name"
    recorded.recorder.answer = Answer(200, (("Location", location.format(there)),))
    found = recorded.s3.create_bucket(Bucket=bucket)["Location"]
    assert found in (f"/{bucket}", f"{recorded.url}/{bucket}")


def test_the_location_of_a_new_upload_is_under_the_host_that_the_client_asked(recorded):
    document = b"<R><Location>http://backend-name.s3.localhost/k</Location><Bucket>backend-name</Bucket></R>"
    recorded.recorder.answer = Answer(200, XML, document)
    host = "renamed-virtual.osp.localhost:6190"
    answer = send_signed("POST", recorded.url, "/k?uploadId=u", host=host)
    assert answer.body == b"<R><Location>http://%b/k</Location><Bucket>renamed-virtual</Bucket></R>" % host.encode()


def test_a_large_document_is_mapped_while_it_streams(recorded):
    entries = b"".join(b"<Contents><Key>%d/backend-name</Key></Contents>" % number for number in range(40_000))
    document = b"<R><Name>backend-name</Name>" + entries + b"<Bucket>backend-name</Bucket></R>"
    recorded.recorder.answer = Answer(200, XML, document)
    answer = send_signed("GET", recorded.url, "/renamed?list-type=2")
    assert answer.body == b"<R><Name>renamed</Name>" + entries + b"<Bucket>renamed</Bucket></R>"


def test_a_head_of_a_renamed_bucket_keeps_its_headers(recorded):
    recorded.recorder.answer = Answer(200, (("Content-Type", "application/xml"), ("Content-Length", "1234")))
    answer = send_signed("HEAD", recorded.url, "/renamed/feed.xml")
    assert (answer.status, answer.headers["content-length"]) == (200, "1234")


@pytest.mark.parametrize("operation", ["acl", "tagging", "policy", "lifecycle", "versioning", "cors"])
def test_a_subresource_of_a_renamed_bucket_is_asked_of_the_backends_bucket(recorded, operation):
    recorded.recorder.answer = Answer(200, XML, b"<R/>")
    assert send_signed("GET", recorded.url, f"/renamed?{operation}").status == 200
    assert recorded.recorder.only.target == f"/backend-name?{operation}"
    assert recorded.recorder.only.is_signed_by()
