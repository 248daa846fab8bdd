"""Requests without a signature: off unless configured, and then no more than the store and the validator allow."""

from __future__ import annotations

import uuid

import pytest

from support.raw_s3 import send, send_signed

BODY = b"for everybody"


def put_public(side, name="key", acl="public-read"):
    side.put(name, BODY, ACL=acl)
    return side.target(name)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_public_object_is_read_without_a_key(same_in_the_open, method):
    answer = same_in_the_open(lambda side: side.send_unsigned(method, put_public(side)))
    assert (answer.status, answer.body) == (200, BODY if method == "GET" else b"")


def test_a_range_of_a_public_object_is_read_without_a_key(same_in_the_open):
    answer = same_in_the_open(lambda side: side.send_unsigned("GET", put_public(side), {"Range": "bytes=0-2"}))
    assert (answer.status, answer.body) == (206, b"for")


def test_a_public_object_with_an_unusual_key_is_read_without_a_key(same_in_the_open):
    assert same_in_the_open(lambda side: side.send_unsigned("GET", put_public(side, "a b/../ü+c//"))).body == BODY


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_private_object_stays_private(same_in_the_open, method):
    answer = same_in_the_open(lambda side: side.send_unsigned(method, put_public(side, acl="private")))
    assert (answer.status, answer.code) == (403, "" if method == "HEAD" else "AccessDenied")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_public_object_is_not_changed_without_a_key(same_in_the_open, method):
    answer = same_in_the_open(lambda side: side.send_unsigned(method, put_public(side)))
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_something_missing_in_a_private_bucket_is_denied(same_in_the_open):
    answer = same_in_the_open(lambda side: side.send_unsigned("GET", side.target("nothing")))
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_a_public_bucket_is_listed_without_a_key(same_in_the_open, own_buckets, open_osp):
    def call(side):
        side.ask("put_bucket_acl", ACL="public-read")
        side.put()
        side.send_unsigned("GET", f"/{side.bucket}?list-type=2")
        side.send_unsigned("HEAD", f"/{side.bucket}")
        side.send_unsigned("GET", side.target("nothing"))

    same_in_the_open.buckets = own_buckets
    answer = same_in_the_open(call)
    assert (answer.status, answer.code) == (404, "NoSuchKey")


def test_a_bucket_in_which_everybody_may_write_is_written_to(same_in_the_open, own_buckets):
    def call(side):
        side.ask("put_bucket_acl", ACL="public-read-write")
        side.send_unsigned("PUT", side.target(), body=BODY)
        side.send_unsigned("GET", f"/{side.bucket}?list-type=2&fetch-owner=true")
        side.send_unsigned("DELETE", side.target())

    same_in_the_open.buckets = own_buckets
    assert same_in_the_open(call).status == 204


def test_what_a_policy_makes_public_is_read_without_a_key(same_in_the_open, own_buckets):
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],'
        '"Resource":["arn:aws:s3:::*"]}]}'
    )

    def call(side):
        side.put(body=BODY)
        side.ask("put_bucket_policy", Policy=policy)
        side.send_unsigned("GET", side.target())

    same_in_the_open.buckets = own_buckets
    assert same_in_the_open(call).body == BODY


def test_the_overrides_of_a_response_need_a_key(same_in_the_open):
    """RGW 16.2 sends its error in the place of a body, with status 200: nothing to compare with."""
    _, through = same_in_the_open.sides()
    answer = through.send_unsigned("GET", f"{put_public(through)}?response-content-type=text%2Fhtml")
    assert answer.status >= 400
    assert BODY not in answer.body


def test_the_validator_may_refuse_who_has_no_key(open_osp, cluster, prefix):
    bucket = f"strict-{uuid.uuid4().hex[:16]}-closed"
    s3 = cluster.s3()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=BODY, ACL="public-read")
    assert send("GET", cluster.url, f"/{bucket}/key").body == BODY
    answer = send("GET", open_osp.url, f"/{bucket}/key")
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("key", ["nobody", "client-alice"])
def test_a_wrong_signature_does_not_make_a_request_anonymous(same_in_the_open, key):
    _, through = same_in_the_open.sides()
    answer = send_signed("GET", through.url, put_public(through), key=key, secret="wrong-fake-secret")
    assert answer.status == 403
    assert answer.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "half",
    [
        {"X-Amz-Date": "20260101T000000Z"},
        {"Authorization": "Basic ZmFrZTpmYWtl"},
        {"Authorization": ""},
        {"Authorization": "AWS client-alice:AAAA"},
        {"X-Amz-Security-Token": "fake"},
    ],
    ids=str,
)
@pytest.mark.parametrize("acl", ["private", "authenticated-read"])
def test_half_a_signature_gets_at_nothing(same_in_the_open, half, acl):
    _, through = same_in_the_open.sides()
    assert through.send_unsigned("GET", put_public(through, acl=acl), half).status in (400, 403)


def test_signed_requests_go_on_as_before(same_in_the_open):
    def call(side):
        side.put(body=BODY)
        side.get()

    assert same_in_the_open(call).body == BODY


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_where_it_is_not_configured_a_public_object_needs_a_key(same_as_direct, method):
    direct, through = same_as_direct.sides()
    assert direct.send_unsigned(method, put_public(direct)).status == 200
    assert through.send_unsigned(method, put_public(through)).status == 403
