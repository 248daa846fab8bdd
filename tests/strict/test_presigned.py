"""Presigned URLs, with overrides of the response's headers."""

from __future__ import annotations

import pytest

BODY = b"abcdefghijklmnopqrstuvwxyz"


def presigned(side, operation, name="key", **arguments):
    arguments = {"Bucket": side.bucket, "Key": side.key(name), **arguments}
    return side.s3().generate_presigned_url(operation, arguments, ExpiresIn=600)


OVERRIDES = {
    "ResponseCacheControl": "no-store",
    "ResponseContentDisposition": 'attachment; filename="a b+c.txt"',
    "ResponseContentEncoding": "identity",
    "ResponseContentLanguage": "de",
    "ResponseContentType": "text/x-override; charset=utf-8",
    "ResponseExpires": "Thu, 01 Jan 2037 00:00:00 GMT",
}


@pytest.mark.parametrize("overrides", [{name: value} for name, value in OVERRIDES.items()] + [OVERRIDES], ids="-".join)
def test_the_headers_of_a_response_are_overridden(same_as_direct, overrides):
    def call(side):
        side.put(body=BODY)
        side.get_url("GET", presigned(side, "get_object", **overrides))

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (200, BODY)
    assert set(overrides.values()) <= {value for _, value in answer.headers}


def test_overrides_in_a_signed_request(same_as_direct):
    def call(side):
        side.put(body=BODY)
        side.get(**OVERRIDES)

    assert same_as_direct(call).header("content-language") == "de"


def test_a_presigned_url_reads_a_range(same_as_direct):
    def call(side):
        side.put(body=BODY)
        side.get_url("GET", presigned(side, "get_object"), {"Range": "bytes=2-5"})

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (206, b"cdef")


def test_a_presigned_url_describes(same_as_direct):
    def call(side):
        side.put(body=BODY)
        side.get_url("HEAD", presigned(side, "head_object"))

    assert same_as_direct(call).header("content-length") == "26"


def test_a_presigned_url_writes(same_as_direct):
    def call(side):
        side.get_url("PUT", presigned(side, "put_object"), body=BODY)
        side.get()

    assert same_as_direct(call).body == BODY


def test_a_presigned_url_deletes(same_as_direct):
    def call(side):
        side.put()
        side.get_url("DELETE", presigned(side, "delete_object"))
        side.get()

    assert same_as_direct(call).code == "NoSuchKey"


def test_a_presigned_url_uploads_a_part(same_as_direct):
    def call(side):
        upload = side.ask("create_multipart_upload", "key")["UploadId"]
        side.get_url("PUT", presigned(side, "upload_part", UploadId=upload, PartNumber=1), body=BODY)
        side.ask("list_parts", "key", UploadId=upload)

    assert same_as_direct(call).element("Size") == "26"


def test_a_presigned_url_lists(same_as_direct):
    def call(side):
        side.put()
        arguments = {"Bucket": side.bucket, "Prefix": side.prefix}
        side.get_url("GET", side.s3().generate_presigned_url("list_objects_v2", arguments))

    assert same_as_direct(call).element("KeyCount") == "1"


@pytest.mark.parametrize("name", ["a b+c", "ü/漢", "a%2Fb", "a//b", "a/../b"])
def test_a_presigned_url_of_an_unusual_key(same_as_direct, name):
    def call(side):
        side.put(name, BODY)
        side.get_url("GET", presigned(side, "get_object", name))

    assert same_as_direct(call).body == BODY


def test_a_presigned_url_of_something_missing(same_as_direct):
    answer = same_as_direct(lambda side: side.get_url("GET", presigned(side, "get_object", "nothing")))
    assert (answer.status, answer.code) == (404, "NoSuchKey")


def test_a_presigned_url_for_another_method(same_as_direct):
    """RGW says AccessDenied to a wrong signature while STS is on; the gateway says what AWS says."""
    direct, through = same_as_direct.sides()
    straight = direct.get_url("PUT", presigned(direct, "get_object"), body=BODY)
    answer = through.get_url("PUT", presigned(through, "get_object"), body=BODY)
    assert (straight.status, answer.status) == (403, 403)
    assert straight.code in ("AccessDenied", "SignatureDoesNotMatch")
    assert answer.code == "SignatureDoesNotMatch"
