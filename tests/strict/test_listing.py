"""Listings with every parameter, page by page, on one and the same bucket and to the octet."""

from __future__ import annotations

import pytest

NAMES = ["a", "b/1", "b/2", "b/c/3", "d e", "f+g", "h%i", "j&k", "ü", "z/", "日本"]


@pytest.fixture(scope="module")
def listed(cluster, common_buckets):
    """A bucket that is not changed."""
    s3 = cluster.s3()
    bucket = f"{common_buckets[0]}-listed"
    s3.create_bucket(Bucket=bucket)
    for name in NAMES:
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    return bucket


V2 = [
    {},
    {"Prefix": "b/"},
    {"Prefix": "nothing"},
    {"Delimiter": "/"},
    {"Delimiter": "/", "Prefix": "b/"},
    {"Delimiter": "b/"},
    {"MaxKeys": 3},
    {"MaxKeys": 0},
    {"MaxKeys": 100_000},
    {"StartAfter": "b/2"},
    {"StartAfter": "d e"},
    {"StartAfter": "ü"},
    {"FetchOwner": True},
    {"EncodingType": "url"},
    {"EncodingType": "url", "Delimiter": "/", "Prefix": "", "StartAfter": "b", "MaxKeys": 2, "FetchOwner": True},
]


@pytest.mark.parametrize("arguments", V2, ids=str)
def test_a_bucket_is_listed(same_as_direct, listed, arguments):
    assert same_as_direct.reading(lambda side: side.ask("list_objects_v2", **arguments), listed).status == 200


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"Prefix": "b/"},
        {"Delimiter": "/"},
        {"Delimiter": "/", "MaxKeys": 2},
        {"Marker": "b/2"},
        {"Marker": "f+g"},
        {"MaxKeys": 0},
        {"EncodingType": "url", "Marker": "d e", "Prefix": "", "Delimiter": "/", "MaxKeys": 3},
    ],
    ids=str,
)
def test_a_bucket_is_listed_in_the_old_way(same_as_direct, listed, arguments):
    assert same_as_direct.reading(lambda side: side.ask("list_objects", **arguments), listed).status == 200


def test_a_listing_goes_on_where_it_stopped(same_as_direct, listed):
    found = []

    def call(side):
        token, names = {}, []
        while True:
            page = side.ask("list_objects_v2", MaxKeys=2, **token)
            names += [entry["Key"] for entry in page["Contents"]]
            if not page["IsTruncated"]:
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        found.append(names)

    same_as_direct.reading(call, listed)
    assert [sorted(names) for names in found] == [sorted(NAMES)] * 2


@pytest.mark.parametrize(
    "query",
    [
        "list-type=2&max-keys=x",
        "list-type=2&max-keys=-1",
        "list-type=2&max-keys=",
        "list-type=2&continuation-token=nonsense",
        "list-type=2&encoding-type=none",
        "max-keys=2&allow-unordered=true",
        "list-type=2&prefix=b%2F&delimiter=%2F",
        "prefix=d%20e",
        "prefix=",
        "prefix",
        "list-type=2&x-id=ListObjectsV2",
    ],
)
def test_a_listing_with_an_unusual_query(same_as_direct, listed, query):
    answer = same_as_direct.reading(lambda side: side.send("GET", f"/{side.bucket}?{query}"), listed)
    assert answer.status in (200, 400)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("list-type=2&prefix=b/&delimiter=/", "delimiter=%2F&list-type=2&prefix=b%2F"),
        ("prefix=d%20e&max-keys=%31", "max-keys=1&prefix=d%20e"),
        ("prefix=%66", "prefix=f"),
        ("prefix=f%2bg", "prefix=f%2Bg"),
    ],
)
def test_a_query_in_another_spelling(same_as_direct, listed, written, canonical):
    def call(side):
        place = f"/{side.bucket}?"
        side.send("GET", place + written, signed_as=place + canonical)

    assert same_as_direct.reading(call, listed).status == 200


def test_a_slash_after_the_bucket_makes_no_difference(same_as_direct, listed):
    answer = same_as_direct.reading(lambda side: side.send("GET", f"/{side.bucket}/?list-type=2"), listed)
    assert answer.element("KeyCount") == str(len(NAMES))


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects", "list_object_versions", "head_bucket"])
def test_a_bucket_that_does_not_exist(same_as_direct, operation):
    answer = same_as_direct(lambda side: side.ask(operation, Bucket=side.new_bucket()))
    assert answer.status == 404
    assert answer.code in ("NoSuchBucket", "")  # HEAD has no body


def test_all_buckets_of_a_user_are_listed(same_as_direct):
    def call(side):
        side.s3().list_buckets()

    answer = same_as_direct.reading(call)
    assert same_as_direct.buckets[0] in answer.text
    assert answer.element("ID") == "alice"


def test_another_user_sees_other_buckets(same_as_direct):
    answer = same_as_direct.reading(lambda side: side.s3("bob").list_buckets())
    assert same_as_direct.buckets[0] not in answer.text
    assert answer.element("ID") == "bob"
