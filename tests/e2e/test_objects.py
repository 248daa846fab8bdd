"""Objects through the gateway: written, read in full and in part, described, removed."""

from __future__ import annotations

import email.header
import hashlib
import random

import pytest
from botocore.exceptions import ClientError

from support.raw_s3 import send_signed
from support.recorder import Answer, recorded_gateway

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
UTF8_METADATA = "Zürich 東京"


@pytest.fixture(scope="module")
def recorded_module(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded")) as running:
        yield running


@pytest.fixture
def recorded(recorded_module):
    recorded_module.recorder.clear()
    return recorded_module


@pytest.fixture
def letters(direct, prefix):
    """An object with the alphabet in it."""
    direct.put_object(Bucket="demo", Key=f"{prefix}letters", Body=ALPHABET, ContentType="text/x-letters")
    return f"{prefix}letters"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
def test_a_body_of_any_size_arrives_as_it_was_sent(s3, direct, prefix, size):
    body = random.Random(size).randbytes(size)
    s3.put_object(Bucket="demo", Key=f"{prefix}body", Body=body)
    stored = direct.get_object(Bucket="demo", Key=f"{prefix}body")["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_an_object_of_any_size_is_read_as_it_is_stored(s3, direct, prefix, size):
    body = random.Random(size).randbytes(size)
    direct.put_object(Bucket="demo", Key=f"{prefix}body", Body=body)
    received = s3.get_object(Bucket="demo", Key=f"{prefix}body")["Body"].read()
    assert hashlib.sha256(received).digest() == hashlib.sha256(body).digest()


def test_a_file_is_put_while_it_is_read(s3, direct, prefix, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(random.Random(7).randbytes(5_000_000))
    with file.open("rb") as body:
        s3.put_object(Bucket="demo", Key=f"{prefix}file", Body=body)
    assert direct.get_object(Bucket="demo", Key=f"{prefix}file")["Body"].read() == file.read_bytes()


def test_an_object_is_overwritten(s3, direct, prefix):
    s3.put_object(Bucket="demo", Key=f"{prefix}twice", Body=b"the first and longer one")
    s3.put_object(Bucket="demo", Key=f"{prefix}twice", Body=b"the second")
    assert direct.get_object(Bucket="demo", Key=f"{prefix}twice")["Body"].read() == b"the second"


@pytest.mark.parametrize(
    ("wanted", "expected", "shown"),
    [
        ("bytes=0-0", b"a", "bytes 0-0/26"),
        ("bytes=2-5", b"cdef", "bytes 2-5/26"),
        ("bytes=20-", b"uvwxyz", "bytes 20-25/26"),
        ("bytes=-3", b"xyz", "bytes 23-25/26"),
        ("bytes=24-900", b"yz", "bytes 24-25/26"),
    ],
)
def test_a_range_of_an_object_is_read(osp, letters, wanted, expected, shown):
    """Not by boto3: rclone answers a range with the whole object's checksum."""
    answer = send_signed("GET", osp.url, f"/demo/{letters}", {"Range": wanted})
    assert (answer.headers["content-range"], answer.body) == (shown, expected)


def test_partial_content_is_passed_back_as_such(recorded):
    headers = (("Content-Range", "bytes 2-5/26"), ("Content-Type", "text/x-letters"))
    recorded.recorder.answer = Answer(206, headers, b"cdef")
    answer = recorded.s3.get_object(Bucket="demo", Key="key", Range="bytes=2-5")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert (answer["ContentRange"], answer["ContentType"]) == ("bytes 2-5/26", "text/x-letters")
    assert answer["Body"].read() == b"cdef"
    assert recorded.recorder.only["range"] == "bytes=2-5"


def test_a_range_past_the_end_is_the_stores_error(s3, letters):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="demo", Key=letters, Range="bytes=26-")
    assert caught.value.response["Error"]["Code"] == "InvalidRange"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


def test_head_tells_what_the_store_tells(s3, direct, letters):
    through, straight = (c.head_object(Bucket="demo", Key=letters) for c in (s3, direct))
    for field in ("ContentLength", "ContentType", "ETag", "LastModified", "AcceptRanges", "Metadata"):
        assert through[field] == straight[field], field


def test_head_of_a_large_object_has_its_length_and_no_body(s3, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}large", Body=bytes(2_000_000))
    assert s3.head_object(Bucket="demo", Key=f"{prefix}large")["ContentLength"] == 2_000_000


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_a_missing_object_is_the_stores_not_found(s3, prefix, operation):
    with pytest.raises(ClientError) as caught:
        getattr(s3, operation)(Bucket="demo", Key=f"{prefix}nothing")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_missing_object_raises_the_sdks_own_exception(s3, prefix):
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="demo", Key=f"{prefix}nothing")


def test_descriptive_headers_and_metadata_reach_the_store(s3, direct, prefix):
    description = {
        "ContentType": "text/x-thing; charset=utf-8",
        "CacheControl": "max-age=1,  private",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "x-thing",
        "ContentLanguage": "de, en",
        "Metadata": {"plain": "value", "inner-spaces": "a   b", "punctuation": "a,b;c=d/e+f%20"},
    }
    s3.put_object(Bucket="demo", Key=f"{prefix}described", Body=b"x", **description)
    straight = direct.head_object(Bucket="demo", Key=f"{prefix}described")
    stored = {name.lower(): value for name, value in straight.pop("Metadata").items()}
    assert stored == description.pop("Metadata")
    assert {name: straight[name] for name in description} == description


def test_non_ascii_metadata_in_the_form_that_boto3_permits_comes_back(s3, prefix):
    encoded = email.header.Header(UTF8_METADATA, "utf-8").encode()
    s3.put_object(Bucket="demo", Key=f"{prefix}rfc2047", Body=b"x", Metadata={"city": encoded})
    metadata = s3.head_object(Bucket="demo", Key=f"{prefix}rfc2047")["Metadata"]
    found = next(value for name, value in metadata.items() if name.lower() == "city")
    assert str(email.header.make_header(email.header.decode_header(found))) == UTF8_METADATA


def test_metadata_in_utf_8_octets_reaches_the_store_octet_by_octet(osp, store, prefix):
    target = f"/demo/{prefix}utf-8"
    written = send_signed("PUT", osp.url, target, {"x-amz-meta-city": UTF8_METADATA}, b"x")
    assert written.status == 200, written.body
    straight = send_signed("HEAD", store.url, target, key=store.access_key, secret=store.secret_key)
    assert straight.headers["x-amz-meta-city"].encode("latin-1").decode() == UTF8_METADATA


def test_metadata_in_utf_8_octets_comes_back_octet_by_octet(osp, store, prefix):
    target = f"/demo/{prefix}utf-8"
    keys = {"key": store.access_key, "secret": store.secret_key}
    send_signed("PUT", store.url, target, {"x-amz-meta-city": UTF8_METADATA}, b"x", **keys)
    through = send_signed("GET", osp.url, target)
    assert through.headers["x-amz-meta-city"].encode("latin-1").decode() == UTF8_METADATA


def test_metadata_in_utf_8_octets_is_under_the_backends_signature(recorded):
    answer = send_signed("PUT", recorded.url, "/demo/key", {"x-amz-meta-city": UTF8_METADATA}, b"x")
    assert answer.status == 200, answer.body
    request = recorded.recorder.only
    assert f"x-amz-meta-city: {UTF8_METADATA}\r\n".encode() in request.raw_head
    assert "x-amz-meta-city" in request["authorization"]
    assert request.is_signed_by()


def test_an_object_is_deleted(s3, direct, letters):
    assert s3.delete_object(Bucket="demo", Key=letters)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert not direct.list_objects_v2(Bucket="demo", Prefix=letters).get("Contents")


def test_several_objects_are_deleted_at_once(s3, direct, prefix):
    keys = [f"{prefix}{name}" for name in ("a", "b c", "d+e", "ü", "<&>", "f%20g")]
    for key in [*keys, f"{prefix}stays"]:
        direct.put_object(Bucket="demo", Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == sorted(keys)
    left = direct.list_objects_v2(Bucket="demo", Prefix=prefix)["Contents"]
    assert [entry["Key"] for entry in left] == [f"{prefix}stays"]


def test_a_batch_of_a_thousand_is_deleted(s3, direct, prefix):
    keys = [f"{prefix}{number}" for number in range(1000)]
    for key in keys[:3]:
        direct.put_object(Bucket="demo", Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(answer["Deleted"]) == 1000
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")


def test_a_batch_does_not_delete_what_may_not_be_deleted_one_by_one(s3, direct, prefix):
    """Design, step 4: the authorizer is asked about batch keys, too."""
    key = f"denied/{prefix}kept"
    direct.put_object(Bucket="demo", Key=key, Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="demo", Key=key)
    answer = s3.delete_objects(Bucket="demo", Delete={"Objects": [{"Key": key}]})
    assert not answer.get("Deleted")
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [(key, "AccessDenied")]
    assert direct.get_object(Bucket="demo", Key=key)["Body"].read() == b"x"


@pytest.mark.parametrize("quiet", [False, True])
def test_the_keys_of_a_batch_that_may_be_deleted_are(s3, direct, prefix, quiet):
    """AWS: denied keys come back as errors, while the others are deleted."""
    free, denied = [f"{prefix}{name}" for name in ("a", "<&> ü")], [f"denied/{prefix}{name}" for name in "cd"]
    for key in free + denied:
        direct.put_object(Bucket="demo", Key=key, Body=b"x")
    batch = {"Objects": [{"Key": key} for key in (denied[0], *free, denied[1])], "Quiet": quiet}
    answer = s3.delete_objects(Bucket="demo", Delete=batch)
    assert sorted(entry["Key"] for entry in answer.get("Deleted", [])) == ([] if quiet else sorted(free))
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [(key, "AccessDenied") for key in denied]
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")
    assert len(direct.list_objects_v2(Bucket="demo", Prefix=f"denied/{prefix}")["Contents"]) == 2


@pytest.mark.parametrize(
    ("argument", "header"), [("IfNoneMatch", "if-none-match"), ("IfMatch", "if-match")], ids=["none-match", "match"]
)
def test_an_etag_condition_is_passed_on(recorded, argument, header):
    recorded.s3.get_object(Bucket="demo", Key="key", **{argument: '"0123"'})
    assert recorded.recorder.only[header] == '"0123"'


@pytest.mark.parametrize("header", ["If-Modified-Since", "If-Unmodified-Since"])
def test_a_date_condition_is_passed_on(recorded, header):
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    recorded.s3.get_object(Bucket="demo", Key="key", **{header.replace("-", ""): date})
    assert recorded.recorder.only[header.lower()] == date


def test_a_conditional_write_is_passed_on(recorded):
    recorded.s3.put_object(Bucket="demo", Key="key", Body=b"x", IfNoneMatch="*")
    assert recorded.recorder.only["if-none-match"] == "*"


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_not_modified_is_passed_back_without_a_body(recorded, operation):
    recorded.recorder.answer = Answer(304, (("ETag", '"0123"'),))
    with pytest.raises(ClientError) as caught:
        getattr(recorded.s3, operation)(Bucket="demo", Key="key", IfNoneMatch='"0123"')
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == '"0123"'
    recorded.recorder.answer = Answer(200, body=b"next")
    assert recorded.s3.get_object(Bucket="demo", Key="key")["Body"].read() == b"next"


def test_a_failed_precondition_is_passed_back(recorded):
    document = b"<Error><Code>PreconditionFailed</Code><Message>No.</Message></Error>"
    recorded.recorder.answer = Answer(412, (("Content-Type", "application/xml"),), document)
    with pytest.raises(ClientError) as caught:
        recorded.s3.put_object(Bucket="demo", Key="key", Body=b"x", IfNoneMatch="*")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
