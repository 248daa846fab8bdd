"""What is set on a bucket: ACL, policy, CORS, lifecycle, website, tags, encryption, ownership."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("own_buckets")

CORS = {
    "CORSRules": [
        {
            "ID": "one",
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["http://app.example.test", "http://*.other.test"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "x-amz-meta-a"],
            "MaxAgeSeconds": 600,
        }
    ]
}
LIFECYCLE = {
    "Rules": [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}},
        {
            "ID": "tagged",
            "Status": "Disabled",
            "Filter": {"And": {"Prefix": "t/", "Tags": [{"Key": "a", "Value": "b & c"}]}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        },
        {
            "ID": "parts",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
        },
    ]
}
WEBSITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
    ],
}
TAGS = {"TagSet": [{"Key": "project", "Value": "osp"}, {"Key": "ü & <x>", "Value": "a+b/c=d"}]}


def policy(*, principal="*", action="s3:GetObject", effect="Allow"):
    statement = {"Effect": effect, "Principal": principal, "Action": [action], "Resource": ["arn:aws:s3:::*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


SETTINGS = [
    ("cors", {"CORSConfiguration": CORS}, "delete_bucket_cors"),
    ("lifecycle_configuration", {"LifecycleConfiguration": LIFECYCLE}, "delete_bucket_lifecycle"),
    ("website", {"WebsiteConfiguration": WEBSITE}, "delete_bucket_website"),
    ("tagging", {"Tagging": TAGS}, "delete_bucket_tagging"),
    ("policy", {"Policy": policy()}, "delete_bucket_policy"),
    ("acl", {"ACL": "public-read"}, None),
    ("versioning", {"VersioningConfiguration": {"Status": "Suspended"}}, None),
    ("request_payment", {"RequestPaymentConfiguration": {"Payer": "Requester"}}, None),
    (
        "public_access_block",
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "IgnorePublicAcls": False}},
        "delete_public_access_block",
    ),
]


def named(verb, setting):
    return f"{verb}_{setting}" if setting == "public_access_block" else f"{verb}_bucket_{setting}"


@pytest.mark.parametrize(("setting", "arguments", "deletion"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_a_setting_is_absent_set_read_replaced_and_removed(same_as_direct, setting, arguments, deletion):
    def call(side):
        side.tried(named("get", setting))
        side.ask(named("put", setting), **arguments)
        side.ask(named("get", setting))
        side.ask(named("put", setting), **arguments)
        if deletion:
            side.ask(deletion)
            side.tried(named("get", setting))
        side.s3().head_bucket(Bucket=side.bucket)

    assert same_as_direct(call).status == 200


@pytest.mark.parametrize(("setting", "arguments", "_"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_a_setting_reads_the_same_both_ways(same_as_direct, cluster, setting, arguments, _):
    bucket = same_as_direct.buckets[0]
    getattr(cluster.s3(), named("put", setting))(Bucket=bucket, **arguments)
    assert same_as_direct.reading(lambda side: side.ask(named("get", setting))).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "location",
        "encryption",
        "logging",
        "notification",
        "policyStatus",
        "replication",
        "object-lock",
        "ownershipControls",
        "accelerate",
        "inventory",
        "analytics",
        "metrics",
        "intelligent-tiering",
        "uploads",
        "versions",
    ],
)
def test_a_setting_that_was_not_made(same_as_direct, query):
    assert same_as_direct(lambda side: side.send("GET", f"/{side.bucket}?{query}")).status in (200, 404, 405, 501)


@pytest.mark.parametrize("query", ["cors", "lifecycle", "website", "tagging", "policy", "acl", "versioning"])
@pytest.mark.parametrize("document", [b"", b"<broken", b"{}", b"<Wrong/>"])
def test_a_setting_in_a_broken_document(same_as_direct, query, document):
    answer = same_as_direct(lambda side: side.send("PUT", f"/{side.bucket}?{query}", body=document))
    assert answer.status in (200, 204, 400, 411)


def test_a_policy_in_which_nobody_can_be_named(same_as_direct):
    nobody = {"AWS": "arn:aws:iam:::user/nobody"}
    assert same_as_direct(lambda side: side.ask("put_bucket_policy", Policy=policy(principal=nobody))).status >= 200


def test_another_user_may_read_what_the_policy_says(same_as_direct):
    def call(side):
        side.put(body=b"shared")
        side.tried("get_object", "key", user="bob")
        side.ask("put_bucket_policy", Policy=policy(principal={"AWS": ["arn:aws:iam:::user/bob"]}))
        side.tried("put_object", "key", user="bob")
        side.ask("get_object", "key", user="bob")

    assert same_as_direct(call).body == b"shared"


def test_a_policy_may_deny_the_owner(same_as_direct):
    def call(side):
        side.put()
        side.ask("put_bucket_policy", Policy=policy(action="s3:GetObject", effect="Deny"))
        side.get()

    answer = same_as_direct(call)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("acl", ["private", "public-read", "public-read-write", "authenticated-read"])
def test_a_canned_acl_of_a_bucket(same_as_direct, acl):
    def call(side):
        side.ask("put_bucket_acl", ACL=acl)
        side.ask("get_bucket_acl")
        side.tried("list_objects_v2", user="bob")
        side.tried("put_object", "bobs", user="bob")
        side.ask("list_objects_v2", FetchOwner=True)

    assert same_as_direct(call).status == 200


@pytest.mark.parametrize("acl", ["private", "public-read", "authenticated-read", "bucket-owner-full-control"])
def test_a_canned_acl_of_an_object(same_as_direct, acl):
    def call(side):
        side.put(ACL=acl)
        side.ask("get_object_acl", "key")
        side.tried("get_object", "key", user="bob")

    assert same_as_direct(call).status == (200 if acl in ("public-read", "authenticated-read") else 403)


def test_an_acl_with_grants(same_as_direct):
    def call(side):
        side.put()
        side.ask("put_object_acl", "key", GrantRead='id="bob"', GrantFullControl='id="alice"')
        side.ask("get_object_acl", "key")
        side.ask("get_object", "key", user="bob")

    assert same_as_direct(call).body == b"body"


def test_an_acl_as_a_document(same_as_direct):
    def call(side):
        side.put()
        owner = {"ID": "alice", "DisplayName": "Alice"}
        grants = [
            {"Grantee": {"Type": "CanonicalUser", "ID": "alice"}, "Permission": "FULL_CONTROL"},
            {"Grantee": {"Type": "CanonicalUser", "ID": "bob"}, "Permission": "READ_ACP"},
        ]
        side.ask("put_object_acl", "key", AccessControlPolicy={"Owner": owner, "Grants": grants})
        side.ask("get_object_acl", "key", user="bob")

    assert same_as_direct(call).status == 200


def test_an_acl_for_somebody_unknown(same_as_direct):
    def call(side):
        side.put()
        side.ask("put_object_acl", "key", GrantRead='id="nobody"')

    assert same_as_direct(call).status >= 400
