"""Objects: written, read, described and removed, the same as straight against the store."""

from __future__ import annotations

import base64
import datetime
import hashlib
import random

import pytest

BODY = b"abcdefghijklmnopqrstuvwxyz"


def md5(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_001])
def test_an_object_is_put_and_got(same_as_direct, size):
    body = random.Random(size).randbytes(size)

    def call(side):
        side.put(body=body)
        side.get()

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (200, body)


def test_an_object_is_described_by_head(same_as_direct):
    def call(side):
        side.put(body=BODY, ContentType="text/x-letters")
        side.ask("head_object", "key")

    answer = same_as_direct(call)
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "26", b"")


def test_every_system_header_comes_back(same_as_direct):
    def call(side):
        side.put(
            body=BODY,
            CacheControl="max-age=60, private",
            ContentDisposition='attachment; filename="a b.txt"',
            ContentEncoding="identity",
            ContentLanguage="de, en",
            ContentType="text/plain; charset=utf-8",
            Expires=datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
            StorageClass="STANDARD",
        )
        side.get()

    answer = same_as_direct(call)
    assert answer.header("cache-control") == "max-age=60, private"
    assert answer.header("content-disposition") == 'attachment; filename="a b.txt"'


def test_metadata_comes_back(same_as_direct):
    def call(side):
        side.put(Metadata={"plain": "value", "with-hyphens": "a  b", "under_score": "1", "empty": ""})
        side.ask("head_object", "key")

    answer = same_as_direct(call)
    assert answer.header("x-amz-meta-plain") == "value"


def test_metadata_in_utf_8_comes_back(same_as_direct):
    def call(side):
        side.send("PUT", side.target(), {"x-amz-meta-city": "Zürich 東京"}, BODY)
        side.send("HEAD", side.target())

    answer = same_as_direct(call)
    assert answer.header("x-amz-meta-city").encode("latin-1").decode() == "Zürich 東京"


def test_an_object_is_overwritten(same_as_direct):
    def call(side):
        side.put(body=b"the first and longer one")
        side.put(body=b"the second")
        side.get()

    assert same_as_direct(call).body == b"the second"


def test_an_object_is_deleted(same_as_direct):
    def call(side):
        side.put()
        side.ask("delete_object", "key")
        side.get()

    assert same_as_direct(call).code == "NoSuchKey"


def test_an_object_that_is_not_there_is_deleted(same_as_direct):
    assert same_as_direct(lambda side: side.ask("delete_object", "nothing")).status == 204


@pytest.mark.parametrize("quiet", [False, True])
def test_many_objects_are_deleted_at_once(same_as_direct, quiet):
    names = ["a", "b c", "ü", "d&e", "nothing"]

    def call(side):
        for name in names[:-1]:
            side.put(name)
        side.ask("delete_objects", Delete={"Objects": [{"Key": side.key(n)} for n in names], "Quiet": quiet})
        side.ask("list_objects_v2", Prefix=side.prefix)

    answer = same_as_direct(call)
    assert (answer.status, answer.element("KeyCount")) == (200, "0")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_missing_object_is_not_found(same_as_direct, method):
    assert same_as_direct(lambda side: side.send(method, side.target("nothing"))).status == 404


def test_expect_100_continue_is_answered_and_the_object_stored(same_as_direct):
    def call(side):
        side.send("PUT", side.target(), {"Expect": "100-continue"}, BODY)
        side.get()

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize(
    ("digest", "code"),
    [(md5(b"something else"), "BadDigest"), ("not a digest", "InvalidDigest"), ("", "InvalidDigest")],
)
def test_a_content_md5_that_does_not_match_is_refused(same_as_direct, digest, code):
    def call(side):
        side.send("PUT", side.target(), {"Content-MD5": digest}, BODY)

    answer = same_as_direct(call, own_answer=True)
    assert (answer.status, answer.code) == (400, code)


def test_a_content_md5_that_matches_is_accepted(same_as_direct):
    def call(side):
        side.send("PUT", side.target(), {"Content-MD5": md5(BODY)}, BODY)

    assert same_as_direct(call).status == 200


def test_an_unsigned_payload_is_stored(same_as_direct):
    def call(side):
        side.send("PUT", side.target(), {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, BODY)
        side.get()

    assert same_as_direct(call).body == BODY


def test_the_storage_class_is_told(same_as_direct):
    def call(side):
        side.put(StorageClass="STANDARD")
        side.ask("list_objects_v2", Prefix=side.prefix)

    assert same_as_direct(call).element("StorageClass") == "STANDARD"


def test_a_directory_marker_is_an_object(same_as_direct):
    def call(side):
        side.put("folder/", b"")
        side.ask("head_object", "folder/")

    assert same_as_direct(call).status == 200
