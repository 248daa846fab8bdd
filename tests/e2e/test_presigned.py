"""Presigned URLs, used by clients that have no keys."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from support.raw_s3 import presigned_target, send
from support.recorder import recorded_gateway
from support.s3 import client


@pytest.fixture(scope="module")
def recorded_module(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded")) as running:
        yield running


@pytest.fixture
def recorded(recorded_module):
    recorded_module.recorder.clear()
    return recorded_module


def presign(url, operation, **parameters):
    """The request target of a URL presigned by boto3."""
    presigner = client(url, signature_version="s3v4")
    return presigner.generate_presigned_url(operation, Params=parameters).removeprefix(url)


def host_of(url):
    return url.removeprefix("http://")


@pytest.mark.parametrize("key", ["plain", "a b+c%20d", "ü/漢字", "&=?#;:@!$'()*,"])
def test_a_presigned_get_reads_the_object(osp, direct, prefix, key):
    direct.put_object(Bucket="demo", Key=prefix + key, Body=key.encode())
    answer = send("GET", osp.url, presign(osp.url, "get_object", Bucket="demo", Key=prefix + key))
    assert (answer.status, answer.body) == (200, key.encode())


def test_a_presigned_url_works_again_and_again(osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    target = presign(osp.url, "get_object", Bucket="demo", Key=f"{prefix}x")
    assert [send("GET", osp.url, target).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_a_presigned_put_writes_the_object(osp, direct, prefix, size):
    target = presign(osp.url, "put_object", Bucket="demo", Key=f"{prefix}x")
    answer = send("PUT", osp.url, target, body=bytes(size))
    assert answer.status == 200, answer.body
    assert direct.get_object(Bucket="demo", Key=f"{prefix}x")["Body"].read() == bytes(size)


def test_a_presigned_head_describes_the_object(osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"12345", ContentType="text/x-thing")
    answer = send("HEAD", osp.url, presign(osp.url, "head_object", Bucket="demo", Key=f"{prefix}x"))
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "5", b"")
    assert answer.headers["content-type"] == "text/x-thing"


def test_a_presigned_delete_removes_the_object(osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    answer = send("DELETE", osp.url, presign(osp.url, "delete_object", Bucket="demo", Key=f"{prefix}x"))
    assert answer.status == 204
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")


def test_a_presigned_listing_lists(osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    answer = send("GET", osp.url, presign(osp.url, "list_objects_v2", Bucket="demo", Prefix=prefix))
    assert f"<Key>{prefix}x</Key>".encode() in answer.body


def test_a_presigned_url_of_a_renamed_bucket_reads_from_the_backends_bucket(osp, direct, prefix):
    direct.put_object(Bucket="backend-name", Key=f"{prefix}x", Body=b"x")
    assert send("GET", osp.url, presign(osp.url, "get_object", Bucket="renamed", Key=f"{prefix}x")).body == b"x"


OVERRIDES = {
    "ResponseContentType": ("text/x-override; charset=utf-8", "content-type"),
    "ResponseContentDisposition": ('attachment; filename="a b+c.txt"', "content-disposition"),
    "ResponseContentEncoding": ("x-override", "content-encoding"),
    "ResponseContentLanguage": ("de, en", "content-language"),
    "ResponseCacheControl": ("no-store", "cache-control"),
}


@pytest.mark.parametrize("parameter", OVERRIDES)
def test_a_presigned_url_may_override_a_header_of_the_response(osp, direct, prefix, parameter):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    value, header = OVERRIDES[parameter]
    target = presign(osp.url, "get_object", Bucket="demo", Key=f"{prefix}x", **{parameter: value})
    answer = send("GET", osp.url, target)
    assert (answer.status, answer.headers[header]) == (200, value)


def test_an_override_cannot_be_added_afterwards(osp, prefix):
    target = presign(osp.url, "get_object", Bucket="demo", Key=f"{prefix}x")
    answer = send("GET", osp.url, f"{target}&response-content-type=text%2Fhtml")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_a_presigned_content_type_is_what_the_upload_gets(osp, direct, prefix):
    target = presign(osp.url, "put_object", Bucket="demo", Key=f"{prefix}x", ContentType="text/x-thing")
    answer = send("PUT", osp.url, target, {"Host": host_of(osp.url), "Content-Type": "text/x-thing"}, b"x")
    assert answer.status == 200, answer.body
    assert direct.head_object(Bucket="demo", Key=f"{prefix}x")["ContentType"] == "text/x-thing"


@pytest.mark.parametrize("sent", [{"Content-Type": "text/html"}, {}], ids=["another", "none"])
def test_a_presigned_content_type_must_be_kept_to(osp, direct, prefix, sent):
    target = presign(osp.url, "put_object", Bucket="demo", Key=f"{prefix}x", ContentType="text/x-thing")
    answer = send("PUT", osp.url, target, {"Host": host_of(osp.url), **sent}, b"x")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")


def test_metadata_signed_as_headers_is_stored(osp, direct, prefix):
    target = presign(osp.url, "put_object", Bucket="demo", Key=f"{prefix}x", Metadata={"color": "blue"})
    answer = send("PUT", osp.url, target, {"Host": host_of(osp.url), "x-amz-meta-color": "blue"}, b"x")
    assert answer.status == 200, answer.body
    assert direct.head_object(Bucket="demo", Key=f"{prefix}x")["Metadata"]["Color"] == "blue"


def test_metadata_hoisted_into_the_query_is_stored(osp, direct, prefix):
    """The JavaScript and Go SDKs move `x-amz-*` headers into the URL that they sign."""
    target = presigned_target("PUT", osp.url, f"/demo/{prefix}x?x-amz-meta-color=dark%20blue%2B")
    answer = send("PUT", osp.url, target, body=b"x")
    assert answer.status == 200, answer.body
    assert direct.head_object(Bucket="demo", Key=f"{prefix}x")["Metadata"]["Color"] == "dark blue+"


def test_hoisted_headers_are_headers_to_the_store(recorded):
    target = presigned_target(
        "PUT", recorded.url, "/demo/x?x-amz-acl=private&x-amz-meta-city=Z%C3%BCrich&x-id=PutObject"
    )
    answer = send("PUT", recorded.url, target, body=b"x")
    assert answer.status == 200, answer.body
    request = recorded.recorder.only
    assert (request["x-amz-acl"], request["x-amz-meta-city"]) == ("private", "Zürich".encode().decode("latin-1"))
    assert request.query == ["x-id=PutObject"]
    assert request.is_signed_by()


@pytest.mark.parametrize("value", ["private", "public-read"])
def test_a_header_both_hoisted_and_sent_is_refused(recorded, value):
    target = presigned_target("PUT", recorded.url, "/demo/x?x-amz-acl=private", {"x-amz-acl": value})
    answer = send("PUT", recorded.url, target, {"Host": host_of(recorded.url), "x-amz-acl": value}, b"x")
    assert answer.status in (400, 403)
    assert not recorded.recorder.requests


def test_a_header_with_meaning_cannot_be_added_to_a_presigned_url(recorded):
    target = presign(recorded.url, "put_object", Bucket="demo", Key="x")
    answer = send("PUT", recorded.url, target, {"Host": host_of(recorded.url), "x-amz-acl": "public-read"}, b"x")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert not recorded.recorder.requests


def test_the_store_sees_nothing_of_the_clients_presigned_authentication(recorded):
    target = presign(recorded.url, "get_object", Bucket="demo", Key="x", ResponseCacheControl="no-store")
    assert send("GET", recorded.url, target).status == 200
    request = recorded.recorder.only
    assert request.target == "/demo/x?response-cache-control=no-store"
    assert b"client-fake" not in request.raw_head
    assert request.is_signed_by()


def test_a_range_of_a_presigned_url_is_passed_on(recorded):
    """Browsers and download managers add Range to a URL in which it was not signed; S3 honours it."""
    target = presign(recorded.url, "get_object", Bucket="demo", Key="x")
    send("GET", recorded.url, target, {"Host": host_of(recorded.url), "Range": "bytes=1-2"})
    assert recorded.recorder.only["range"] == "bytes=1-2"


@pytest.mark.parametrize("method", ["PUT", "HEAD", "DELETE", "POST"])
def test_a_presigned_get_is_good_for_nothing_else(recorded, method):
    target = presign(recorded.url, "get_object", Bucket="demo", Key="x")
    assert send(method, recorded.url, target).status in (403, 405)
    assert not recorded.recorder.requests


def test_a_presigned_url_does_not_get_by_the_validator(osp):
    answer = send("GET", osp.url, presign(osp.url, "get_object", Bucket="demo", Key="denied/x"))
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_a_presigned_part_is_uploaded(osp, s3, direct, prefix):
    upload = {"Bucket": "demo", "Key": f"{prefix}parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = send("PUT", osp.url, presign(osp.url, "upload_part", **upload, PartNumber=1), body=b"a part")
    assert part.status == 200, part.body
    parts = [{"PartNumber": 1, "ETag": part.headers["etag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert direct.get_object(Bucket="demo", Key=f"{prefix}parts")["Body"].read() == b"a part"


def test_a_signature_of_version_2_is_refused_with_a_word_about_version_4(osp):
    url = client(osp.url, signature_version="s3").generate_presigned_url(
        "get_object", Params={"Bucket": "demo", "Key": "x"}
    )
    answer = send("GET", osp.url, url.removeprefix(osp.url))
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert b"AWS4-HMAC-SHA256" in answer.body


def test_signed_requests_of_version_2_are_refused(osp):
    with pytest.raises(ClientError, match="AWS4-HMAC-SHA256"):
        client(osp.url, signature_version="s3").get_object(Bucket="demo", Key="x")
