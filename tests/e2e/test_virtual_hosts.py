"""The bucket in the host's name: towards the store, and from the client."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from support.raw_s3 import presigned_target, send, send_signed, signed_headers
from support.recorder import recorded_gateway


@pytest.fixture(scope="module")
def recorded_module(tmp_path_factory):
    with recorded_gateway(tmp_path_factory.mktemp("recorded")) as running:
        yield running


@pytest.fixture
def recorded(recorded_module):
    recorded_module.recorder.clear()
    return recorded_module


@pytest.mark.parametrize(
    ("bucket", "host", "target"),
    [
        ("demo", "127.0.0.1", "/demo/key"),
        ("renamed", "127.0.0.1", "/backend-name/key"),
        ("virtual", "virtual.s3.localhost", "/key"),
        ("renamed-virtual", "backend-name.s3.localhost", "/key"),
        ("forced-path", "s3.localhost", "/forced-path/key"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_the_store_is_addressed_in_its_buckets_style(recorded, method, bucket, host, target):
    answer = send_signed(method, recorded.url, f"/{bucket}/key", body=b"x" if method == "PUT" else b"")
    assert answer.status == 200, answer.body
    request = recorded.recorder.only
    assert (request.method, request["host"], request.target) == (method, f"{host}:{recorded.recorder.port}", target)
    assert request.is_signed_by()


@pytest.mark.parametrize("target", ["/virtual", "/virtual/"])
def test_the_bucket_itself_is_the_root_of_its_host(recorded, target):
    answer = send_signed("GET", recorded.url, f"{target}?list-type=2&prefix=a%20b%2B")
    assert answer.status == 200, answer.body
    assert recorded.recorder.only.path == "/"
    assert recorded.recorder.only.query == ["list-type=2", "prefix=a%20b%2B"]
    assert recorded.recorder.only.is_signed_by()


def test_the_backends_region_is_in_its_signature(recorded):
    recorded.s3.get_object(Bucket="paris", Key="key")
    assert "/eu-west-3/s3/aws4_request" in recorded.recorder.only["authorization"]
    assert recorded.recorder.only.is_signed_by()


def test_nothing_of_the_clients_credentials_reaches_the_store(recorded):
    recorded.s3.get_object(Bucket="virtual", Key="key")
    assert b"client-fake" not in recorded.recorder.only.raw_head


def test_another_secret_does_not_give_the_stores_signature(recorded):
    """The check of this file can fail."""
    recorded.s3.get_object(Bucket="virtual", Key="key")
    assert not recorded.recorder.only.is_signed_by(secret="another-fake-secret")


# From the client


@pytest.mark.parametrize("host", ["demo.osp.localhost", "demo.osp.localhost:6190", "DEMO.OSP.localhost"])
def test_a_bucket_is_named_by_the_clients_host(osp, direct, prefix, host):
    target = f"/{prefix}a%20b"
    answer = send_signed("PUT", osp.url, target, body=b"x", host=host)
    assert answer.status == 200, answer.body
    assert direct.get_object(Bucket="demo", Key=f"{prefix}a b")["Body"].read() == b"x"
    assert send_signed("GET", osp.url, target, host=host).body == b"x"


def test_a_renamed_bucket_is_named_by_the_clients_host(osp, direct, prefix):
    answer = send_signed("PUT", osp.url, f"/{prefix}x", body=b"x", host="renamed.osp.localhost")
    assert answer.status == 200, answer.body
    assert direct.get_object(Bucket="backend-name", Key=f"{prefix}x")["Body"].read() == b"x"


def test_a_bucket_named_by_the_host_is_listed_at_the_root(osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}listed", Body=b"x")
    answer = send_signed("GET", osp.url, f"/?list-type=2&prefix={quote(prefix, safe='')}", host="demo.osp.localhost")
    assert f"<Key>{prefix}listed</Key>".encode() in answer.body


def test_a_presigned_url_may_name_its_bucket_in_the_host(osp, direct, prefix):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"shared")
    target = presigned_target("GET", "http://demo.osp.localhost", f"/{prefix}x")
    assert send("GET", osp.url, target, {"Host": "demo.osp.localhost"}).body == b"shared"


@pytest.mark.parametrize("key", ["a//b", "/leading", "//", "a/../b", "trailing/"])
@pytest.mark.parametrize("bucket", ["virtual", "renamed-virtual"])
def test_a_key_passes_unchanged_from_host_to_host(recorded, bucket, key):
    answer = send_signed("GET", recorded.url, f"/{key}", host=f"{bucket}.osp.localhost")
    assert answer.status == 200, answer.body
    assert recorded.recorder.only.target == f"/{key}"
    assert recorded.recorder.only.is_signed_by()


def test_a_key_that_begins_like_a_bucket_is_a_key_under_a_host_that_names_one(recorded):
    send_signed("GET", recorded.url, "/renamed/key", host="demo.osp.localhost")
    assert recorded.recorder.only.target == "/demo/renamed/key"


def test_the_validator_is_asked_about_the_bucket_in_the_host(osp):
    answer = send_signed("GET", osp.url, "/denied/x", host="demo.osp.localhost")
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_an_unknown_bucket_in_the_host_does_not_exist(osp):
    answer = send_signed("GET", osp.url, "/demo/x", host="unknown.osp.localhost")
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("host", ["renamed.osp.localhost", "osp.localhost", "127.0.0.1"])
def test_a_signature_holds_for_its_host_only(osp, direct, prefix, host):
    direct.put_object(Bucket="demo", Key=f"{prefix}x", Body=b"x")
    headers = signed_headers("GET", "demo.osp.localhost", f"/{prefix}x") | {"Host": host}
    answer = send("GET", osp.url, f"/{prefix}x", headers)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_the_domain_itself_is_the_root(osp):
    answer = send_signed("GET", osp.url, "/", host="osp.localhost")
    assert b"<Name>demo</Name>" in answer.body
