"""Parts of objects, and requests that depend on what is there."""

from __future__ import annotations

import pytest

BODY = b"abcdefghijklmnopqrstuvwxyz"
ETAG = '"c3fcd3d76192e4007dfb496cca67e13b"'
OTHER = '"00000000000000000000000000000000"'
LONG_AGO = "Sat, 01 Jan 2000 00:00:00 GMT"
FAR_AHEAD = "Thu, 01 Jan 2037 00:00:00 GMT"


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=0-0", 206, b"a"),
        ("bytes=2-5", 206, b"cdef"),
        ("bytes=20-", 206, b"uvwxyz"),
        ("bytes=-3", 206, b"xyz"),
        ("bytes=24-900", 206, b"yz"),
        ("bytes=0-25", 206, BODY),
        ("bytes=-100", 206, BODY),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_range_is_read(same_as_direct, method, wanted, status, body):
    def call(side):
        side.put(body=BODY)
        side.send(method, side.target(), {"Range": wanted})

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (status, body if method == "GET" else b"")


@pytest.mark.parametrize("wanted", ["bytes=26-", "bytes=1000-2000"])
def test_a_range_outside_is_refused(same_as_direct, wanted):
    def call(side):
        side.put(body=BODY)
        side.send("GET", side.target(), {"Range": wanted})

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (416, "InvalidRange")


@pytest.mark.parametrize(
    "wanted",
    ["bytes=5-2", "lines=1-2", "bytes=", "bytes=a-b", "bytes=0-1,3-4", "2-5", "bytes=-0"],
)
def test_a_range_that_makes_no_sense_is_taken_as_the_store_takes_it(same_as_direct, wanted):
    def call(side):
        side.put(body=BODY)
        side.send("GET", side.target(), {"Range": wanted})

    assert same_as_direct(call).status in (200, 206, 400, 416)


@pytest.mark.parametrize("size", [0, 1])
def test_a_range_of_a_tiny_object(same_as_direct, size):
    def call(side):
        side.put(body=b"x" * size)
        side.send("GET", side.target(), {"Range": "bytes=0-9"})

    assert same_as_direct(call).status == (206 if size else 416)


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-Match", ETAG, 200),
        ("If-Match", OTHER, 412),
        ("If-None-Match", ETAG, 304),
        ("If-None-Match", OTHER, 200),
        ("If-Modified-Since", LONG_AGO, 200),
        ("If-Modified-Since", FAR_AHEAD, 304),
        ("If-Unmodified-Since", LONG_AGO, 412),
        ("If-Unmodified-Since", FAR_AHEAD, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_with_a_condition(same_as_direct, method, header, value, status):
    def call(side):
        side.put(body=BODY)
        side.send(method, side.target(), {header: value})

    assert same_as_direct(call).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": ETAG, "If-Unmodified-Since": LONG_AGO}, 200),
        ({"If-None-Match": ETAG, "If-Modified-Since": LONG_AGO}, 304),
        ({"If-Match": ETAG, "Range": "bytes=0-3"}, 206),
        ({"If-Match": OTHER, "Range": "bytes=0-3"}, 412),
        ({"If-Range": ETAG, "Range": "bytes=0-3"}, 206),
    ],
)
def test_conditions_that_meet(same_as_direct, headers, status):
    def call(side):
        side.put(body=BODY)
        side.send("GET", side.target(), headers)

    assert same_as_direct(call).status == status


def test_what_is_read_if_it_was_not_modified_has_no_body(same_as_direct):
    def call(side):
        side.put(body=BODY)
        side.send("GET", side.target(), {"If-None-Match": ETAG})

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("If-None-Match", "*", 412), ("If-Match", OTHER, 412), ("If-None-Match", OTHER, 200)],
)
def test_a_write_with_a_condition(same_as_direct, header, value, status):
    def call(side):
        side.put(body=BODY)
        side.send("PUT", side.target(), {header: value}, b"new")

    assert same_as_direct(call).status == status


@pytest.mark.parametrize("value", ["*", ETAG, ETAG.strip('"'), f"W/{ETAG}", f"{OTHER}, {ETAG}", ""])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_condition_is_understood_as_the_store_understands_it(same_as_direct, method, header, value):
    """RGW 16.2 takes `*` for an ETag, for example; the gateway must not know better."""

    def call(side):
        side.put(body=BODY)
        side.send(method, side.target(), {header: value}, b"new" if method == "PUT" else b"")

    assert same_as_direct(call).status in (200, 304, 412)


def test_a_write_that_must_be_the_first_is_the_first(same_as_direct):
    assert same_as_direct(lambda side: side.put(IfNoneMatch="*")).status == 200


@pytest.mark.parametrize(
    "condition",
    [
        {"CopySourceIfMatch": ETAG},
        {"CopySourceIfMatch": OTHER},
        {"CopySourceIfNoneMatch": ETAG},
        {"CopySourceIfModifiedSince": LONG_AGO},
        {"CopySourceIfUnmodifiedSince": LONG_AGO},
    ],
    ids="-".join,
)
def test_a_copy_with_a_condition(same_as_direct, condition):
    """RGW 16.2 honours some of them only: the outcome is the store's."""

    def call(side):
        side.put(body=BODY)
        source = {"Bucket": side.bucket, "Key": side.key()}
        side.ask("copy_object", "copy", CopySource=source, **condition)

    assert same_as_direct(call).status in (200, 412)


def test_reads_of_one_object_agree_in_every_header(same_as_direct, cluster, prefix):
    bucket = same_as_direct.buckets[0]
    cluster.s3().put_object(Bucket=bucket, Key=f"{prefix}key", Body=BODY, Metadata={"a": "b"})

    def call(side):
        side.get()
        side.ask("head_object", "key")
        side.get(Range="bytes=3-7")

    assert same_as_direct.reading(call).body == b"defgh"
