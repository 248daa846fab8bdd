"""Buckets that are a part of another one: two clients' buckets in one bucket of a real store, and another provider."""

from __future__ import annotations

import urllib.request

import pytest
from botocore.exceptions import ClientError

from support.processes import config_for, gateway, rclone_server
from support.s3 import client

BUCKETS = """
'team-a': {**STORE, 'bucket': 'shared', 'prefix': 'team-a/'},
'team-b': {**STORE, 'bucket': 'shared', 'prefix': 'team-b/'},
'own-*': {**STORE, 'bucket': 'shared', 'prefix': 'own/{name}/'},
'prod': {**STORE, 'bucket': 'things'},
'copies': {**OTHER, 'bucket': 'things'},
'any-*': {**OTHER, 'bucket': 'store-{name}'},
'frozen': {**STORE, 'bucket': 'shared', 'prefix': 'team-a/', 'read_only': True},
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    with rclone_server(tmp_path_factory.mktemp("one")) as one, rclone_server(tmp_path_factory.mktemp("two")) as two:
        for name in ("demo", "shared", "things"):
            one.make_bucket(name)
        for name in ("things", "store-any-logs"):
            two.make_bucket(name)
        yield one, two


@pytest.fixture(scope="module")
def running(stores, tmp_path_factory):
    one, two = stores
    other = f"OTHER = dict(host='127.0.0.1', port={two.port}, is_tls_enabled=False,"
    other += f" access_key={two.access_key!r}, secret_key={two.secret_key!r})\n"
    validator = other + "def validator(token, bucket, request):\n    return not request.key.startswith('denied')"
    config = config_for(one, extra_buckets=BUCKETS, validator=validator, extra="default_bucket='prod',")
    with gateway(tmp_path_factory.mktemp("gateway"), config) as process:
        yield process


@pytest.fixture(scope="module")
def s3(running):
    return client(running.url)


@pytest.fixture(scope="module")
def direct(stores):
    one, _ = stores
    return client(one.url, one.access_key, one.secret_key)


def keys(page):
    return [entry["Key"] for entry in page.get("Contents", ())]


def test_what_is_written_lies_under_the_prefix(s3, direct, prefix):
    s3.put_object(Bucket="team-a", Key=f"{prefix}x y+z%", Body=b"mine")
    assert direct.get_object(Bucket="shared", Key=f"team-a/{prefix}x y+z%")["Body"].read() == b"mine"
    assert s3.get_object(Bucket="team-a", Key=f"{prefix}x y+z%")["Body"].read() == b"mine"
    assert s3.head_object(Bucket="team-a", Key=f"{prefix}x y+z%")["ContentLength"] == 4


def test_the_other_team_sees_nothing_of_it(s3, prefix):
    s3.put_object(Bucket="team-a", Key=f"{prefix}x", Body=b"mine")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="team-b", Key=f"{prefix}x")
    assert keys(s3.list_objects_v2(Bucket="team-b", Prefix=prefix)) == []


@pytest.mark.parametrize("list_page", ["list_objects", "list_objects_v2"])
def test_a_listing_of_many_pages_shows_the_part_alone(s3, direct, prefix, list_page):
    wanted = sorted(f"{prefix}{folder}/k {number}+%" for folder in "ab" for number in range(7))
    for key in wanted:
        s3.put_object(Bucket="team-a", Key=key, Body=b"x")
        direct.put_object(Bucket="shared", Key=f"team-b/{key}", Body=b"x")
    pages = list(s3.get_paginator(list_page).paginate(Bucket="team-a", Prefix=prefix, MaxKeys=3))
    assert [key for page in pages for key in keys(page)] == wanted
    assert {(page["Name"], page["Prefix"]) for page in pages} == {("team-a", prefix)}
    page = getattr(s3, list_page)(Bucket="team-a", Prefix=prefix, Delimiter="/")
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == [f"{prefix}a/", f"{prefix}b/"]


def test_a_listing_without_a_prefix_shows_the_part_alone(s3, direct):
    direct.put_object(Bucket="shared", Key="outside", Body=b"x")
    s3.put_object(Bucket="own-empty", Key="only", Body=b"x")
    assert keys(s3.list_objects_v2(Bucket="own-empty")) == ["only"]
    assert keys(s3.list_objects(Bucket="own-empty")) == ["only"]
    assert direct.get_object(Bucket="shared", Key="own/own-empty/only")["Body"].read() == b"x"


def test_start_after_is_a_key_of_the_part(s3, prefix):
    for name in "abc":
        s3.put_object(Bucket="team-a", Key=prefix + name, Body=b"x")
    page = s3.list_objects_v2(Bucket="team-a", Prefix=prefix, StartAfter=f"{prefix}a")
    assert keys(page) == [f"{prefix}b", f"{prefix}c"]
    assert page["StartAfter"] == f"{prefix}a"


def test_an_upload_in_parts_is_the_clients_throughout(s3, direct, prefix):
    upload = {"Bucket": "team-a", "Key": f"{prefix}x"}
    created = s3.create_multipart_upload(**upload)
    upload["UploadId"] = created["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"a part")
    listed = s3.list_parts(**upload)
    under_way = s3.list_multipart_uploads(Bucket="team-a", Prefix=prefix)
    completed = s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert [(a["Bucket"], a["Key"]) for a in (created, listed, completed)] == [("team-a", f"{prefix}x")] * 3
    assert [entry["Key"] for entry in under_way["Uploads"]] == [f"{prefix}x"]
    assert "shared" not in completed["Location"]
    assert direct.get_object(Bucket="shared", Key=f"team-a/{prefix}x")["Body"].read() == b"a part"


def test_a_copy_reads_and_writes_under_the_prefixes(s3, direct, prefix):
    s3.put_object(Bucket="team-a", Key=f"{prefix}a b", Body=b"x")
    s3.copy_object(Bucket="team-b", Key=f"{prefix}copy", CopySource={"Bucket": "team-a", "Key": f"{prefix}a b"})
    assert direct.get_object(Bucket="shared", Key=f"team-b/{prefix}copy")["Body"].read() == b"x"


def test_a_copy_cannot_read_what_is_outside(s3, direct, prefix):
    direct.put_object(Bucket="shared", Key=f"{prefix}secret", Body=b"x")
    # `shared` is no bucket of clients: the default bucket stands in for it, which is another one.
    for source in (f"shared/{prefix}secret", f"team-a/../{prefix}secret", f"team-a/%2e%2e/{prefix}secret"):
        with pytest.raises(ClientError):
            s3.copy_object(Bucket="team-a", Key="x", CopySource=source)


def test_a_batch_deletes_under_the_prefix_and_answers_in_the_clients_terms(s3, direct, prefix):
    for name in "ab":
        direct.put_object(Bucket="shared", Key=f"team-a/{prefix}{name}", Body=b"x")
        direct.put_object(Bucket="shared", Key=prefix + name, Body=b"x")
    objects = [{"Key": prefix + name} for name in "ab"] + [{"Key": "denied"}]
    answer = s3.delete_objects(Bucket="team-a", Delete={"Objects": objects})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == [f"{prefix}a", f"{prefix}b"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("denied", "AccessDenied")]
    assert not direct.list_objects_v2(Bucket="shared", Prefix=f"team-a/{prefix}").get("Contents")
    assert len(keys(direct.list_objects_v2(Bucket="shared", Prefix=prefix))) == 2


def test_an_error_speaks_of_the_clients_key(s3):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="team-a", Key="not there")
    text = str(caught.value.response)
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    assert "team-a/not" not in text.replace("/team-a/not%20there", "").replace("/team-a/not there", "")
    assert "shared" not in text


@pytest.mark.parametrize("key", ["../team-b/x", "a/../../team-b/x", "./x", "..", "/", "//"])
def test_a_key_that_could_leave_the_prefix_is_refused(s3, key):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="team-a", Key=key)
    assert caught.value.response["Error"]["Code"] == "InvalidURI"


@pytest.mark.parametrize(
    "call", ["create_bucket", "delete_bucket", "get_bucket_policy", "get_bucket_versioning", "delete_bucket_lifecycle"]
)
def test_what_is_about_the_whole_bucket_is_refused(s3, call):
    with pytest.raises(ClientError) as caught:
        getattr(s3, call)(Bucket="team-a")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert "shared" not in str(caught.value.response)


def test_a_presigned_url_stays_under_the_prefix(running, direct, prefix):
    direct.put_object(Bucket="shared", Key=f"team-a/{prefix}x", Body=b"x")
    signing = client(running.url, signature_version="s3v4")
    url = signing.generate_presigned_url("list_objects_v2", {"Bucket": "team-a", "Prefix": prefix})
    with urllib.request.urlopen(url) as answer:
        document = answer.read().decode()
    assert f"<Key>{prefix}x</Key>" in document
    assert "shared" not in document


def test_a_read_only_bucket_is_read_and_not_written(s3, prefix):
    s3.put_object(Bucket="team-a", Key=f"{prefix}x", Body=b"x")
    assert s3.get_object(Bucket="frozen", Key=f"{prefix}x")["Body"].read() == b"x"
    assert keys(s3.list_objects_v2(Bucket="frozen", Prefix=prefix)) == [f"{prefix}x"]
    s3.copy_object(Bucket="team-a", Key=f"{prefix}y", CopySource={"Bucket": "frozen", "Key": f"{prefix}x"})
    for write in (
        lambda: s3.put_object(Bucket="frozen", Key="x", Body=b"x"),
        lambda: s3.delete_object(Bucket="frozen", Key="x"),
        lambda: s3.delete_objects(Bucket="frozen", Delete={"Objects": [{"Key": "x"}]}),
        lambda: s3.copy_object(Bucket="frozen", Key="y", CopySource={"Bucket": "team-a", "Key": f"{prefix}x"}),
        lambda: s3.create_multipart_upload(Bucket="frozen", Key="x"),
    ):
        with pytest.raises(ClientError) as caught:
            write()
        assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_the_same_name_on_two_providers_under_two_names(s3, stores, prefix):
    s3.put_object(Bucket="prod", Key=f"{prefix}x", Body=b"one")
    s3.put_object(Bucket="copies", Key=f"{prefix}x", Body=b"two")
    assert [(store.root / "things" / prefix / "x").read_bytes() for store in stores] == [b"one", b"two"]


def test_a_glob_has_a_template_for_the_backends_name(s3, stores, prefix):
    s3.put_object(Bucket="any-logs", Key=f"{prefix}x", Body=b"x")
    assert (stores[1].root / "store-any-logs" / prefix / "x").read_bytes() == b"x"
    assert s3.list_objects_v2(Bucket="any-logs", Prefix=prefix)["Name"] == "any-logs"


def test_a_bucket_that_is_not_configured_is_the_default_one(s3, stores, prefix):
    s3.put_object(Bucket="unheard-of", Key=f"{prefix}x", Body=b"x")
    assert (stores[0].root / "things" / prefix / "x").read_bytes() == b"x"
    assert s3.list_objects_v2(Bucket="unheard-of", Prefix=prefix)["Name"] == "unheard-of"
    with pytest.raises(ClientError):
        s3.delete_bucket(Bucket="unheard-of")
