"""Versions: kept, read, listed, deleted, restored."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def versioned(same_as_direct, own_buckets, cluster):
    for bucket in own_buckets:
        cluster.s3().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_a_bucket_says_that_it_keeps_versions(same_as_direct):
    assert same_as_direct(lambda side: side.ask("get_bucket_versioning")).element("Status") == "Enabled"


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_versioning_is_set(same_as_direct, status):
    def call(side):
        side.ask("put_bucket_versioning", VersioningConfiguration={"Status": status})
        side.ask("get_bucket_versioning")

    assert same_as_direct(call).element("Status") == status


def test_an_old_version_is_read(same_as_direct):
    def call(side):
        first = side.put(body=b"first")["VersionId"]
        side.put(body=b"second")
        side.get()
        side.ask("head_object", "key", VersionId=first)
        side.get(VersionId=first)

    assert same_as_direct(call).body == b"first"


def test_a_deletion_leaves_a_marker_and_can_be_undone(same_as_direct):
    def call(side):
        side.put(body=b"body")
        marker = side.ask("delete_object", "key")["VersionId"]
        side.tried("get_object", "key")
        side.tried("get_object", "key", VersionId=marker)
        side.tried("head_object", "key", VersionId=marker)
        side.ask("list_object_versions")
        side.ask("delete_object", "key", VersionId=marker)
        side.get()

    assert same_as_direct(call).body == b"body"


def test_reading_a_delete_marker_is_not_allowed(same_as_direct):
    def call(side):
        side.put()
        side.get(VersionId=side.ask("delete_object", "key")["VersionId"])

    answer = same_as_direct(call)
    assert (answer.status, answer.code) in ((405, "MethodNotAllowed"), (404, "NoSuchKey"))


def test_a_version_is_deleted_for_good(same_as_direct):
    def call(side):
        first = side.put(body=b"first")["VersionId"]
        side.put(body=b"second")
        side.ask("delete_object", "key", VersionId=first)
        side.get(VersionId=first)

    assert same_as_direct(call).status == 404


def test_versions_are_listed_with_every_parameter(same_as_direct):
    def call(side):
        for name in ("a", "b/1", "b/2", "ü é"):
            for body in (b"1", b"22"):
                side.put(name, body)
        side.ask("delete_object", "a")
        side.ask("list_object_versions")
        side.ask("list_object_versions", Prefix=side.key("b"), EncodingType="url")
        side.ask("list_object_versions", Prefix=side.prefix, Delimiter="/")
        page = side.ask("list_object_versions", MaxKeys=2)
        side.ask(
            "list_object_versions",
            MaxKeys=100,
            KeyMarker=page["NextKeyMarker"],
            VersionIdMarker=page["NextVersionIdMarker"],
        )

    assert same_as_direct(call).text.count("<Version>") == 7


def test_listings_of_versions_agree_on_one_bucket(same_as_direct, cluster, own_buckets, prefix):
    for body in (b"1", b"22", b"333"):
        cluster.s3().put_object(Bucket=own_buckets[0], Key=f"{prefix}key", Body=body)
    answer = same_as_direct.reading(lambda side: side.ask("list_object_versions", Prefix=prefix))
    assert answer.text.count("<VersionId>") == 3


def test_many_versions_are_deleted_at_once(same_as_direct):
    def call(side):
        versions = [side.put(body=b"x" * n)["VersionId"] for n in (1, 2, 3)]
        objects = [{"Key": side.key(), "VersionId": version} for version in versions[:2]]
        side.ask("delete_objects", Delete={"Objects": [*objects, {"Key": side.key("nothing")}]})
        side.ask("list_object_versions")

    assert same_as_direct(call).text.count("<Version>") == 1


def test_an_old_version_is_copied(same_as_direct):
    def call(side):
        first = side.put(body=b"first")["VersionId"]
        side.put(body=b"second")
        side.ask("copy_object", "copy", CopySource={"Bucket": side.bucket, "Key": side.key(), "VersionId": first})
        side.get("copy")

    assert same_as_direct(call).body == b"first"


def test_a_part_is_copied_from_an_old_version(same_as_direct):
    def call(side):
        first = side.put(body=b"first")["VersionId"]
        side.put(body=b"second")
        upload = side.ask("create_multipart_upload", "copy")["UploadId"]
        source = {"Bucket": side.bucket, "Key": side.key(), "VersionId": first}
        part = side.ask("upload_part_copy", "copy", UploadId=upload, PartNumber=1, CopySource=source)
        parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
        side.ask("complete_multipart_upload", "copy", UploadId=upload, MultipartUpload={"Parts": parts})
        side.get("copy")

    assert same_as_direct(call).body == b"first"


def test_a_suspended_bucket_has_a_null_version(same_as_direct):
    def call(side):
        side.put(body=b"kept")
        side.ask("put_bucket_versioning", VersioningConfiguration={"Status": "Suspended"})
        side.put(body=b"null")
        side.get(VersionId="null")
        side.ask("list_object_versions")

    assert "<VersionId>null</VersionId>" in same_as_direct(call).text


@pytest.mark.parametrize("version", ["nonsense", "0000000000000000000000000000000"])
def test_a_version_that_does_not_exist(same_as_direct, version):
    def call(side):
        side.put()
        side.get(VersionId=version)

    assert same_as_direct(call).status in (400, 404)
