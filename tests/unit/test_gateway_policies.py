"""`policies=`: from the head of a request to the decision, whatever the spelling of the request."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osp_gateway.access.authorizer import AccessRequest, Decision
from osp_gateway.access.identity import Identity
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.outcomes import Arrival, Forward, PendingForm, Refusal, Reply
from osp_gateway.s3.batch import read_delete
from support.forms import CONTENT_TYPE, form_body, signed_fields
from support.heads import CLIENT, NOW, SOURCE, STORE, Bench, Validator, signed_head, unsigned_head
from support.policies import document, statement
from support.respelling import Asked, spelled

ARN = "arn:aws:s3:::"
POLICY = document(
    statement(),
    statement("Deny", Sid="NoSecrets", Action="s3:*", Resource=f"{ARN}demo/private/*"),
    statement(
        "Deny", Sid="NoListing", Action="s3:ListBucket*", Condition={"StringLike": {"s3:prefix": ["private/*", ""]}}
    ),
    statement("Deny", Sid="NoVersions", Action=["s3:GetObjectVersion*", "s3:DeleteObjectVersion"]),
    statement("Deny", Sid="NotPublic", Action="s3:PutObject", Condition={"StringLike": {"s3:x-amz-acl": "public-*"}}),
    statement("Deny", Sid="NoTags", Action="s3:PutObjectTagging"),
    statement("Deny", Sid="NoAcl", Action="s3:*Acl", Resource=f"{ARN}demo/plain/*"),
    statement("Deny", Sid="KeepAll", Action="s3:DeleteObject", NotResource=f"{ARN}demo/tmp/*"),
    statement(
        "Deny", Sid="Cheap", Action="s3:PutObject", Condition={"StringEquals": {"s3:x-amz-storage-class": "GLACIER"}}
    ),
    statement("Deny", Sid="Exact", Action="s3:GetObject", Resource=f"{ARN}demo/one key+caf\xe9:${{*}}"),
)  # fmt: skip
DENIED = [
    Asked("GET", key="private/x"),
    Asked("HEAD", key="private/a b+c/\xe9"),
    Asked("PUT", key="private/x"),
    Asked("GET", key="private/x", query=(("tagging", ""),)),
    Asked("PUT", key="private/x", query=(("partNumber", "1"), ("uploadId", "u"))),
    Asked("POST", key="private/x", query=(("uploads", ""),)),
    Asked("GET", key="private/x", query=(("uploadId", "u"),)),
    Asked("GET", query=(("prefix", "private/"),)),
    Asked("GET", query=(("list-type", "2"), ("prefix", "private/a b"), ("delimiter", "/"))),
    Asked("GET", query=(("list-type", "2"), ("start-after", "plain/"), ("prefix", ""))),
    Asked("GET", query=(("list-type", "2"), ("continuation-token", "plain/"))),
    Asked("GET", query=(("versions", ""), ("prefix", "private/"), ("key-marker", "plain/"))),
    Asked("GET", query=(("uploads", ""), ("prefix", "private/"))),
    Asked("GET"),
    Asked("GET", key="plain/x", query=(("versionId", "null"),)),
    Asked("GET", key="plain/x", query=(("versionId", "v+1"),)),
    Asked("GET", key="plain/x", query=(("tagging", ""), ("versionId", "v"))),
    Asked("GET", key="plain/x", query=(("acl", ""),)),
    Asked("PUT", key="plain/x", query=(("acl", ""),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-acl", "public-read"),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-tagging", "a=b"),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-storage-class", "GLACIER"),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-copy-source", "demo/private/x"),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-copy-source", "/demo/pri%76ate%2Fx"),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-copy-source", "demo/plain/x?versionId=v"),)),
    Asked(
        "PUT",
        key="tmp/x",
        query=(("partNumber", "1"), ("uploadId", "u")),
        headers=(("x-amz-copy-source", "demo/private/x"),),
    ),
    Asked("DELETE", key="plain/x"),
    Asked("DELETE", key="tmp/x", query=(("versionId", "v"),)),
    Asked("GET", key="one key+caf\xe9:*"),
]
ALLOWED = [
    Asked("GET", key="plain/x"),
    Asked("GET", key="one key+caf\xe9:x"),
    Asked("HEAD", key="Private/x"),
    Asked("PUT", key="plain/a b+c/\xe9"),
    Asked("PUT", key="tmp/x", headers=(("x-amz-acl", "private"),)),
    Asked("PUT", key="tmp/x", headers=(("x-amz-copy-source", "demo/plain/x"),)),
    Asked("GET", query=(("list-type", "2"), ("prefix", "plain/"), ("delimiter", "/"))),
    Asked("DELETE", key="tmp/x"),
    Asked("GET", key="plain/x", query=(("tagging", ""),)),
]


def bench(*policies: Any, **config: Any) -> Bench:
    config.setdefault("validator", None)
    return Bench(policies=list(policies), **config)


SUBJECT = bench(POLICY).gateway


async def admit(head: Any) -> Any:
    return await SUBJECT.admit(Arrival(head, SOURCE, False))


@pytest.mark.parametrize("asked", DENIED, ids=lambda asked: f"{asked.method} {asked.key} {asked.query} {asked.headers}")
@settings(max_examples=10)
@given(data=st.data())
def test_what_is_denied_stays_denied_however_it_is_spelled(asked: Asked, data: Any) -> None:
    head = data.draw(spelled(asked))
    outcome = asyncio.run(admit(head))
    assert isinstance(outcome, Refusal)
    assert outcome.error.code == "AccessDenied"
    assert "denied by Statement[" in outcome.verdict.reason


@pytest.mark.parametrize(
    "asked", ALLOWED, ids=lambda asked: f"{asked.method} {asked.key} {asked.query} {asked.headers}"
)
@settings(max_examples=8)
@given(data=st.data())
def test_what_is_allowed_stays_allowed_however_it_is_spelled(asked: Asked, data: Any) -> None:
    assert isinstance(asyncio.run(admit(data.draw(spelled(asked)))), Forward)


@pytest.mark.parametrize(
    "target",
    [
        "/demo/plain/../private/x",
        "/demo/plain/%2e%2e/private/x",
        "/demo/./private/x",
        "/demo/%2e/private/x",
        "/demo//private/x",
        "/demo/private//x",
        "/demo/%252e%252e/../private/x",
        "/demo/private%2Fx%00",
        "/demo/private/x?response-content-type=a",
        "/demo/private/x?x-id=GetObject",
        "/demo/private/x?versionId=",
        "/demo/plain/x?versionId=",
        "/demo/private/x?partNumber=1",
        "/demo?prefix=plain/&prefix=private/",
        "/demo?prefix=plain/..%2Fprivate/",
        "/demo?Prefix=plain/",
        "/demo?list-type=2&prefix=%2570rivate/&prefix=private/",
        "/demo?list-type=2&PREFIX=plain/",
        "/demo?list-type=2&prefix",
        "/demo/plain/x?VersionId=v",
        "/demo/plain/x?versionId=v&versionid=w",
    ],
)
async def test_no_trick_of_paths_and_queries_gets_through(target: str) -> None:
    """Under path style, where a store could take keys for paths."""
    store = {**STORE, "addressing_style": "path"}
    assert isinstance(await bench(POLICY, cos_map={"demo": store}).admit(signed_head("GET", target)), Refusal)


@pytest.mark.parametrize("target", ["/DEMO/private/x", "/Demo/private/x"])
async def test_a_bucket_in_capitals_is_no_other_bucket(target: str) -> None:
    assert isinstance(await bench(POLICY, cos_map={"*": STORE}).admit(signed_head("GET", target)), Refusal)


@pytest.mark.parametrize("name", ["x-amz-acl", "X-Amz-Acl"])
async def test_a_header_is_not_hidden_behind_another_one(name: str) -> None:
    for headers in ((("x-amz-acl", "public-read"),), ()):
        head = signed_head("PUT", f"/demo/tmp/x?{name}=private", headers)
        assert isinstance(await bench(POLICY).admit(head), Refusal)


@pytest.mark.parametrize(
    ("validator", "allowed"),
    [(None, True), (Validator(True), True), (Validator(False), False), (Validator(None), False)],
)
async def test_with_a_validator_all_must_allow(validator: Any, allowed: bool) -> None:
    subject = bench(document(statement(Action="s3:GetObject")), validator=validator)
    assert isinstance(await subject.admit(signed_head()), Forward) is allowed
    assert isinstance(await subject.admit(signed_head("PUT")), Refusal)


async def test_whom_no_policy_is_for_is_left_to_the_others() -> None:
    entry = {"principals": ["somebody-else"], "document": document(statement("Deny"))}
    assert isinstance(await bench(entry, validator=Validator(True)).admit(), Forward)
    assert isinstance(await bench(entry).admit(), Refusal)


@pytest.mark.parametrize(("principal", "allowed"), [(None, False), ({"AWS": "*"}, True)])
async def test_unsigned_requests_need_a_principal(principal: Any, allowed: bool) -> None:
    written = document(statement(**({"Principal": principal} if principal else {})))
    outcome = await bench(written, allow_anonymous=True).admit(unsigned_head())
    assert isinstance(outcome, Forward) is allowed


def delete(*keys: str) -> bytes:
    return ("<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>").encode()


async def batch(subject: Bench, body: bytes) -> Any:
    forward = await subject.forward(signed_head("POST", "/demo?delete", body=body))
    forward.body.feed(body)
    return await subject.gateway.judge_batch(forward, forward.body.finish())


async def test_a_batch_is_judged_key_by_key() -> None:
    outcome = await batch(bench(POLICY), delete("tmp/a", "plain/a", "private/a", "tmp/b", "&#112;rivate/c"))
    assert isinstance(outcome, Forward)
    assert [name.key for name in read_delete(outcome.body.finish()).objects] == ["tmp/a", "tmp/b"]
    assert isinstance(await batch(bench(POLICY), delete("plain/a")), Reply)


async def test_a_batch_of_a_caller_who_may_delete_nothing_is_refused_before_its_body() -> None:
    subject = bench(document(statement(Action="s3:GetObject")))
    assert isinstance(await subject.admit(signed_head("POST", "/demo?delete", body=delete("a"))), Refusal)


async def test_a_list_of_buckets_shows_those_that_may_be_listed() -> None:
    subject = bench(
        document(statement(Action="s3:ListBucket", Resource=f"{ARN}d*")),
        cos_map={"demo": STORE, "data": STORE, "other": STORE},
    )
    reply = await subject.admit(signed_head("GET", "/"))
    assert isinstance(reply, Reply)
    assert (b"demo" in reply.body, b"data" in reply.body, b"other" in reply.body) == (True, True, False)


class Sessions:
    """A kind of keys whose sessions have policies."""

    def __init__(self, *policies: str) -> None:
        self.policies = policies

    async def resolve(self, access_key: str, session_token: str | None) -> Any:
        from osp_gateway.identifying import Known

        return Known(Identity(CLIENT.access_key, CLIENT.access_key, "s", policies=self.policies), CLIENT.secret_key)


def narrowed(subject: Bench, *documents: Any) -> Bench:
    texts = (d if isinstance(d, str) else json.dumps(d) for d in documents)
    subject.gateway._identifier._resolvers = (Sessions(*texts),)
    return subject


async def by_function(request: AccessRequest) -> Decision:
    return Decision(True, "yes", credentials="")


def always(token: str, bucket: str) -> bool:
    return True


KEYS = [{"access_key": CLIENT.access_key, "secret_key": CLIENT.secret_key, "buckets": ["*"]}]


@pytest.mark.parametrize(
    "config",
    [
        {"validator": Validator(True)},
        {"validator": always},
        {"authorizer": by_function, "validator": None},
        {"hmac_keystore": KEYS, "validator": None},
        {"policies": [document(statement())], "validator": None},
        {"policies": [document(statement())], "authorizer": by_function, "hmac_keystore": KEYS},
    ],
    ids=" ".join,
)
async def test_a_session_s_policy_narrows_whatever_else_allows(config: dict[str, Any]) -> None:
    reads = document(statement(Action="s3:GetObject", Resource=f"{ARN}demo/plain/*"))
    subject = narrowed(Bench(**config), reads)
    for _ in range(2):  # the second time, decisions may be remembered
        assert isinstance(await subject.admit(signed_head("GET", "/demo/plain/x")), Forward)
        for head in (
            signed_head("GET", "/demo/x"),
            signed_head("PUT", "/demo/plain/x"),
            signed_head("GET", "/demo?prefix=plain/"),
            signed_head("PUT", "/demo/plain/y", (("x-amz-copy-source", "demo/x"),)),
            signed_head("POST", "/demo?delete", body=delete("plain/x")),
        ):
            assert isinstance(await subject.admit(head), Refusal)


async def test_one_session_s_decisions_are_not_another_one_s() -> None:
    """The same key, the same request, remembered by the function's cache: and yet not the same session."""
    subject = Bench(validator=always)
    wide, small = document(statement()), document(statement(Action="s3:PutObject"))
    for policy, allowed in ((wide, True), (small, False), (wide, True), ("broken", False)):
        assert isinstance(await narrowed(subject, policy).admit(), Forward) is allowed


def problems(policies: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        ProxyServerConfig({"demo": STORE}, hmac_keystore=[{"access_key": "a", "secret_key": "b"}], policies=policies)
    return caught.value.problems


def test_mistakes_in_policies_are_told_like_others(tmp_path: Path) -> None:
    wrong = {**document(statement("Permit")), "Versoin": 1}
    file = tmp_path / "deny.json"
    file.write_text(json.dumps(document(statement(Resource="demo"))))
    (tmp_path / "broken.json").write_text("{")
    assert problems(
        [wrong, str(file), {"principals": [7], "document": document(statement(), statement(Resource="x"))}]
    ) == (
        "policies[0].Versoin: unknown element, did you mean 'Version'?",
        "policies[0].Statement[0].Effect: expected Allow or Deny",
        "policies[1].Statement[0].Resource: 'demo': expected * or an ARN like arn:aws:s3:::bucket/key",
        "policies[2].principals: expected a list of names of callers, in which * and ? are wildcards",
        "policies[2].document.Statement[1].Resource: 'x': expected * or an ARN like arn:aws:s3:::bucket/key",
    )
    assert problems([str(tmp_path / "broken.json")])[0].startswith("policies[0]: expected JSON: ")
    assert problems([str(tmp_path / "missing.json")]) == (
        "policies[0]: expected a policy document, the path of a JSON file, or a dict with principals and document: "
        "the file cannot be read (FileNotFoundError)",
    )
    assert problems([7]) == (
        "policies[0]: expected a policy document, the path of a JSON file, or a dict with principals and document, "
        "got int",
    )
    assert problems([{"document": document(statement()), "principal": ["a"]}]) == (
        "policies[0].principal: unknown field; known are document, principals",
    )


def test_a_policy_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "read.json"
    file.write_text(json.dumps(document(statement(Sid="Caf\xe9".replace("\xe9", "e")))), encoding="utf-8")
    config = ProxyServerConfig(
        {"demo": STORE}, hmac_keystore=KEYS, policies=[file, {"principals": "a", "document": str(file)}]
    )
    assert [attached.policy.name for attached in config.settings.policies] == [
        "policies[0] read.json",
        "policies[1] read.json",
    ]


def test_policies_are_enough() -> None:
    ProxyServerConfig(
        {"demo": STORE}, hmac_keystore=[{"access_key": "a", "secret_key": "b"}], policies=[document(statement())]
    )


async def uploaded_by_form(subject: Bench, fields: dict[str, str], filename: str = "a.txt") -> Forward | Refusal:
    anything = [["starts-with", f"${name}", ""] for name in fields]
    pairs = signed_fields(fields, anything, pair=CLIENT, at=NOW)
    body = form_body(pairs, filename=filename)
    head = unsigned_head("POST", "/demo", (("content-type", CONTENT_TYPE), ("content-length", str(len(body)))))
    pending = await subject.admit(head)
    assert isinstance(pending, PendingForm), pending
    pending.form.feed(body)
    return await subject.gateway.admit_form(pending)


@pytest.mark.parametrize(
    ("fields", "statement_name"),
    [
        ({"key": "private/x"}, "NoSecrets"),
        ({"key": "private/${filename}"}, "NoSecrets"),
        ({"key": "tmp/x", "acl": "public-read"}, "NotPublic"),
        ({"key": "tmp/x", "ACL": "public-read"}, "NotPublic"),
        ({"key": "tmp/x", "tagging": "<Tagging/>"}, "NoTags"),
        ({"key": "tmp/x", "x-amz-storage-class": "GLACIER"}, "Cheap"),
        ({"key": "tmp/x", "X-Amz-Storage-Class": "glacier"}, "Cheap"),
    ],
)
async def test_a_form_is_the_upload_that_it_is(fields: dict[str, str], statement_name: str) -> None:
    outcome = await uploaded_by_form(bench(POLICY), fields)
    assert isinstance(outcome, Refusal)
    assert outcome.error.code == "AccessDenied"
    assert f"({statement_name})" in outcome.verdict.reason


async def test_a_form_that_is_allowed_and_one_of_a_narrowed_session() -> None:
    assert isinstance(await uploaded_by_form(bench(POLICY), {"key": "tmp/x"}), Forward)
    subject = narrowed(bench(POLICY), document(statement(Resource=f"{ARN}demo/mine/*")))
    assert isinstance(await uploaded_by_form(subject, {"key": "tmp/x"}), Refusal)
    assert isinstance(await uploaded_by_form(subject, {"key": "mine/x"}), Forward)


async def test_each_key_of_a_batch_that_bypasses_retention_needs_that_right() -> None:
    body = delete("a", "b")
    policy = document(
        statement(Action="s3:DeleteObject"), statement(Action="s3:BypassGovernanceRetention", Resource=f"{ARN}demo/a")
    )
    subject = bench(policy)
    head = signed_head("POST", "/demo?delete", (("x-amz-bypass-governance-retention", "true"),), body=body)
    forward = await subject.forward(head)
    forward.body.feed(body)
    outcome = await subject.gateway.judge_batch(forward, forward.body.finish())
    assert isinstance(outcome, Forward)
    assert [name.key for name in read_delete(outcome.body.finish()).objects] == ["a"]


async def test_versions_in_a_batch_are_versions() -> None:
    body = (
        b"<Delete><Object><Key>tmp/a</Key><VersionId>v</VersionId></Object><Object><Key>tmp/b</Key></Object></Delete>"
    )
    outcome = await batch(bench(POLICY), body)
    assert isinstance(outcome, Forward)
    assert [name.key for name in read_delete(outcome.body.finish()).objects] == ["tmp/b"]
