"""Listing objects and buckets."""

from __future__ import annotations

import itertools
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from support.processes import config_for, gateway
from support.raw_s3 import send_signed
from support.s3 import client

NAMES = ["a", "b c", "d+e", "f%20g", "h/1", "h/2", "i&j", "k/l/m", "ü", "漢字"]


@pytest.fixture
def filled(direct, prefix):
    """A prefix with objects whose names are in `NAMES`."""
    for name in NAMES:
        direct.put_object(Bucket="demo", Key=f"{prefix}{name}", Body=name.encode())
    return prefix


def keys_of(page, prefix):
    return [entry["Key"].removeprefix(prefix) for entry in page.get("Contents", [])]


@pytest.mark.parametrize("version", ["list_objects_v2", "list_objects"])
def test_a_listing_has_every_key_with_size_and_etag(s3, direct, filled, version):
    through, straight = (getattr(c, version)(Bucket="demo", Prefix=filled) for c in (s3, direct))
    assert keys_of(through, filled) == sorted(NAMES, key=str.encode)
    assert through["Contents"] == straight["Contents"]


@pytest.mark.parametrize("version", ["list_objects_v2", "list_objects"])
@pytest.mark.parametrize("size", [1, 3, 9, 10, 11])
def test_paging_gives_each_key_once(s3, filled, version, size):
    pages = s3.get_paginator(version).paginate(Bucket="demo", Prefix=filled, PaginationConfig={"PageSize": size})
    listed = [keys_of(page, filled) for page in pages]
    assert all(len(keys) <= size for keys in listed)
    assert list(itertools.chain.from_iterable(listed)) == sorted(NAMES, key=str.encode)


@pytest.mark.parametrize("version", ["list_objects_v2", "list_objects"])
def test_a_delimiter_folds_what_lies_below_it(s3, filled, version):
    page = getattr(s3, version)(Bucket="demo", Prefix=filled, Delimiter="/")
    assert [entry["Prefix"].removeprefix(filled) for entry in page["CommonPrefixes"]] == ["h/", "k/"]
    assert keys_of(page, filled) == sorted((name for name in NAMES if "/" not in name), key=str.encode)


def test_prefixes_are_paged_like_keys(s3, filled):
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="demo", Prefix=filled, Delimiter="/", PaginationConfig={"PageSize": 3}
    )
    found = [entry["Prefix"].removeprefix(filled) for page in pages for entry in page.get("CommonPrefixes", [])]
    assert found == ["h/", "k/"]


@pytest.mark.parametrize("name", NAMES)
def test_a_prefix_may_be_any_text(s3, filled, name):
    assert keys_of(s3.list_objects_v2(Bucket="demo", Prefix=filled + name), filled) == [name]


def test_a_listing_starts_after_a_key(s3, filled):
    page = s3.list_objects_v2(Bucket="demo", Prefix=filled, StartAfter=f"{filled}i&j")
    assert keys_of(page, filled) == ["k/l/m", "ü", "漢字"]


def test_a_marker_may_hold_a_plus_and_a_percent_sign(s3, filled):
    page = s3.list_objects(Bucket="demo", Prefix=filled, Marker=f"{filled}d+e", MaxKeys=1)
    assert keys_of(page, filled) == ["f%20g"]


def test_nothing_below_a_prefix_is_an_empty_listing(s3, prefix):
    page = s3.list_objects_v2(Bucket="demo", Prefix=prefix)
    assert page["IsTruncated"] is False
    assert "Contents" not in page


@pytest.mark.parametrize("target", ["/demo", "/demo/"], ids=["no-slash", "slash"])
def test_a_bucket_is_listed_with_or_without_a_slash_after_its_name(osp, filled, target):
    answer = send_signed("GET", osp.url, f"{target}?list-type=2&prefix={quote(filled, safe='')}h")
    assert answer.status == 200, answer.body
    assert answer.body.count(b"<Key>") == 2


def test_a_bucket_that_is_configured_exists(s3):
    assert s3.head_bucket(Bucket="demo")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_bucket_that_is_not_configured_does_not_exist_even_where_the_store_has_it(s3, direct):
    assert direct.head_bucket(Bucket="backend-name")["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket="backend-name")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="backend-name")


# Buckets

PICKY = """
def validator(token, bucket, request):
    if bucket == "raising":
        raise RuntimeError("the operator's code is broken")
    return bucket not in ("hidden", "log-secret", "write-only") or request.operation == "PutObject"
"""


@pytest.fixture(scope="module")
def picky(store, direct, tmp_path_factory):
    """A gateway with several buckets, some of which this caller may not list, and a pattern."""
    for name in ("hidden", "raising", "write-only", "log-1", "log-secret"):
        direct.create_bucket(Bucket=name)
    extra = "'hidden': STORE, 'raising': STORE, 'write-only': STORE, 'log-*': STORE"
    with gateway(tmp_path_factory.mktemp("picky"), config_for(store, extra_buckets=extra, validator=PICKY)) as running:
        yield client(running.url)


@pytest.fixture(scope="module")
def catch_all(store, tmp_path_factory):
    """A gateway that forwards every bucket's requests, and a validator that knows the root as `*`."""
    validator = """
    def validator(token, bucket, request):
        return (bucket == "*") == (request.operation == "ListBuckets") and not request.key.startswith("denied/")
    """
    config = config_for(store, extra_buckets="'*': STORE", validator=validator)
    with gateway(tmp_path_factory.mktemp("catch-all"), config) as running:
        yield client(running.url)


def bucket_names(s3):
    return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def test_list_buckets_shows_the_configured_buckets(s3):
    assert bucket_names(s3) == {"demo", "renamed"}


def test_list_buckets_shows_only_what_the_caller_may_list(picky):
    assert bucket_names(picky) == {"demo"}


def test_what_list_buckets_does_not_show_may_still_be_written_where_that_is_allowed(picky, direct, prefix):
    picky.put_object(Bucket="write-only", Key=f"{prefix}in", Body=b"x")
    assert direct.get_object(Bucket="write-only", Key=f"{prefix}in")["Body"].read() == b"x"


def test_a_pattern_serves_the_buckets_that_it_matches(picky, direct, prefix):
    picky.put_object(Bucket="log-1", Key=f"{prefix}x", Body=b"x")
    assert direct.get_object(Bucket="log-1", Key=f"{prefix}x")["Body"].read() == b"x"


def test_the_validator_is_asked_about_the_bucket_and_not_about_the_pattern(picky):
    with pytest.raises(ClientError, match="AccessDenied"):
        picky.list_objects_v2(Bucket="log-secret")


@pytest.mark.parametrize("bucket", ["log", "LOG-1", "other", "xlog-1"])
def test_a_pattern_does_not_serve_other_buckets(picky, bucket):
    with pytest.raises(picky.exceptions.NoSuchBucket):
        picky.list_objects_v2(Bucket=bucket)


def test_the_owner_in_list_buckets_is_the_caller(s3):
    assert s3.list_buckets()["Owner"]["ID"] == "client-fake-key"


def test_a_catch_all_forwards_list_buckets(catch_all, direct):
    assert {"demo", "backend-name"} <= bucket_names(catch_all) <= bucket_names(direct)


def test_a_catch_all_serves_any_bucket(catch_all, direct, prefix):
    catch_all.put_object(Bucket="backend-name", Key=f"{prefix}x", Body=b"x")
    assert direct.get_object(Bucket="backend-name", Key=f"{prefix}x")["Body"].read() == b"x"


def test_a_catch_all_asks_the_validator_all_the_same(catch_all, prefix):
    with pytest.raises(ClientError, match="AccessDenied"):
        catch_all.put_object(Bucket="backend-name", Key=f"denied/{prefix}x", Body=b"x")


def test_a_bucket_made_through_a_catch_all_is_in_the_store(catch_all, direct, prefix):
    name = f"made-{prefix[:16]}"
    assert catch_all.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert name in bucket_names(direct)
    catch_all.delete_bucket(Bucket=name)
    assert name not in bucket_names(direct)
