"""Documents with mistakes are refused, each mistake with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.access.policy import PolicyError, read_policy
from support.policies import document, statement


def problems(written: Any, **how: bool) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        read_policy(written, **how)
    return caught.value.problems


def wrong(**elements: Any) -> tuple[str, ...]:
    return problems(document(statement(), statement(**elements)))


@pytest.mark.parametrize(
    ("elements", "line"),
    [
        ({"effect": "allow"}, "Statement[1].Effect: expected Allow or Deny"),
        ({"Foo": 1}, "Statement[1].Foo: unknown element"),
        ({"Resources": "*"}, "Statement[1].Resources: unknown element, did you mean 'Resource'?"),
        ({"Sid": 7}, "Statement[1].Sid: expected up to 128 letters and digits"),
        ({"Sid": "a\nb"}, "Statement[1].Sid: expected up to 128 letters and digits"),
        ({"NotAction": "s3:*", "Action": "s3:*"}, "Statement[1].Action: expected one of Action and NotAction"),
        ({"NotResource": "*", "Resource": "*"}, "Statement[1].Resource: expected one of Resource and NotResource"),
        ({"Action": []}, "Statement[1].Action: expected an action like s3:GetObject or a list of them"),
        ({"Action": [7]}, "Statement[1].Action: expected an action like s3:GetObject or a list of them"),
        (
            {"Action": "GetObject"},
            "Statement[1].Action: 'GetObject': expected an action like s3:GetObject, s3:Get* or *",
        ),
        ({"Action": "s4:Get*"}, "Statement[1].Action: 's4:Get*' is no action of S3"),
        (
            {"Action": "s3:GetObjects"},
            "Statement[1].Action: 's3:GetObjects' is no action of S3, did you mean 's3:GetObject'?",
        ),
        ({"NotAction": "s3:Zz*"}, "Statement[1].NotAction: 's3:Zz*' is no action of S3"),
        ({"Resource": []}, "Statement[1].Resource: expected a resource like arn:aws:s3:::bucket/key or a list of them"),
        ({"Resource": "demo"}, "Statement[1].Resource: 'demo': expected * or an ARN like arn:aws:s3:::bucket/key"),
        (
            {"Resource": "arn:aws-cn:s3:::demo"},
            "Statement[1].Resource: 'arn:aws-cn:s3:::demo': expected * or an ARN like arn:aws:s3:::bucket/key",
        ),
        (
            {"Resource": "arn:aws:s3:::${user}"},
            "Statement[1].Resource: 'arn:aws:s3:::${user}': unknown condition key 'user'",
        ),
        ({"Principal": "alice"}, 'Statement[1].Principal: expected "*" or {"AWS": ...}'),
        (
            {"Principal": {"Service": "x"}},
            'Statement[1].Principal: expected "*" or {"AWS": ...}: there are no other principals here',
        ),
        (
            {"Principal": {"AWS": "team-*"}},
            "Statement[1].Principal: 'team-*': expected a name or an ARN without wildcards, or * alone",
        ),
        (
            {"NotPrincipal": {"AWS": "alice"}},
            "Statement[1].NotPrincipal: expected with Deny only: with Allow it would let in everybody else, unsigned, too",
        ),
        ({"Condition": []}, "Statement[1].Condition: expected an object of operators, got list"),
        (
            {"Condition": {"StringEqual": {"s3:prefix": "a"}}},
            "Statement[1].Condition.StringEqual: unknown operator, did you mean 'StringEquals'?",
        ),
        (
            {"Condition": {"ForSomeValue:StringEquals": {"s3:prefix": "a"}}},
            "Statement[1].Condition.ForSomeValue:StringEquals: unknown operator, did you mean 'StringEquals'?",
        ),
        (
            {"Condition": {"stringequals": {"s3:prefix": "a"}}},
            "Statement[1].Condition.stringequals: unknown operator, did you mean 'StringEquals'?",
        ),
        (
            {"Condition": {"StringEquals": {}}},
            "Statement[1].Condition.StringEquals: expected an object of condition keys",
        ),
        (
            {"Condition": {"StringEquals": {"s3:prefx": "a"}}},
            "Statement[1].Condition.StringEquals.s3:prefx: unknown condition key 's3:prefx', did you mean 's3:prefix'?",
        ),
        (
            {"Condition": {"StringEquals": {"aws:UserAgent": "a"}}},
            "Statement[1].Condition.StringEquals.aws:UserAgent: unknown condition key 'aws:UserAgent': "
            "authorizers do not see User-Agent",
        ),
        (
            {"Condition": {"StringEquals": {"jwt:": "a"}}},
            "Statement[1].Condition.StringEquals.jwt:: unknown condition key 'jwt:', did you mean 'jwt:'?",
        ),
        (
            {"Condition": {"StringEquals": {"s3:prefix": []}}},
            "Statement[1].Condition.StringEquals.s3:prefix: expected a value or a list of values",
        ),
        (
            {"Condition": {"StringEquals": {"s3:prefix": {"a": 1}}}},
            "Statement[1].Condition.StringEquals.s3:prefix: expected a value or a list of values",
        ),
        (
            {"Condition": {"NumericLessThan": {"s3:max-keys": "many"}}},
            "Statement[1].Condition.NumericLessThan.s3:max-keys: expected a number",
        ),
        (
            {"Condition": {"Bool": {"aws:SecureTransport": "yes"}}},
            "Statement[1].Condition.Bool.aws:SecureTransport: expected true or false",
        ),
        (
            {"Condition": {"Null": {"s3:prefix": "yes"}}},
            "Statement[1].Condition.Null.s3:prefix: expected true or false",
        ),
        (
            {"Condition": {"Null": {"s3:prefix": ["true", "false"]}}},
            "Statement[1].Condition.Null.s3:prefix: expected true or false",
        ),
        (
            {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/33"}}},
            "Statement[1].Condition.IpAddress.aws:SourceIp: expected an address or a range like 192.0.2.0/24 or "
            "2001:db8::/32",
        ),
        (
            {"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}},
            "Statement[1].Condition.DateLessThan.aws:CurrentTime: expected a time like 2026-01-31T12:00:00Z, or seconds "
            "since the epoch",
        ),
        (
            {"Condition": {"ArnLike": {"jwt:arn": "a:b"}}},
            "Statement[1].Condition.ArnLike.jwt:arn: expected an ARN of six parts",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_mistake_is_one_line_with_its_place(elements: dict[str, Any], line: str) -> None:
    assert wrong(**elements) == (line,)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ([], "expected a policy document, an object, got list"),
        ({"Version": "2012-10-17"}, "Statement: expected a statement or a list of statements"),
        ({"Version": "2012-10-17", "Statement": []}, "Statement: expected a statement or a list of statements"),
        ({"Version": "2012-10-17", "Statement": ["x"]}, "Statement[0]: expected an object, got str"),
        ({"Version": "2013-01-01", "Statement": statement()}, "Version: expected 2012-10-17"),
        ({"version": "2012-10-17", "Statement": statement()}, "version: unknown element, did you mean 'Version'?"),
        ("{", None),
        ("[" * 50_000, "expected JSON"),
        ('{"Statement": [], "Statement": []}', "expected JSON: 'Statement' is given twice"),
        ('{"Statement": {"Effect": "Deny", "Effect": "Allow"}}', "expected JSON: 'Effect' is given twice"),
        (
            json.dumps(document(statement(Sid="a" * 128), *[statement()] * 800)),
            "the document is longer than 20480 octets",
        ),
        (" " * 90_000, "the document is longer than 20480 octets"),
        (document(*[statement()] * 800), "the document is longer than 20480 octets"),
        ({"Statement": {1, 2}}, "expected JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_document(written: Any, line: str | None) -> None:
    found = problems(written)
    assert len(found) == 1
    assert line is None or found == (line,)


def test_all_mistakes_are_told() -> None:
    assert len(wrong(effect="x", Action="y", Resource="z", Condition={"a": 1}, Foo=1)) == 5


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_variables_need_the_version_that_has_them(version: str | None) -> None:
    written = {"Statement": statement(Resource="arn:aws:s3:::${aws:username}")} | (
        {"Version": version} if version else {}
    )
    (line,) = problems(written)
    assert "2012-10-17" in line


def test_a_session_s_policy_names_no_principals() -> None:
    assert problems(document(statement(Principal="*")), principals=False) == (
        "Statement[0].Principal: not possible in a session's policy",
    )


@pytest.mark.parametrize(
    "elements",
    [
        {"Action": ["s3:GetObject", "kms:Decrypt"]},
        {"Action": "S3:getobject"},
        {"Action": "s3:*Object"},
        {"Action": "*"},
        {"Sid": "Allow reading"},
        {"Condition": {}},
        {"Condition": {"Bool": {"aws:SecureTransport": True}}},
        {"Condition": {"NumericEquals": {"S3:Max-Keys": [1, "2", 3.5]}}},
        {"Condition": {"ForAllValues:StringLikeIfExists": {"jwt:groups": ["a", "b"]}}},
        {"Principal": {"AWS": ["arn:aws:iam::111122223333:user/alice", "bob"]}},
    ],
    ids=str,
)
def test_what_people_write_is_read(elements: dict[str, Any]) -> None:
    read_policy(json.dumps(document(statement(**elements))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Effect", "Action", "Resource", "Condition", "Principal", "NotResource", "StringLike", "s3:prefix"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_json_it_is_it_is_a_policy_or_a_mistake(written: Any) -> None:
    try:
        read_policy({"Version": "2012-10-17", "Statement": written})
    except PolicyError as error:
        assert error.problems
