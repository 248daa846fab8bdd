"""Condition operators, and what a key that the request does not have means to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from osp_gateway.access.authorizer import AccessRequest
from osp_gateway.access.identity import Identity, frozen
from support.policies import NOW, about, allows, bearer, document, statement


def holds(operator: str, key: str, values: Any, request: AccessRequest) -> bool:
    """Whether a condition lets an Allow through."""
    return allows(document(statement(Condition={operator: {key: values}})), request)


def denies(operator: str, key: str, values: Any, request: AccessRequest) -> bool:
    """Whether a condition lets a Deny through."""
    return not allows(document(statement(), statement("Deny", Condition={operator: {key: values}})), request)


def listing(**query: str) -> AccessRequest:
    return about("ListObjectsV2", query={name.replace("_", "-"): value for name, value in query.items()})


A, NONE = listing(delimiter="/"), listing()


@pytest.mark.parametrize(
    ("operator", "values", "there", "missing"),
    [
        ("StringEquals", "/", True, False),
        ("StringEquals", "-", False, False),
        ("StringEquals", ["-", "/"], True, False),
        ("StringNotEquals", "/", False, True),
        ("StringNotEquals", ["-", "/"], False, True),
        ("StringNotEquals", "-", True, True),
        ("StringLike", "?", True, False),
        ("StringLike", "*", True, False),
        ("StringNotLike", "*", False, True),
        ("StringEqualsIfExists", "/", True, True),
        ("StringEqualsIfExists", "-", False, True),
        ("StringNotEqualsIfExists", "/", False, True),
        ("ForAllValues:StringEquals", "-", False, True),
        ("ForAllValues:StringEquals", "/", True, True),
        ("ForAnyValue:StringEquals", "/", True, False),
        ("ForAnyValue:StringNotEquals", "/", False, False),
        ("ForAnyValue:StringNotEquals", "-", True, False),
        ("ForAllValues:StringNotEquals", "/", False, True),
        ("Null", "true", False, True),
        ("Null", "false", True, False),
    ],
)
def test_what_a_missing_key_means(operator: str, values: Any, there: bool, missing: bool) -> None:
    assert (holds(operator, "s3:delimiter", values, A), holds(operator, "s3:delimiter", values, NONE)) == (
        there,
        missing,
    )
    assert (denies(operator, "s3:delimiter", values, A), denies(operator, "s3:delimiter", values, NONE)) == (
        there,
        missing,
    )


GROUPS = about(identity=bearer(sub="u", groups=["dev", "ops"], level=7, admin=True, exp=NOW + 60, deep={"a": 1}))


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("StringEquals", "jwt:groups", "ops", True),
        ("StringNotEquals", "jwt:groups", "ops", False),
        ("StringNotEquals", "jwt:groups", "hr", True),
        ("ForAllValues:StringEquals", "jwt:groups", ["dev", "ops", "hr"], True),
        ("ForAllValues:StringEquals", "jwt:groups", ["dev", "hr"], False),
        ("ForAnyValue:StringEquals", "jwt:groups", ["dev", "hr"], True),
        ("ForAnyValue:StringNotEquals", "jwt:groups", ["dev"], True),
        ("ForAnyValue:StringNotEquals", "jwt:groups", ["dev", "ops"], False),
        ("ForAllValues:StringNotEquals", "jwt:groups", ["hr"], True),
        ("ForAllValues:StringNotEquals", "jwt:groups", ["ops"], False),
        ("StringEqualsIgnoreCase", "jwt:sub", "U", True),
        ("StringEquals", "jwt:sub", "U", False),
        ("StringNotEqualsIgnoreCase", "jwt:sub", "U", False),
        ("StringEquals", "jwt:Sub", "u", False),
        ("StringEquals", "JWT:sub", "u", True),
        ("NumericEquals", "jwt:level", "7", True),
        ("NumericEquals", "jwt:level", 7.0, True),
        ("NumericNotEquals", "jwt:level", 7, False),
        ("NumericLessThan", "jwt:level", 7, False),
        ("NumericLessThanEquals", "jwt:level", 7, True),
        ("NumericGreaterThan", "jwt:level", 6, True),
        ("NumericGreaterThanEquals", "jwt:level", 8, False),
        ("Bool", "jwt:admin", True, True),
        ("Bool", "jwt:admin", "false", False),
        ("DateGreaterThan", "jwt:exp", "2026-01-01T12:00:30Z", True),
        ("StringLike", "jwt:deep", "*", False),
        ("Null", "jwt:deep", "true", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01T12:00:01Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01T12:00:00Z", False),
        ("DateEquals", "aws:CurrentTime", "2026-01-01T13:00:00+01:00", True),
        ("DateGreaterThanEquals", "aws:EpochTime", "2026-01-01", True),
        ("NumericEquals", "aws:EpochTime", int(NOW), True),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", True),
        ("IpAddress", "aws:SourceIp", ["198.51.100.0/24", "192.0.2.7"], True),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", False),
        ("IpAddress", "aws:SourceIp", "2001:db8::/32", False),
        ("StringEquals", "aws:username", "u", True),
        ("Bool", "aws:SecureTransport", "false", True),
    ],
)
def test_operators(operator: str, key: str, values: Any, expected: bool) -> None:
    assert holds(operator, key, values, GROUPS) is expected


@pytest.mark.parametrize("source", ["::ffff:192.0.2.7", "192.0.2.7"])
def test_an_address_has_two_spellings(source: str) -> None:
    assert holds("IpAddress", "aws:SourceIp", "192.0.2.0/24", about(source=source))
    assert denies("IpAddress", "aws:SourceIp", "192.0.2.0/24", about(source=source))


@pytest.mark.parametrize(
    ("operator", "key", "value", "request_"),
    [
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", about(source="unix:")),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", about(source="unix:")),
        ("NumericLessThan", "s3:max-keys", 10, listing(max_keys="5x")),
        ("NumericGreaterThan", "s3:max-keys", 10, listing(max_keys="5x")),
        ("NumericLessThan", "s3:max-keys", 10, listing(max_keys=" 5")),
        ("NumericLessThan", "s3:max-keys", 10, listing(max_keys="٥")),
        ("Bool", "jwt:admin", "true", about(identity=bearer(admin="yes"))),
        ("DateLessThan", "jwt:exp", "2027-01-01", about(identity=bearer(exp="soon"))),
        ("StringLike", "s3:prefix", "a/*", listing(prefix="a/../private/")),
        ("StringNotLike", "s3:prefix", "a/*", listing(prefix="a/../private/")),
        ("StringEquals", "s3:RequestObjectTag/k", "v", about("PutObjectTagging", "key")),
        ("StringNotEquals", "s3:RequestObjectTag/k", "v", about("PutObjectTagging", "key")),
        ("Null", "s3:RequestObjectTag/k", "true", about("PutObjectTagging", "key")),
        ("StringEqualsIfExists", "s3:RequestObjectTag/k", "v", about("PutObjectTagging", "key")),
        ("ForAllValues:StringEquals", "s3:RequestObjectTagKeys", "v", about("PutObjectTagging", "key")),
        ("StringEquals", "s3:RequestObjectTag/k", "v", about("PutObject", "key", headers={"x-amz-tagging": "k=a&k=v"})),
        ("StringEquals", "s3:RequestObjectTag/k", "v w", about("PutObject", "key", headers={"x-amz-tagging": "k=v+w"})),
        ("StringEquals", "s3:RequestObjectTag/k", "v", about("PutObject", "key", headers={"x-amz-tagging": "k"})),
        ("StringEquals", "s3:RequestObjectTag/k", "v", about("PostObject", "key", headers={"tagging": "<x/>"})),
        ("StringEquals", "s3:x-amz-acl", "private", about("PutObjectAcl", "key")),
        ("StringNotEquals", "s3:x-amz-acl", "private", about("PutBucketAcl")),
        ("StringEquals", "s3:object-lock-mode", "GOVERNANCE", about("PutObjectRetention", "key")),
        ("StringEquals", "s3:object-lock-legal-hold", "ON", about("PutObjectLegalHold", "key")),
        ("NumericLessThan", "s3:object-lock-remaining-retention-days", 10, about("PutObjectRetention", "key")),
        (
            "NumericLessThan",
            "s3:object-lock-remaining-retention-days",
            10,
            about("PutObject", "key", headers={"x-amz-object-lock-retain-until-date": "someday"}),
        ),
    ],
)
def test_what_cannot_be_read_is_no_reason_to_allow_but_one_to_deny(
    operator: str, key: str, value: Any, request_: AccessRequest
) -> None:
    assert not holds(operator, key, value, request_)
    assert denies(operator, key, value, request_)


def upload(headers: Mapping[str, str] = {}, operation: str = "PutObject") -> AccessRequest:
    return about(operation, "key", headers=headers)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        ("s3:x-amz-acl", "public-read", {"x-amz-acl": "public-read"}),
        ("s3:x-amz-acl", "public-read", {"x-amz-acl": " Public-Read "}),
        ("s3:x-amz-grant-read", "id=1", {"x-amz-grant-read": "id=1"}),
        ("s3:x-amz-storage-class", "GLACIER", {"x-amz-storage-class": "glacier"}),
        ("s3:x-amz-server-side-encryption", "aws:kms", {"x-amz-server-side-encryption": "aws:kms"}),
        ("s3:object-lock-mode", "COMPLIANCE", {"x-amz-object-lock-mode": "compliance"}),
        ("s3:object-lock-legal-hold", "ON", {"x-amz-object-lock-legal-hold": "on"}),
        (
            "s3:object-lock-remaining-retention-days",
            "2",
            {"x-amz-object-lock-retain-until-date": "2026-01-03T13:00:00Z"},
        ),
        ("s3:RequestObjectTag/k e", "a b", {"x-amz-tagging": "x=1&k%20e=a%20b"}),
        ("s3:RequestObjectTagKeys", "x", {"x-amz-tagging": "x=1&y="}),
        ("s3:x-amz-copy-source", "demo/a b", {"x-amz-copy-source": "/demo/a%20b?versionId=3"}),
        ("s3:x-amz-copy-source", "demo/\xe9", {"x-amz-copy-source": "demo/\xc3\xa9"}),
        ("s3:x-amz-copy-source", "demo/\xe9", {"x-amz-copy-source": "demo%2F%C3%A9"}),
        ("s3:if-none-match", "*", {"if-none-match": "*"}),
        ("aws:Referer", "https://example.test/", {"referer": "https://example.test/"}),
    ],
)
def test_keys_of_headers(key: str, value: str, headers: dict[str, str]) -> None:
    request = about("CopyObject" if "x-amz-copy-source" in headers else "PutObject", "key", headers=headers)
    assert holds("StringEquals", key, value, request)
    assert denies("StringEquals", key, value, request)
    assert not holds("StringEquals", key, value, upload())


@pytest.mark.parametrize("operation", ["UploadPart", "UploadPartCopy", "CompleteMultipartUpload"])
def test_what_was_settled_when_the_upload_began_is_not_asked_again(operation: str) -> None:
    encrypted = {"s3:x-amz-server-side-encryption": "aws:kms"}
    policy = document(statement(), statement("Deny", Action="s3:PutObject", Condition={"StringNotEquals": encrypted}))
    assert allows(policy, upload({}, operation))
    assert not allows(policy, upload({}, "CreateMultipartUpload"))
    assert not allows(policy, upload({}))
    assert not allows(policy, upload({"x-amz-server-side-encryption": "AES256"}, operation))
    assert holds("StringEquals", "s3:x-amz-server-side-encryption", "aws:kms", upload({}, operation))


@pytest.mark.parametrize("query", [{}, {"prefix": ""}])
def test_a_listing_without_a_prefix_is_one_with_an_empty_prefix(query: dict[str, str]) -> None:
    request = about("ListObjectsV2", query=query)
    assert holds("StringEquals", "s3:prefix", "", request)
    assert holds("Null", "s3:prefix", "true", request)
    for operator in ("StringLike", "StringLikeIfExists", "ForAllValues:StringLike", "ForAnyValue:StringLike"):
        assert not holds(operator, "s3:prefix", "a/*", request)
    assert denies("StringNotLike", "s3:prefix", "a/*", request)


@pytest.mark.parametrize(
    "query",
    [
        {"prefix": "b/"},
        {"prefix": "A/"},
        {"prefix": "a"},
        {"prefix": "/a/"},
        {"prefix": "%61/"},
        {"prefix": "", "delimiter": "/", "start-after": "a/"},
        {"start-after": "a/"},
        {"marker": "a/", "delimiter": "a/"},
        {"continuation-token": "a/", "list-type": "2"},
        {"key-marker": "a/"},
        {"Prefix": "a/"},
    ],
    ids=str,
)
@pytest.mark.parametrize("operation", ["ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"])
def test_who_may_list_one_prefix_lists_no_other(operation: str, query: dict[str, str]) -> None:
    policy = document(statement(Condition={"StringLike": {"s3:prefix": ["a/*"]}}))
    assert allows(policy, about(operation, query={"prefix": "a/"}))
    assert allows(policy, about(operation, query={"prefix": "a/b", "marker": "a/c"}))
    assert not allows(policy, about(operation, query=query))


def test_a_prefix_is_no_property_of_other_operations() -> None:
    policy = document(statement(Condition={"StringLike": {"s3:prefix": "a/*"}}))
    assert not allows(policy, about("GetObject", "a/x", query={"prefix": "a/"}))


def test_arns_match_part_by_part() -> None:
    request = about(identity=bearer(arn="arn:aws:iam::1:role/team/x:y"))
    assert holds("ArnLike", "jwt:arn", "arn:aws:iam::*:role/*", request)
    assert holds("ArnEquals", "jwt:arn", "arn:*:iam::1:role/${jwt:none, 'team'}/x:y", request)
    assert not holds("ArnLike", "jwt:arn", "arn:aws:*:role/*:*:*", request)
    assert holds("ArnNotLike", "jwt:arn", "arn:aws:iam::2:*", request)
    assert not holds("ArnLike", "jwt:arn", "arn:aws:iam::*:*", about(identity=bearer(arn="no:arn")))


SESSION = Identity(
    "key", "arn:aws:iam::1:role/r", "s", claims=frozen({"tags": {"team": "red"}, "web_identity": {"sub": "w"}})
)


def test_a_session_has_the_tags_and_the_token_that_it_began_with() -> None:
    request = about(identity=SESSION)
    assert holds("StringEquals", "aws:PrincipalTag/team", "red", request)
    assert holds("StringEquals", "jwt:sub", "w", request)
    assert holds("StringEquals", "aws:userid", "arn:aws:iam::1:role/r:s", request)


def test_tags_of_a_token_are_those_of_the_claim_for_them() -> None:
    claims = {"https://aws.amazon.com/tags": {"principal_tags": {"team": ["red"]}}, "tags": {"team": "blue"}}
    request = about(identity=bearer(**claims))
    assert holds("StringEquals", "aws:PrincipalTag/team", "red", request)
    assert not holds("StringEquals", "aws:PrincipalTag/team", "blue", request)


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike"])
def test_a_variable_in_a_condition(operator: str) -> None:
    assert holds(operator, "s3:prefix", "home/${aws:username}/", listing(prefix="home/alice/"))
    assert not holds(operator, "s3:prefix", "home/${aws:username}/", listing(prefix="home/bob/"))


def test_a_variable_without_value_allows_nothing_even_negated() -> None:
    for operator in ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "ForAllValues:StringNotEquals"):
        assert not holds(operator, "s3:prefix", "${jwt:home}", listing(prefix="x"))
    assert denies("StringNotEquals", "s3:prefix", "${jwt:home}", listing(prefix="x"))
    assert holds("StringEquals", "s3:prefix", "${jwt:home, 'x'}", listing(prefix="x"))


def test_a_claim_of_several_values_is_no_variable() -> None:
    policy = document(statement(Resource="arn:aws:s3:::demo/${jwt:groups}/*"))
    assert not allows(policy, about(key="dev/x", identity=bearer(groups=["dev", "ops"])))
    assert allows(policy, about(key="dev/x", identity=bearer(groups=["dev"])))
