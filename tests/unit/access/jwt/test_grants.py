"""What a token's claims allow, and what bearers try to get beyond that."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.access.authorizer import AccessRequest, Decision
from osp_gateway.access.compose import unanimous
from osp_gateway.access.identity import Identity, frozen
from osp_gateway.access.jwt.grants import JwtAuthorizer
from osp_gateway.access.jwt.model import IssuerModel
from support.tokens import ISSUER, trusting


def asked(operation: str = "GetObject", bucket: str = "demo", key: str = "key", **more: Any) -> AccessRequest:
    claims = frozen({"iss": ISSUER, "sub": "alice", **more.pop("claims", {})})
    return AccessRequest(
        token="t",
        bucket=bucket,
        method="GET",
        path="/",
        query=MappingProxyType(more.pop("query", {})),
        headers=MappingProxyType(more.pop("headers", {})),
        operation=operation,
        key=key,
        source="192.0.2.7",
        identity=Identity("t", "alice", claims=claims),
    )


def authorizer(*grants: dict[str, Any]) -> JwtAuthorizer:
    model = IssuerModel.model_validate(trusting(grants=[{"buckets": "*", "actions": "*", **grant} for grant in grants]))
    return JwtAuthorizer({ISSUER: [grant.grant() for grant in model.grants]})


async def decided(request: AccessRequest, *grants: dict[str, Any]) -> bool:
    decision = await authorizer(*grants)(request)
    assert decision.decisive
    return decision.allowed


async def test_a_grant_is_a_claim_a_value_buckets_prefixes_and_actions() -> None:
    grant = {
        "claim": "groups",
        "value": "analysts",
        "buckets": ["reports-*"],
        "prefixes": ["${sub}/"],
        "actions": ["s3:GetObject", "s3:ListBucket"],
    }
    groups = {"groups": ["staff", "analysts"]}
    assert await decided(asked(bucket="reports-2026", key="alice/x", claims=groups), grant)
    assert await decided(asked("ListObjectsV2", "reports-2026", "", query={"prefix": "alice/"}, claims=groups), grant)
    assert not await decided(asked(bucket="reports-2026", key="alice/x", claims={"groups": ["staff"]}), grant)
    assert not await decided(asked(bucket="reports-2026", key="bob/x", claims=groups), grant)
    assert not await decided(asked(bucket="other", key="alice/x", claims=groups), grant)
    assert not await decided(asked("PutObject", "reports-2026", "alice/x", claims=groups), grant)


# Claims


@pytest.mark.parametrize("held", ["analysts", ["analysts"], ["staff", "analysts"], ["staff", 7, None, "analysts"]])
async def test_a_value_may_be_the_claim_or_one_of_a_list(held: object) -> None:
    assert await decided(asked(claims={"groups": held}), {"claim": "groups", "value": "analysts"})


@pytest.mark.parametrize(
    "held",
    [
        None,
        "",
        "Analysts",
        "analysts ",
        "analysts,staff",
        "*",
        ["*"],
        [["analysts"]],
        {"analysts": True},
        [{}],
        True,
        1,
        ["analyst"],
        ["an", "alysts"],
        {"0": "analysts"},
    ],
    ids=str,
)
async def test_nothing_else_is_the_value(held: object) -> None:
    assert not await decided(asked(claims={"groups": held}), {"claim": "groups", "value": "analysts"})


@pytest.mark.parametrize(
    ("wanted", "held"), [(True, 1), (1, True), (1, "1"), ("1", 1), (True, "true"), (0, False), (1, 1.0)]
)
async def test_values_of_other_types_are_other_values(wanted: object, held: object) -> None:
    assert not await decided(asked(claims={"c": held}), {"claim": "c", "value": wanted})


@pytest.mark.parametrize("value", [True, 7, "x"])
async def test_values_of_the_same_type_are_the_same(value: object) -> None:
    assert await decided(asked(claims={"c": value}), {"claim": "c", "value": value})
    assert await decided(asked(claims={"c": value}), {"claim": "c", "value": ["other", value]})


async def test_a_claim_within_others_is_found_by_its_path() -> None:
    grant = {"claim": "realm_access.roles", "value": "writer"}
    assert await decided(asked(claims={"realm_access": {"roles": ["writer"]}}), grant)
    assert not await decided(asked(claims={"realm_access.roles": ["writer"]}), grant)
    assert not await decided(asked(claims={"realm_access": ["roles", "writer"]}), grant)
    assert not await decided(asked(claims={"realm_access": "roles"}), grant)


async def test_a_claim_with_dots_in_its_name_is_written_as_a_list() -> None:
    grant = {"claim": ["https://example.test/roles"], "value": "writer"}
    assert await decided(asked(claims={"https://example.test/roles": ["writer"]}), grant)


async def test_a_grant_without_a_claim_is_for_every_bearer() -> None:
    assert await decided(asked(), {"buckets": ["demo"], "actions": ["GetObject"]})


# Buckets


@pytest.mark.parametrize(
    ("pattern", "bucket", "fits"),
    [
        ("demo", "demo", True),
        ("demo", "demo2", False),
        ("demo", "xdemo", False),
        ("demo", "Demo", False),
        ("de?o", "demo", True),
        ("d*", "demo", True),
        ("d.mo", "demo", False),
        ("[d]emo", "demo", False),
        ("d*o", "demo\n", False),
        ("*", "*", True),
        ("reports-*", "*", False),
        ("${sub}-home", "alice-home", True),
        ("${sub}-home", "bob-home", False),
        ("home", "home\n", False),
    ],
)
async def test_a_bucket_is_matched_whole(pattern: str, bucket: str, fits: bool) -> None:
    assert await decided(asked(bucket=bucket), {"buckets": [pattern]}) is fits


@pytest.mark.parametrize("sub", ["*", "?????", "a*", ".*", "alice|", "[a-z]*", "${sub}", "$", "\\", "(alice)"])
async def test_a_claims_characters_mean_nothing_in_a_pattern(sub: str) -> None:
    grant = {"buckets": ["${sub}-home"]}
    for bucket in ("alice-home", "other-home", "-home"):
        assert not await decided(asked(bucket=bucket, claims={"sub": sub}), grant)


# Prefixes


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("alice/x", True),
        ("alice/", True),
        ("alice/bob/x", True),
        ("alice", False),
        ("alicex/x", False),
        ("Alice/x", False),
        ("bob/x", False),
        ("bob/alice/x", False),
        ("/alice/x", False),
        ("alice/../bob/x", False),
        ("alice/./x", False),
        ("alice/..", False),
        ("", False),
    ],
)
async def test_a_key_must_lie_below_the_prefix(key: str, fits: bool) -> None:
    assert await decided(asked(key=key), {"prefixes": ["${sub}/"]}) is fits


@pytest.mark.parametrize(
    "sub",
    [
        "",
        ".",
        "..",
        "/",
        "a/b",
        "../bob",
        "bob/",
        "/bob",
        "a\\b",
        "a\nb",
        "a\x00",
        " bob",
        "bob ",
        None,
        True,
        1.5,
        ["bob"],
        {"x": "bob"},
        "x" * 257,
        "\u202ebob",
    ],
    ids=repr,
)
async def test_a_claim_that_is_no_plain_name_fills_no_template(sub: object) -> None:
    grant = {"prefixes": ["${sub}/", "home/${sub}/"], "buckets": ["demo"]}
    for key in (
        "/x",
        "./x",
        "../x",
        "bob/x",
        "a/b/x",
        "home//x",
        "home/x",
        "True/x",
        "1.5/x",
        "None/x",
        "home/../x",
        f"{sub}/x",
    ):
        assert not await decided(asked(key=key, claims={"sub": sub}), grant)


async def test_a_number_is_a_plain_name() -> None:
    assert await decided(asked(key="7/x", claims={"tenant": 7}), {"prefixes": ["${tenant}/"]})


async def test_a_missing_claim_fills_no_template() -> None:
    assert not await decided(asked(key="/x"), {"prefixes": ["${tenant}/"]})
    assert not await decided(asked(key="${tenant}/x"), {"prefixes": ["${tenant}/"]})
    assert not await decided(asked(bucket="-home"), {"buckets": ["${tenant}-home"]})


@given(st.text(max_size=12), st.text(max_size=20), st.text(max_size=20))
async def test_whoever_one_is_nobody_elses_keys_are_reached(sub: str, other: str, rest: str) -> None:
    if sub != other:
        request = asked(key=f"home/{other}/{rest}", claims={"sub": sub})
        decision = await authorizer({"prefixes": ["home/${sub}/"]})(request)
        assert not decision.allowed or other.startswith(f"{sub}/")


@pytest.mark.parametrize("operation", ["ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"])
@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"prefix": "alice/"}, True),
        ({"prefix": "alice/x"}, True),
        ({"prefix": "alice/", "delimiter": "/"}, True),
        ({"prefix": "alice"}, False),
        ({"prefix": ""}, False),
        ({}, False),
        ({"prefix": "bob/"}, False),
        ({"prefix": "alice/../"}, False),
        ({"Prefix": "alice/"}, False),
        ({"start-after": "alice/"}, False),
        ({"marker": "alice/", "delimiter": "alice/"}, False),
    ],
)
async def test_a_listing_needs_its_prefix_below_the_granted_one(
    operation: str, query: dict[str, str], fits: bool
) -> None:
    assert await decided(asked(operation, key="", query=query), {"prefixes": ["${sub}/"]}) is fits


@pytest.mark.parametrize(
    "operation", ["DeleteBucket", "PutBucketPolicy", "GetBucketAcl", "CreateBucket", "ListBuckets", "HeadBucket"]
)
async def test_below_a_prefix_the_bucket_as_such_is_nobodys(operation: str) -> None:
    grant = {"prefixes": ["${sub}/"]}
    assert not await decided(asked(operation, key=""), grant)
    assert not await decided(asked(operation, key="", query={"prefix": "alice/"}), grant)
    assert await decided(asked(operation, key=""), {"buckets": ["demo"]})


async def test_the_keys_of_a_batch_are_what_needs_the_prefix() -> None:
    """The gateway asks about each key as a DeleteObject."""
    grant = {"prefixes": ["${sub}/"], "actions": ["s3:DeleteObject"]}
    assert await decided(asked("DeleteObjects", key=""), grant)
    assert await decided(asked("DeleteObject", key="alice/x"), grant)
    assert not await decided(asked("DeleteObject", key="bob/x"), grant)
    assert not await decided(asked("DeleteObjects", key=""), {"actions": ["s3:GetObject"]})


# Actions


@pytest.mark.parametrize(
    ("action", "operation", "fits"),
    [
        ("s3:GetObject", "GetObject", True),
        ("s3:GetObject", "HeadObject", True),
        ("s3:GetObject", "GetObjectAcl", False),
        ("s3:GetObject*", "GetObjectAcl", True),
        ("s3:PutObject", "UploadPart", True),
        ("s3:PutObject", "CompleteMultipartUpload", True),
        ("s3:PutObject", "CopyObject", True),
        ("s3:PutObject", "PostObject", True),
        ("s3:PutObject", "PutObjectAcl", False),
        ("s3:PutObject", "DeleteObject", False),
        ("s3:ListBucket", "ListObjectsV2", True),
        ("s3:ListBucket", "HeadBucket", True),
        ("s3:ListBucket", "ListObjectVersions", False),
        ("s3:List*", "ListBuckets", True),
        ("s3:Get?bject", "GetObject", True),
        ("S3:GetObject", "GetObject", False),
        ("s3:getobject", "GetObject", False),
        ("GetObject", "GetObject", True),
        ("GetObject", "HeadObject", False),
        ("PutObject", "UploadPart", False),
        ("Get*", "GetObjectAcl", True),
        ("*", "DeleteBucket", True),
        ("s3:*", "DeleteBucket", True),
    ],
)
async def test_an_action_is_an_operations_name_or_iams(action: str, operation: str, fits: bool) -> None:
    try:
        found = await decided(asked(operation), {"actions": [action]})
    except ValueError:
        found = False
    assert found is fits


@pytest.mark.parametrize("operation", ["GetObject", "HeadObject", "DeleteObject", "GetObjectTagging"])
async def test_a_version_is_an_action_of_its_own(operation: str) -> None:
    request = asked(operation, query={"versionId": "v"})
    iam = {"HeadObject": "GetObject"}.get(operation, operation)
    assert not await decided(request, {"actions": [f"s3:{iam}"]})
    of_version = {"GetObjectTagging": "GetObjectVersionTagging"}.get(iam, f"{iam}Version")
    assert await decided(request, {"actions": [f"s3:{of_version}"]})


@pytest.mark.parametrize(
    ("header", "action"),
    [
        ("x-amz-acl", "PutObjectAcl"),
        ("x-amz-grant-read", "PutObjectAcl"),
        ("x-amz-grant-full-control", "PutObjectAcl"),
        ("x-amz-tagging", "PutObjectTagging"),
        ("x-amz-object-lock-mode", "PutObjectRetention"),
        ("x-amz-object-lock-legal-hold", "PutObjectLegalHold"),
    ],
)
async def test_a_header_that_does_more_needs_more(header: str, action: str) -> None:
    request = asked("PutObject", headers={header: "value"})
    for style in ("s3:", ""):
        assert not await decided(request, {"actions": [f"{style}PutObject"]})
        assert await decided(request, {"actions": [f"{style}PutObject", f"{style}{action}"]})


async def test_a_deletion_past_a_retention_needs_more() -> None:
    request = asked("DeleteObject", headers={"x-amz-bypass-governance-retention": "true"})
    assert not await decided(request, {"actions": ["s3:DeleteObject"]})
    assert await decided(request, {"actions": ["s3:DeleteObject", "s3:BypassGovernanceRetention"]})


async def test_a_bucket_made_public_needs_more() -> None:
    request = asked("CreateBucket", key="", headers={"x-amz-acl": "public-read"})
    assert not await decided(request, {"actions": ["s3:CreateBucket", "s3:PutObjectAcl"]})
    assert await decided(request, {"actions": ["s3:CreateBucket", "s3:PutBucketAcl"]})


async def test_grants_add_up_each_for_its_own_place() -> None:
    grants = (
        {"buckets": ["demo"], "actions": ["s3:GetObject"]},
        {"buckets": ["demo"], "prefixes": ["${sub}/"], "actions": ["s3:PutObject"]},
    )
    assert await decided(asked("GetObject", key="bob/x"), *grants)
    assert await decided(asked("PutObject", key="alice/x"), *grants)
    assert not await decided(asked("PutObject", key="bob/x"), *grants)
    assert not await decided(asked("GetObject", bucket="other"), *grants)


# Composition


async def test_callers_without_a_token_are_not_its_business() -> None:
    request = asked()
    plain = AccessRequest(
        "k",
        "demo",
        "GET",
        "/",
        request.query,
        request.headers,
        "GetObject",
        "key",
        "192.0.2.7",
        identity=Identity("k", "k"),
    )
    assert not (await authorizer({})(plain)).decisive
    assert not (await authorizer({})(asked(claims={"iss": "https://other.example.test"}))).decisive
    assert not (await authorizer({})(asked(claims={"iss": 7}))).decisive
    assert not (await JwtAuthorizer({ISSUER: []})(request)).decisive


async def test_a_denial_stands_whatever_others_say() -> None:
    async def yes(_: AccessRequest) -> Decision:
        return Decision(True, "yes")

    joined = unanimous(yes, authorizer({"buckets": ["other"]}))
    assert not (await joined(asked())).allowed


async def test_one_issuers_grants_are_not_anothers() -> None:
    model = IssuerModel.model_validate(trusting(grants=[{"buckets": "*", "actions": "*"}]))
    two = JwtAuthorizer({"https://other.example.test": [model.grants[0].grant()], ISSUER: []})
    assert not (await two(asked())).allowed


async def test_reasons_tell_nothing_of_the_claims() -> None:
    decision = await authorizer({"buckets": ["other"]})(asked(claims={"sub": "marker"}))
    assert "marker" not in decision.reason
