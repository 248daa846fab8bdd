"""Cedar policies, evaluated by the real library."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from osp_gateway.access.authorizer import AccessRequest, Decision
from osp_gateway.access.cedar import CedarAuthorizer, CedarModel, read_cedar
from osp_gateway.access.identity import NOBODY
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.outcomes import Forward, Refusal
from support.heads import CLIENT, STORE, Bench, Validator, signed_head
from support.policies import about, bearer

SCHEMA = """
entity Group;
entity User in [Group] { name: String, session_name: String };
entity Anonymous { name: String, session_name: String };
entity Bucket { name: String };
entity Object in [Bucket] { bucket: String, key: String };
type Asked = {
    operation: String, bucket: String, key: String, prefix: String, copy_source: String, source: String, tls: Bool,
    session_name: String, tls_subject: String
};
action "s3:GetObject", "s3:ListBucket" appliesTo {
    principal: [User, Anonymous], resource: [Object, Bucket], context: Asked
};
"""
ENTITIES = [
    {
        "uid": {"type": "User", "id": "alice"},
        "attrs": {"name": "alice", "session_name": ""},
        "parents": [{"type": "Group", "id": "dev"}],
    },
    {"uid": {"type": "Group", "id": "dev"}, "attrs": {}, "parents": []},
]


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, policies: str, schema: str | None = None, entities: Any = None) -> CedarModel:
        written = {"policies": policies, "schema_path": schema, "entities": entities}
        paths = {}
        for name, text in written.items():
            if text is not None:
                paths[name] = self.folder / name
                paths[name].write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
        return CedarModel(**paths)

    def __call__(self, policies: str, schema: str | None = None, entities: Any = None) -> CedarAuthorizer:
        cedar, problems = read_cedar(self.model(policies, schema, entities))
        assert cedar is not None, problems
        return CedarAuthorizer(cedar)


@pytest.fixture
def cedar(tmp_path: Path) -> Files:
    return Files(tmp_path)


ALICE_READS = 'permit(principal == User::"alice", action == Action::"s3:GetObject", resource in Bucket::"demo");'


async def allows(subject: CedarAuthorizer, request: AccessRequest) -> bool:
    decision: Decision = await subject(request)
    assert decision.decisive
    return decision.allowed


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (about(key="a"), True),
        (about(key='a"\n\\\x00\xe9::x'), True),
        (about("HeadObject", "a"), True),
        (about("PutObject", "a"), False),
        (about(key="a", query={"versionId": "v"}), False),
        (about(key="a", query={"versionId": ""}), False),
        (about(key="a", bucket="demo2"), False),
        (about(key="a", bucket="Demo"), False),
        (about(key="a", identity=bearer(sub="bob")), False),
        (about(key="a", identity=bearer(sub='alice"')), False),
        (about(key="a", identity=NOBODY), False),
        (about("ReplaceUniverse", "a"), False),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_it_decides_about_caller_action_and_resource(
    cedar: Files, request_: AccessRequest, expected: bool
) -> None:
    assert await allows(cedar(ALICE_READS), request_) is expected


async def test_what_forbids_wins_and_is_named(cedar: Files) -> None:
    subject = cedar(
        "permit(principal, action, resource);"
        '@id("no secrets") forbid(principal, action, resource) when { context.key like "s/*" };'
    )
    assert await allows(subject, about(key="a"))
    assert (await subject(about(key="s/a"))).reason == "s3:GetObject is denied by Cedar (no secrets)"


async def test_all_actions_that_are_needed_must_be_allowed(cedar: Files) -> None:
    subject = cedar('permit(principal, action == Action::"s3:PutObject", resource);')
    assert await allows(subject, about("PutObject", "a"))
    assert not await allows(subject, about("PutObject", "a", headers={"x-amz-acl": "public-read"}))


@pytest.mark.parametrize(
    "condition", ["context.nope == 1", "context.key > 1", "context.claims.level == 1", "principal.age > 1"]
)
async def test_a_policy_that_cannot_be_evaluated_denies(
    cedar: Files, condition: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Cedar itself would pass over it, and it may be one that forbids."""
    subject = cedar(f"permit(principal, action, resource); forbid(principal, action, resource) when {{ {condition} }};")
    with caplog.at_level(logging.WARNING):
        assert not await allows(subject, about(key="a"))
    assert "could not be evaluated" in caplog.text


async def test_claims_headers_and_query_are_in_the_context(cedar: Files) -> None:
    subject = cedar(
        "permit(principal, action, resource)"
        'when { context.claims has groups && context.claims.groups.contains("dev") };'
        'forbid(principal, action, resource) when { context.headers has "x-amz-acl" };'
    )
    dev = bearer(
        sub="u", groups=["dev"], score=0.5, nothing=None, big=2**70, deep={"__entity": {"type": "User", "id": "alice"}}
    )
    assert await allows(subject, about(key="a", identity=dev))
    assert not await allows(subject, about(key="a", identity=bearer(groups=["hr"])))
    hidden = {"x-amz-acl": "public-read", "__entity": "x", "__extn": "x"}
    assert not await allows(subject, about("PutObject", "a", headers=hidden, identity=dev))


async def test_prefixes_of_listings(cedar: Files) -> None:
    subject = cedar(
        'permit(principal, action == Action::"s3:ListBucket", resource) when { context.prefix like "a/*" };'
    )
    assert await allows(subject, about("ListObjectsV2", query={"prefix": "a/"}))
    for query in ({}, {"prefix": ""}, {"prefix": "b/"}, {"start-after": "a/"}):
        assert not await allows(subject, about("ListObjectsV2", query=query))


async def test_entities_and_a_schema_of_the_operator_s(cedar: Files) -> None:
    policy = 'permit(principal in Group::"dev", action == Action::"s3:GetObject", resource) when { context.tls };'
    subject = cedar(policy, SCHEMA, ENTITIES)
    assert await allows(subject, about(key="a", tls=True))
    assert not await allows(subject, about(key="a"))
    assert not await allows(subject, about("PutObject", "a", tls=True))  # no action of the schema
    assert not await allows(subject, about(key="a", tls=True, identity=bearer(sub="bob")))


@pytest.mark.parametrize(
    ("policies", "schema", "entities", "line"),
    [
        ("permit(", None, None, "cedar.policies: unexpected end of input"),
        (ALICE_READS, "entity", None, "cedar.schema_path: "),
        (ALICE_READS, None, "[{]", "cedar.entities: "),
        ("permit(principal, action, resource) when { context.nope };", SCHEMA, None, "cedar.policies: "),
        (ALICE_READS, None, [{"uid": 7}], "cedar.entities: "),
    ],
)
def test_mistakes_in_files_are_told(cedar: Files, policies: str, schema: str | None, entities: Any, line: str) -> None:
    _, problems = read_cedar(cedar.model(policies, schema, entities))
    assert problems
    assert all(problem.startswith(line) and "\n" not in problem for problem in problems)


def test_mistakes_in_the_configuration_are_told(tmp_path: Path) -> None:
    for written, line in (
        ({}, "cedar.policies: missing, expected a value"),
        ({"policies": str(tmp_path / "none")}, "cedar.policies: the file cannot be read (FileNotFoundError)"),
        ({"policies": __file__, "entitties": "y"}, "cedar.entitties: unknown field, did you mean 'entities'?"),
    ):
        with pytest.raises(ConfigError) as caught:
            ProxyServerConfig({"demo": STORE}, hmac_keystore=[{"access_key": "a", "secret_key": "b"}], cedar=written)
        assert caught.value.problems[0] == line


@pytest.mark.parametrize(("validator", "allowed"), [(None, True), (Validator(False), False)])
async def test_in_a_gateway(cedar: Files, validator: Any, allowed: bool) -> None:
    model = cedar.model(ALICE_READS.replace("alice", CLIENT.access_key))
    bench = Bench(validator=validator, cedar={"policies": str(model.policies)})
    assert isinstance(await bench.admit(), Forward) is allowed
    assert isinstance(await bench.admit(signed_head("PUT")), Refusal)
