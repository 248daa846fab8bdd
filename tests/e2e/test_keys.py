"""Keys of every shape: the store gets the very key that the client meant, or nothing at all."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from support.processes import config_for, gateway
from support.raw_s3 import send_signed
from support.recorder import recorded_gateway
from support.s3 import client

PLAIN_KEYS = [
    "plain",
    "a b",
    "  spaces around  ",
    "a+b",
    "a%20b",
    "a%2Fb",
    "50% off",
    "100%",
    "%",
    "%zz",
    "ü/ñ/漢字",
    "e\u0301 is not é",
    "😀",
    "&=?#;:@!$'()*,",
    '"quoted" and <tagged> &amp;',
    "a\\b",
    "tab\there",
    "line\nbreak",
    "\x01\x7f",
    "~.-_",
    ".hidden",
    "dots...in.a..name",
    "/".join(["deep"] * 40),
    "ü" * 100,
]
"""Keys that rclone stores as they are."""

SLASHED_KEYS = ["a//b", "/leading", "//leading", "trailing/", "trailing//", "/both/", "a//b//c///"]
"""Keys that rclone refuses or alters."""

LONGEST_KEYS = ["k" * 1024, "ü" * 512, "/".join(["k" * 99] * 10) + "/" + "z" * 23, "%" * 1024, "a" + "/" * 1022 + "b"]
DOTTED_KEYS = ["a/./b", "a/../b", ".", "..", "../up", "a/..", "a/."]


@pytest.fixture(scope="module")
def recorded_module(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded")) as running:
        yield running


@pytest.fixture
def recorded(recorded_module):
    recorded_module.recorder.clear()
    return recorded_module


def percent_encoded(key):
    """RFC 3986, written out: unreserved characters and slashes stay."""
    unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
    return "".join(chr(octet) if octet in unreserved else f"%{octet:02X}" for octet in key.encode())


def outcome(function):
    """What a call gave: its status, and the error's code if it raised one."""
    try:
        return function()["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


@pytest.mark.parametrize("key", PLAIN_KEYS)
def test_an_object_is_stored_under_its_key(s3, direct, prefix, key):
    s3.put_object(Bucket="demo", Key=prefix + key, Body=key.encode())
    assert direct.get_object(Bucket="demo", Key=prefix + key)["Body"].read() == key.encode()


@pytest.mark.parametrize("key", PLAIN_KEYS)
def test_an_object_is_read_by_its_key(s3, direct, prefix, key):
    direct.put_object(Bucket="demo", Key=prefix + key, Body=key.encode())
    assert s3.get_object(Bucket="demo", Key=prefix + key)["Body"].read() == key.encode()
    assert s3.head_object(Bucket="demo", Key=prefix + key)["ContentLength"] == len(key.encode())


@pytest.mark.parametrize("key", PLAIN_KEYS)
def test_an_object_is_listed_and_deleted_by_its_key(s3, direct, prefix, key):
    direct.put_object(Bucket="demo", Key=prefix + key, Body=b"x")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="demo", Prefix=prefix)["Contents"]] == [prefix + key]
    s3.delete_object(Bucket="demo", Key=prefix + key)
    assert not direct.list_objects_v2(Bucket="demo", Prefix=prefix).get("Contents")


@pytest.mark.parametrize("key", SLASHED_KEYS)
def test_what_the_store_does_with_an_unusual_key_it_does_through_the_gateway(s3, direct, prefix, key):
    seen = []
    for number, through in enumerate((direct, s3)):
        base = f"{prefix}{number}/"
        put = outcome(lambda c=through, b=base: c.put_object(Bucket="demo", Key=b + key, Body=b"x"))
        get = outcome(lambda c=through, b=base: c.get_object(Bucket="demo", Key=b + key))
        listed = direct.list_objects_v2(Bucket="demo", Prefix=base).get("Contents", [])
        seen.append((put, get, [found["Key"].removeprefix(base) for found in listed]))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("bucket", ["demo", "virtual"])
@pytest.mark.parametrize("key", [*PLAIN_KEYS, *SLASHED_KEYS, *LONGEST_KEYS], ids=lambda key: key[:20])
def test_exactly_the_clients_path_reaches_the_store(recorded, bucket, key):
    recorded.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    request = recorded.recorder.only
    assert request.target == ("/demo/" if bucket == "demo" else "/") + percent_encoded(key)
    assert request.is_signed_by()


def test_every_single_character_reaches_the_store_unchanged(recorded):
    characters = [chr(point) for point in range(1, 0x180)]
    for char in characters:
        recorded.s3.head_object(Bucket="demo", Key=f"a{char}b")
    expected = [f"/demo/{percent_encoded(f'a{char}b')}" for char in characters]
    assert [request.target for request in recorded.recorder.requests] == expected


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        ("/demo/a%2db", "/demo/a-b"),
        ("/demo/%61", "/demo/a"),
        ("/demo/a%2fb", "/demo/a/b"),
        ("/demo/a=b", "/demo/a%3Db"),
        ("/demo/a+b", "/demo/a%2Bb"),
        ("/demo/%c3%bc", "/demo/%C3%BC"),
        ("/%64emo/key", "/demo/key"),
    ],
)
def test_another_spelling_of_a_path_is_forwarded_in_the_canonical_one(recorded, target, forwarded):
    """Clients sign the canonical spelling, whatever they write on the wire; botocore signs what it is given."""
    canonical = send_signed_as(recorded, target, forwarded)
    assert canonical.status == 200, canonical.body
    assert recorded.recorder.only.target == forwarded
    assert recorded.recorder.only.is_signed_by()


def send_signed_as(recorded, target, signed_target):
    from support.raw_s3 import send, signed_headers

    host = recorded.url.removeprefix("http://")
    return send("GET", recorded.url, target, signed_headers("GET", host, signed_target))


@pytest.mark.parametrize("length", [1025, 2048])
def test_a_key_of_more_than_1024_octets_is_refused_and_goes_nowhere(recorded, length):
    with pytest.raises(ClientError, match="KeyTooLongError"):
        recorded.s3.put_object(Bucket="demo", Key="k" * length, Body=b"x")
    assert not recorded.recorder.requests


def test_the_length_of_a_key_is_counted_in_octets(recorded):
    with pytest.raises(ClientError, match="KeyTooLongError"):
        recorded.s3.put_object(Bucket="demo", Key="ü" * 513, Body=b"x")
    assert not recorded.recorder.requests


@pytest.mark.parametrize("key", DOTTED_KEYS)
def test_dot_segments_pass_unchanged_where_the_bucket_is_in_the_hosts_name(recorded, key):
    answer = send_signed("GET", recorded.url, f"/virtual/{key}")
    assert answer.status == 200, answer.body
    assert recorded.recorder.only.target == f"/{key}"
    assert recorded.recorder.only.is_signed_by()


@pytest.mark.parametrize("bucket", ["demo", "forced-path", "renamed"])
@pytest.mark.parametrize("key", [*DOTTED_KEYS, "%2e%2e/up", "a%2F..%2Fb", "%2E"])
def test_dot_segments_are_refused_where_the_bucket_is_in_the_path(recorded, bucket, key):
    answer = send_signed_as(recorded, f"/{bucket}/{key}", f"/{bucket}/{canonical(key)}")
    assert (answer.status, answer.code) == (400, "InvalidURI")
    assert not recorded.recorder.requests


def canonical(key):
    return key.replace("%2e", ".").replace("%2E", ".").replace("%2F", "/")


@pytest.mark.parametrize("target", ["/demo/%ff", "/demo/%c3", "/demo/a%", "/demo/a%2", "/demo/%zz"])
def test_a_path_that_is_not_percent_encoded_utf_8_is_refused(recorded, target):
    answer = send_signed("GET", recorded.url, target)
    assert (answer.status, answer.code) == (400, "InvalidURI")
    assert not recorded.recorder.requests


@pytest.fixture(scope="module")
def scratch(store, tmp_path_factory):
    """A gateway for buckets made by the test; its validator allows what is done to objects, and nothing else."""
    validator = """
    def validator(token, bucket, request):
        return request.operation in ("GetObject", "PutObject", "DeleteObject", "HeadObject") and request.key != ""
    """
    config = config_for(store, extra_buckets="'scratch-*': STORE", validator=validator)
    with gateway(tmp_path_factory.mktemp("scratch"), config) as running:
        yield client(running.url)


@pytest.fixture
def bucket(direct, prefix):
    name = f"scratch-{prefix[:20]}"
    direct.create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize("key", ["/", "//", "///"])
def test_deleting_an_object_named_by_slashes_does_not_delete_the_bucket(scratch, direct, bucket, key):
    """Some stores drop trailing slashes: what is DeleteObject to the validator is DeleteBucket to them."""
    outcome(lambda: scratch.delete_object(Bucket=bucket, Key=key))
    assert bucket in {found["Name"] for found in direct.list_buckets()["Buckets"]}


@pytest.mark.parametrize("key", ["/", "//", "///"])
def test_reading_an_object_named_by_slashes_does_not_list_the_bucket(scratch, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key="private", Body=b"x")
    try:
        assert b"private" not in scratch.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)


@pytest.mark.parametrize("key", ["/", "//"])
def test_writing_an_object_named_by_slashes_does_not_create_a_bucket(scratch, direct, prefix, key):
    name = f"scratch-{prefix[:20]}"
    outcome(lambda: scratch.put_object(Bucket=name, Key=key, Body=b"x"))
    assert name not in {found["Name"] for found in direct.list_buckets()["Buckets"]}
