"""CORS: what browsers ask before, and what they are told afterwards."""

from __future__ import annotations

import pytest

RULES = {
    "CORSRules": [
        {
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["http://app.example.test"],
            "AllowedHeaders": ["authorization", "x-amz-*"],
            "ExposeHeaders": ["ETag", "x-amz-meta-a"],
            "MaxAgeSeconds": 600,
        },
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
    ]
}
APP = "http://app.example.test"
PREFLIGHTS = [
    (APP, "PUT", "authorization,x-amz-date", 200),
    (APP, "PUT", None, 200),
    (APP, "GET", "x-amz-content-sha256", 200),
    (APP, "DELETE", None, 403),
    (APP, "PUT", "x-other", 403),
    ("http://evil.example.test", "PUT", None, 403),
    ("http://evil.example.test", "GET", None, 200),
]


def preflight(side, target, origin, method, headers=None):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return side.send_unsigned("OPTIONS", target, asked)


@pytest.fixture
def same(same_in_the_open, own_buckets):
    same_in_the_open.buckets = own_buckets
    return same_in_the_open


@pytest.mark.parametrize(("origin", "method", "headers", "status"), PREFLIGHTS)
def test_a_preflight_is_answered_by_the_rules_of_the_bucket(same, origin, method, headers, status):
    def call(side):
        side.ask("put_bucket_cors", CORSConfiguration=RULES)
        preflight(side, side.target(), origin, method, headers)

    assert same(call).status == status


def test_a_preflight_for_a_bucket_itself(same):
    def call(side):
        side.ask("put_bucket_cors", CORSConfiguration=RULES)
        preflight(side, f"/{side.bucket}", APP, "GET")
        preflight(side, f"/{side.bucket}?list-type=2&prefix=a%2Fb", APP, "GET")

    answer = same(call)
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, APP)


def test_a_preflight_for_a_presigned_url(same):
    def call(side):
        side.ask("put_bucket_cors", CORSConfiguration=RULES)
        url = side.s3().generate_presigned_url("put_object", {"Bucket": side.bucket, "Key": side.key()})
        preflight(side, url.removeprefix(side.url), APP, "PUT")

    assert same(call).status == 200


def test_a_preflight_without_rules(same):
    answer = same(lambda side: preflight(side, side.target(), APP, "GET"))
    assert answer.status == 403


def test_a_preflight_for_a_bucket_that_does_not_exist(same):
    answer = same(lambda side: preflight(side, f"/{side.new_bucket()}/key", APP, "GET"))
    assert answer.status in (403, 404)


@pytest.mark.parametrize("headers", [{}, {"Origin": APP}, {"Access-Control-Request-Method": "GET"}], ids=str)
def test_what_is_no_preflight_is_refused(same, headers):
    _, through = same.sides()
    assert through.send_unsigned("OPTIONS", through.target(), headers).status in (400, 403, 405)


def test_where_it_is_not_configured_a_preflight_needs_a_key(same_as_direct, own_buckets):
    _, through = same_as_direct.sides()
    through.ask("put_bucket_cors", CORSConfiguration=RULES)
    assert preflight(through, through.target(), APP, "GET").status == 403


@pytest.mark.parametrize("origin", [APP, "http://evil.example.test", "null"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_answer_says_who_may_read_it(same_as_direct, own_buckets, method, origin):
    def call(side):
        side.ask("put_bucket_cors", CORSConfiguration=RULES)
        side.put()
        side.send(method, side.target(), {"Origin": origin})

    answer = same_as_direct(call)
    assert answer.status == 200
    if origin == APP:
        assert answer.header("access-control-allow-origin") == APP


def test_an_error_says_who_may_read_it(same_as_direct, own_buckets):
    def call(side):
        side.ask("put_bucket_cors", CORSConfiguration=RULES)
        side.send("GET", side.target("nothing"), {"Origin": APP})

    assert same_as_direct(call).code == "NoSuchKey"
