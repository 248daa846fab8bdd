"""What is set on objects: tags, locks, customer keys."""

from __future__ import annotations

import base64
import datetime
import hashlib

import pytest

KEY = b"0123456789abcdef0123456789abcdef"
TAGS = {"TagSet": [{"Key": "project", "Value": "osp"}, {"Key": "ü & <x>", "Value": "a+b/c=d"}]}
UNTIL = datetime.datetime(2037, 1, 1, tzinfo=datetime.UTC)


def customer_key(key=KEY, *, copy_source=False):
    """As boto3 takes it over plain HTTP, too."""
    stem = (
        "x-amz-copy-source-server-side-encryption-customer" if copy_source else "x-amz-server-side-encryption-customer"
    )
    return {
        f"{stem}-algorithm": "AES256",
        f"{stem}-key": base64.b64encode(key).decode(),
        f"{stem}-key-md5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


def test_tags_are_set_read_and_removed(same_as_direct):
    def call(side):
        side.put()
        side.ask("get_object_tagging", "key")
        side.ask("put_object_tagging", "key", Tagging=TAGS)
        side.ask("get_object_tagging", "key")
        side.get()
        side.ask("delete_object_tagging", "key")
        side.ask("get_object_tagging", "key")

    assert same_as_direct(call).status == 200


def test_tags_come_with_the_object(same_as_direct):
    def call(side):
        side.put(Tagging="a=1&b=x%20y%26z")
        side.ask("get_object_tagging", "key")

    assert "<Value>x y&amp;z</Value>" in same_as_direct(call).text


@pytest.mark.parametrize("directive", ["COPY", "REPLACE"])
def test_tags_of_a_copy(same_as_direct, directive):
    def call(side):
        side.put(Tagging="a=1")
        source = {"Bucket": side.bucket, "Key": side.key()}
        side.ask("copy_object", "copy", CopySource=source, TaggingDirective=directive, Tagging="b=2")
        side.ask("get_object_tagging", "copy")

    assert same_as_direct(call).status == 200


@pytest.mark.parametrize("tags", ["&".join(f"t{n}=v" for n in range(11)), f"{'k' * 129}=v", "a=1&a=2"])
def test_tags_that_are_not_allowed(same_as_direct, tags):
    assert same_as_direct(lambda side: side.put(Tagging=tags)).status in (200, 400)


def test_an_object_is_locked(same_as_direct):
    def call(side):
        bucket = side.new_bucket()
        side.s3().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        side.ask("get_object_lock_configuration", Bucket=bucket)
        side.ask(
            "put_object_lock_configuration",
            Bucket=bucket,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
        )
        side.ask("get_object_lock_configuration", Bucket=bucket)
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": UNTIL}
        version = side.put(Bucket=bucket, **lock)["VersionId"]
        side.ask("head_object", "key", Bucket=bucket)
        side.ask("get_object_retention", "key", Bucket=bucket)
        side.tried("delete_object", "key", Bucket=bucket, VersionId=version)
        assert side.exchanges[-1].status == 403
        side.ask("delete_object", "key", Bucket=bucket, VersionId=version, BypassGovernanceRetention=True)

    assert same_as_direct(call).status == 204


def test_a_legal_hold_holds(same_as_direct):
    def call(side):
        bucket = side.new_bucket()
        side.s3().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        version = side.put(Bucket=bucket)["VersionId"]
        side.ask("put_object_legal_hold", "key", Bucket=bucket, LegalHold={"Status": "ON"})
        side.ask("get_object_legal_hold", "key", Bucket=bucket)
        side.ask("delete_object", "key", Bucket=bucket, VersionId=version)

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_a_retention_is_set_and_cannot_be_shortened(same_as_direct):
    def call(side):
        bucket = side.new_bucket()
        side.s3().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        side.put(Bucket=bucket)
        for year in (2037, 2036):
            until = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
            side.ask(
                "put_object_retention", "key", Bucket=bucket, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until}
            )

    assert same_as_direct(call).status == 403


@pytest.mark.parametrize(
    "operation", ["get_object_retention", "get_object_legal_hold", "get_object_lock_configuration"]
)
def test_a_lock_in_a_bucket_without_locks(same_as_direct, operation):
    def call(side):
        side.put()
        side.ask(operation, "" if operation.endswith("configuration") else "key")

    assert same_as_direct(call).status >= 400


def test_an_object_under_a_customers_key(same_as_direct):
    def call(side):
        side.send("PUT", side.target(), customer_key(), b"secret body")
        side.send("HEAD", side.target(), customer_key())
        side.send("GET", side.target(), {**customer_key(), "Range": "bytes=2-5"})
        side.send("GET", side.target(), customer_key())

    answer = same_as_direct(call)
    assert (answer.status, answer.body) == (200, b"secret body")
    assert answer.header("x-amz-server-side-encryption-customer-algorithm") == "AES256"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        customer_key(b"another-key-of-thirty-two-octets"),
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {**customer_key(), "x-amz-server-side-encryption-customer-key-md5": "AAAAAAAAAAAAAAAAAAAAAA=="},
    ],
    ids=["no key", "another key", "half a key", "wrong digest"],
)
def test_an_object_under_a_customers_key_without_the_key(same_as_direct, headers):
    def call(side):
        side.send("PUT", side.target(), customer_key(), b"secret body")
        side.send("GET", side.target(), headers)

    assert same_as_direct(call).status in (400, 403)


def test_parts_under_a_customers_key(same_as_direct):
    def call(side):
        begun = side.send("POST", side.target(query="uploads="), customer_key())
        upload = begun.element("UploadId")
        query = f"partNumber=1&uploadId={upload}"
        part = side.send("PUT", side.target(query=query), customer_key(), b"secret part")
        document = f"<Part><PartNumber>1</PartNumber><ETag>{part.header('etag')}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
        side.send("POST", side.target(query=f"uploadId={upload}"), body=document.encode())
        side.send("GET", side.target(), customer_key())

    assert same_as_direct(call).body == b"secret part"
