"""Copies: within a bucket, across buckets, of other people's objects."""

from __future__ import annotations

import pytest


def copy(side, source="key", target="copy", *, bucket=None, **arguments):
    arguments.setdefault("CopySource", {"Bucket": bucket or side.bucket, "Key": side.key(source)})
    return side.ask("copy_object", target, **arguments)


def test_an_object_is_copied(same_as_direct):
    def call(side):
        side.put(body=b"body", ContentType="text/x-original", Metadata={"a": "1"})
        copy(side)
        side.get("copy")

    answer = same_as_direct(call)
    assert (answer.body, answer.header("content-type")) == (b"body", "text/x-original")


def test_a_copy_gets_new_metadata(same_as_direct):
    def call(side):
        side.put(Metadata={"a": "1"})
        copy(side, MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="text/x-new")
        side.ask("head_object", "copy")

    answer = same_as_direct(call)
    assert (answer.header("x-amz-meta-a"), answer.header("x-amz-meta-b")) == (None, "2")


def test_an_object_is_copied_onto_itself_with_new_metadata(same_as_direct):
    def call(side):
        side.put(Metadata={"a": "1"})
        copy(side, target="key", MetadataDirective="REPLACE", Metadata={"b": "2"})
        side.ask("head_object", "key")

    assert same_as_direct(call).header("x-amz-meta-b") == "2"


def test_an_object_is_not_copied_onto_itself_for_nothing(same_as_direct):
    def call(side):
        side.put()
        copy(side, target="key")

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_an_object_is_copied_across_buckets(same_as_direct):
    def call(side):
        other = side.new_bucket()
        side.s3().create_bucket(Bucket=other)
        side.put(Bucket=other, body=b"from there")
        copy(side, bucket=other)
        side.get("copy")

    assert same_as_direct(call).body == b"from there"


@pytest.mark.parametrize("name", ["a b", "a+b", "ü/漢", "a%2Fb", "a//b", "a?b", "..", "a/../b"])
def test_the_source_of_a_copy_has_an_unusual_key(same_as_direct, name):
    def call(side):
        side.put(name, b"body")
        copy(side, name)
        side.get("copy")

    assert same_as_direct(call).body == b"body"


@pytest.mark.parametrize(
    "written",
    ["{bucket}/{key}", "/{bucket}/{key}", "{bucket}%2F{key}"],
)
def test_the_source_of_a_copy_is_written_in_several_ways(same_as_direct, written):
    def call(side):
        side.put(body=b"body")
        source = written.format(bucket=side.bucket, key=side.key())
        side.send("PUT", side.target("copy"), {"x-amz-copy-source": source})
        side.tried("get_object", "copy")

    assert same_as_direct(call).status in (200, 404)


def test_a_source_that_does_not_exist(same_as_direct):
    answer = same_as_direct(lambda side: copy(side, "nothing"))
    assert (answer.status, answer.code) == (404, "NoSuchKey")


def test_a_source_bucket_that_does_not_exist(same_as_direct):
    answer = same_as_direct(lambda side: copy(side, bucket=side.new_bucket()))
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("source", ["no-key", "/", "{bucket}/", "{bucket}"])
def test_a_source_that_is_none(same_as_direct, source):
    def call(side):
        side.send("PUT", side.target("copy"), {"x-amz-copy-source": source.format(bucket=side.bucket)})

    answer = same_as_direct(call, own_answer=True)
    assert answer.status >= 400
