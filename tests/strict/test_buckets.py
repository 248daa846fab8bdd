"""Buckets made, described and removed through a glob route."""

from __future__ import annotations

import pytest

STEMS = ["strict", "other"]
"""Matched by the routes `strict-*` and `*`."""


@pytest.mark.parametrize("stem", STEMS)
def test_a_bucket_is_made_and_removed(same_as_direct, stem):
    def call(side):
        bucket = side.new_bucket(stem)
        side.s3().create_bucket(Bucket=bucket)
        side.s3().head_bucket(Bucket=bucket)
        side.s3().get_bucket_location(Bucket=bucket)
        side.s3().delete_bucket(Bucket=bucket)
        side.s3().head_bucket(Bucket=bucket)

    assert same_as_direct(call).status == 404


@pytest.mark.parametrize("acl", ["private", "public-read", "authenticated-read"])
def test_a_bucket_is_made_with_an_acl(same_as_direct, acl):
    def call(side):
        bucket = side.new_bucket()
        side.s3().create_bucket(Bucket=bucket, ACL=acl)
        side.s3().get_bucket_acl(Bucket=bucket)

    assert same_as_direct(call).element("ID") == "alice"


def test_a_bucket_is_made_in_a_place_that_there_is_not(same_as_direct):
    def call(side):
        place = {"LocationConstraint": "eu-nowhere-1"}
        side.s3().create_bucket(Bucket=side.new_bucket(), CreateBucketConfiguration=place)

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (400, "InvalidLocationConstraint")


def test_a_bucket_is_made_twice_by_its_owner(same_as_direct):
    def call(side):
        bucket = side.new_bucket()
        side.s3().create_bucket(Bucket=bucket)
        side.s3().create_bucket(Bucket=bucket)

    assert same_as_direct(call).status in (200, 409)


def test_a_bucket_that_somebody_else_has(same_as_direct):
    def call(side):
        bucket = side.new_bucket()
        side.s3("bob").create_bucket(Bucket=bucket)
        side.s3().create_bucket(Bucket=bucket)

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (409, "BucketAlreadyExists")


def test_a_bucket_of_the_same_name_in_another_tenant(same_as_direct):
    def call(side):
        bucket = side.new_bucket()
        side.s3("alice").create_bucket(Bucket=bucket)
        side.s3("carol").create_bucket(Bucket=bucket)
        side.put(Bucket=bucket, user="carol", body=b"carol's")
        side.tried("get_object", "key", Bucket=bucket, user="alice")
        side.ask("get_object", "key", Bucket=bucket, user="carol")

    assert same_as_direct(call).body == b"carol's"


def test_a_bucket_with_something_in_it_is_not_removed(same_as_direct):
    def call(side):
        side.put()
        side.ask("delete_bucket")

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (409, "BucketNotEmpty")


def test_a_bucket_that_is_not_there_is_not_removed(same_as_direct):
    answer = same_as_direct(lambda side: side.ask("delete_bucket", Bucket=side.new_bucket()))
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


def test_somebody_elses_bucket_is_closed(same_as_direct):
    def call(side):
        side.tried("list_objects_v2", user="bob")
        side.tried("put_object", "key", user="bob", Body=b"")
        side.tried("delete_bucket", user="bob")
        side.tried("get_bucket_acl", user="bob")

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "name", ["strict-.dots", "strict-ends-in-", "Strict-Upper", "strict_under", "strict..dots", "ab"]
)
def test_a_bucket_with_an_unusual_name(same_as_direct, name):
    """RGW allows some of them; it must be the store that says so."""

    def call(side):
        side.send("PUT", f"/{name}")
        side.send("HEAD", f"/{name}")
        side.send("DELETE", f"/{name}")

    assert same_as_direct(call).status in (204, 400, 404)
