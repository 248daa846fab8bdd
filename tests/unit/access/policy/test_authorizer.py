"""Who is allowed what by the policies that concern him, and how resources are told apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.access.authorizer import AccessRequest, Decision
from osp_gateway.access.identity import NOBODY, Identity, of_key
from osp_gateway.access.policy import SessionPolicies
from osp_gateway.access.policy.settings import read_policies
from osp_gateway.access.policy.authorizer import PolicyAuthorizer
from support.policies import ALICE, NOW, about, allows, authorizer, bearer, document, statement

ARN = "arn:aws:s3:::"


def test_what_nobody_allows_is_denied() -> None:
    assert not allows(document(statement(Action="s3:PutObject")), about(key="a"))
    assert not allows(document(statement("Deny", Action="s3:PutObject")), about(key="a"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_denial_wins(order: int) -> None:
    statements = [statement(), statement("Deny", Action="s3:Get*", Resource=f"{ARN}demo/private/*")][::order]
    assert not allows(document(*statements), about(key="private/a"))
    assert allows(document(*statements), about(key="public/a"))
    assert allows(document(*statements), about("PutObject", "private/a"))


async def test_a_denial_in_one_policy_wins_over_another_policy() -> None:
    decision = await authorizer(document(statement()), document(statement("Deny", Resource=f"{ARN}demo/s")))(
        about(key="s")
    )
    assert (decision.allowed, decision.decisive) == (False, True)


@pytest.mark.parametrize(
    ("resource", "bucket", "key", "expected"),
    [
        ("demo/*", "demo", "a", True),
        ("demo/*", "demo", "", False),
        ("demo", "demo", "", True),
        ("demo", "demo", "a", False),
        ("demo/a", "demo", "A", False),
        ("demo/a", "demo", "a/", False),
        ("demo/a/*", "demo", "a", False),
        ("demo/a/*", "demo", "a/", True),
        ("demo/a/*", "demo", "a//b", True),
        ("demo/a/*", "demo", "/a/b", False),
        ("demo/a/*", "demo", "a%2Fb", False),
        ("demo/a b", "demo", "a+b", False),
        ("demo/a+b", "demo", "a b", False),
        ("demo/*.txt", "demo", "a/b.txt", True),
        ("demo/*.txt", "demo", "a.txt\n", False),
        ("demo/*.txt", "demo", "a.txt\x00", False),
        ("demo/a:b", "demo", "a:b", True),
        ("demo/${*}", "demo", "*", True),
        ("demo/${*}", "demo", "a", False),
        ("demo/?", "demo", "*", True),
        ("demo?/*", "demo2", "a", True),
        ("demo/caf\xe9", "demo", "cafe\u0301", False),
        ("DEMO/*", "demo", "a", False),
        ("demo/*", "Demo", "a", False),
    ],
)
def test_resources(resource: str, bucket: str, key: str, expected: bool) -> None:
    policy = document(statement(Resource=ARN + resource))
    assert allows(policy, about("GetObject" if key else "ListObjectsV2", key, bucket=bucket)) is expected


@pytest.mark.parametrize(
    ("bucket", "key"),
    [("demo", "s"), ("Demo", "s"), ("DEMO", "s"), ("demo", "s/"), ("demo", "s//"), ("demo", "/s"), ("demo", "//s/")],
)
def test_a_denial_holds_for_what_a_store_could_take_for_the_same(bucket: str, key: str) -> None:
    policy = document(statement(), statement("Deny", Resource=f"{ARN}demo/s"))
    assert not allows(policy, about(key=key, bucket=bucket))


def test_a_bucket_s_name_in_capitals_is_allowed_by_what_allows_both_spellings() -> None:
    assert not allows(document(statement(Resource=f"{ARN}Demo/*")), about(key="a", bucket="Demo"))
    assert allows(document(statement(Resource=[f"{ARN}Demo/*", f"{ARN}demo/*"])), about(key="a", bucket="Demo"))


def test_not_action_and_not_resource() -> None:
    policy = document(statement(), statement("Deny", NotAction=["s3:Get*", "s3:List*"]))
    assert allows(policy, about(key="a"))
    assert not allows(policy, about("PutObject", "a"))
    policy = document(statement(), statement("Deny", NotResource=[f"{ARN}demo/mine/*", f"{ARN}demo"]))
    assert allows(policy, about(key="mine/a"))
    assert allows(policy, about(key="mine/"))
    assert not allows(policy, about(key="others/a"))
    assert not allows(policy, about("ListObjects", bucket="other"))


HOME = f"{ARN}demo/home/${{aws:username}}/*"


@pytest.mark.parametrize("name", ["*", "?????", "a*", "alice/../bob", "${aws:username}"])
def test_a_name_is_no_wildcard(name: str) -> None:
    policy = document(statement(Resource=HOME))
    assert allows(policy, about(key="home/alice/x"))
    assert not allows(policy, about(key="home/alice/x", identity=of_key(name)))


def test_a_variable_without_value_is_nobody_s_home() -> None:
    claim = f"{ARN}demo/home/${{jwt:sub}}/*"
    for key in ("home//x", "home/x", "home/${jwt:sub}/x", "home/None/x", "home/*/x"):
        assert not allows(document(statement(Resource=claim)), about(key=key))
        assert not allows(document(statement(NotResource=claim)), about(key=key))
        assert allows(document(statement(), statement("Deny", Resource=claim)), about(key=key))
        assert not allows(document(statement(), statement("Deny", NotResource=claim)), about(key=key))


@pytest.mark.parametrize(
    ("principal", "who"),
    [
        ("*", {"alice", "bob", ""}),
        ({"AWS": "*"}, {"alice", "bob", ""}),
        ({"AWS": "alice"}, {"alice"}),
        ({"AWS": ["alice", "bob"]}, {"alice", "bob"}),
        ({"AWS": "arn:aws:iam::111122223333:user/team/alice"}, {"alice"}),
        ({"AWS": "arn:aws:iam::111122223333:role/alice"}, set()),
        ({"AWS": "Alice"}, set()),
    ],
)
async def test_principals(principal: Any, who: set[str]) -> None:
    subject = authorizer(document(statement(Principal=principal)))
    found = {name for name in ("alice", "bob", "") if (await subject(about(key="a", identity=of_key(name)))).allowed}
    assert found == who


async def test_all_but_one_are_denied() -> None:
    subject = authorizer(document(statement(), statement("Deny", NotPrincipal={"AWS": "alice"})))
    assert (await subject(about(key="a"))).allowed
    assert not (await subject(about(key="a", identity=of_key("bob")))).allowed
    assert not (await subject(about(key="a", identity=NOBODY))).allowed


async def test_who_did_not_sign_is_allowed_by_a_principal_only() -> None:
    decision = await authorizer(document(statement()))(about(key="a", identity=NOBODY))
    assert (decision.allowed, decision.decisive) == (False, True)


def attached(*written: Any) -> PolicyAuthorizer:
    found, problems = read_policies(written)
    assert not problems
    return PolicyAuthorizer(found, lambda: NOW)


async def test_policies_are_for_those_whom_they_are_attached_to() -> None:
    subject = attached(
        {"principals": ["alice", "team-?-*"], "document": document(statement(Resource=f"{ARN}demo/a"))},
        {"principals": "bob", "document": document(statement("Deny"))},
    )
    decisions = {}
    for name in ("alice", "team-x-1", "team-1", "bob", "Alice", ""):
        decision = await subject(about(key="a", identity=of_key(name)))
        decisions[name] = (decision.allowed, decision.decisive)
    assert decisions == {
        "alice": (True, True),
        "team-x-1": (True, True),
        "bob": (False, True),
        "team-1": (False, False),
        "Alice": (False, False),
        "": (False, False),
    }


async def test_nobody_has_a_name_that_a_pattern_matches() -> None:
    assert not (
        await attached({"principals": ["*"], "document": document(statement())})(about(key="a", identity=NOBODY))
    ).allowed


class Allowing:
    """Allows, and notes what it was asked."""

    def __init__(self, decision: Decision = Decision(True, "yes")) -> None:
        self.decision = decision
        self.asked: list[AccessRequest] = []

    async def __call__(self, request: AccessRequest) -> Decision:
        self.asked.append(request)
        return self.decision


def session(*documents: dict[str, Any] | str) -> Identity:
    texts = tuple(d if isinstance(d, str) else json.dumps(d) for d in documents)
    return Identity("alice", "alice", "s", policies=texts)


READ = document(statement(Action="s3:GetObject"))
IN_A = document(statement(Resource=f"{ARN}demo/a/*"))


@pytest.mark.parametrize(
    ("documents", "operation", "key", "expected"),
    [
        ((READ,), "GetObject", "x", True),
        ((READ,), "PutObject", "x", False),
        ((READ, IN_A), "GetObject", "a/x", True),
        ((READ, IN_A), "GetObject", "x", False),
        ((READ, IN_A), "PutObject", "a/x", False),
        ((document(statement("Deny")),), "GetObject", "x", False),
        (("",), "GetObject", "x", False),
        (("{}",), "GetObject", "x", False),
        ((json.dumps(document(statement(Principal="*"))),), "GetObject", "x", False),
        ((READ, "no policy"), "GetObject", "x", False),
    ],
)
async def test_each_policy_of_a_session_narrows(documents: Any, operation: str, key: str, expected: bool) -> None:
    inner = Allowing()
    request = about(operation, key, identity=session(*documents))
    assert (await SessionPolicies(inner)(request)).allowed is expected
    assert bool(inner.asked) is expected


async def test_a_session_s_policy_allows_nothing_by_itself() -> None:
    inner = Allowing(Decision(False, "no"))
    assert await SessionPolicies(inner)(about(key="x", identity=session(READ))) is inner.decision


async def test_who_has_no_session_policy_is_not_narrowed() -> None:
    inner = Allowing()
    assert await SessionPolicies(inner)(about(key="x")) is inner.decision


async def test_a_session_s_tags_are_values_for_its_policy() -> None:
    policy = json.dumps(document(statement(Resource=HOME)))
    inner = Allowing()
    subject = SessionPolicies(inner)
    for name, expected in (("alice", True), ("bob", False)):
        identity = Identity(name, name, "s", policies=(policy,))
        assert (await subject(about(key="home/alice/x", identity=identity))).allowed is expected


STATEMENTS = st.builds(
    lambda effect, action, resource, elements: statement(effect, Action=action, Resource=resource, **elements),
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(["s3:*", "s3:GetObject", "s3:Put*", "*"]),
    st.sampled_from(["*", f"{ARN}demo/*", f"{ARN}demo/a/*", f"{ARN}*/b", HOME]),
    st.sampled_from(
        [
            {},
            {"Condition": {"StringEquals": {"aws:username": "alice"}}},
            {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        ]
    ),
)
REQUESTS = st.builds(
    lambda operation, key, identity, tls: about(operation, key, identity=identity, tls=tls),
    st.sampled_from(["GetObject", "PutObject", "DeleteObject"]),
    st.sampled_from(["a/b", "b", "home/alice/x", "home/bob/x"]),
    st.sampled_from([ALICE, of_key("bob"), bearer(sub="alice")]),
    st.booleans(),
)


@given(st.lists(STATEMENTS, min_size=1, max_size=5), STATEMENTS, REQUESTS)
def test_a_denial_more_never_allows_more(
    statements: list[dict[str, Any]], more: dict[str, Any], request: AccessRequest
) -> None:
    before = allows(document(*statements), request)
    after = allows(document(*statements, {**more, "Effect": "Deny"}), request)
    assert before or not after


@given(st.lists(STATEMENTS, min_size=1, max_size=5), REQUESTS, st.randoms())
def test_the_order_of_statements_means_nothing(
    statements: list[dict[str, Any]], request: AccessRequest, random: Any
) -> None:
    shuffled = statements[:]
    random.shuffle(shuffled)
    assert allows(document(*statements), request) is allows(document(*shuffled), request)


@given(st.lists(STATEMENTS, min_size=1, max_size=4), st.lists(STATEMENTS, min_size=1, max_size=4), REQUESTS)
async def test_a_session_never_does_more_than_without_its_policy(
    mine: list[dict[str, Any]], of_session: list[dict[str, Any]], request: AccessRequest
) -> None:
    inner = authorizer(document(*mine))
    narrowed = Identity(
        request.token,
        request.identity.name,
        claims=request.identity.claims,
        policies=(json.dumps(document(*of_session)),),
    )
    asked = about(request.operation, request.key, identity=narrowed, tls=request.tls)
    alone = (await inner(asked)).allowed
    assert (await SessionPolicies(inner)(asked)).allowed is (alone and allows(document(*of_session), asked))
