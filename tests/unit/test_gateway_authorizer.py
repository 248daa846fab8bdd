"""`authorizer=`: one function of the request, whose decision can choose credentials and bound the body."""

from __future__ import annotations

from typing import Any

import pytest

from osp_gateway.access.authorizer import AccessRequest, Constraints, Decision
from osp_gateway.access.compose import all_of
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.outcomes import ALLOWED, ASKED, DENIED, NOT_ASKED
from osp_gateway.sigv4.keys import KeyPair
from support.heads import BACKEND, CLIENT, STORE, Bench, Validator, assert_botocore_agrees, signed_head

SPARE = KeyPair("spare-fake-key", "spare-fake-secret")
NAMED = {"spare": {"access_key": SPARE.access_key, "secret_key": SPARE.secret_key}}
CHUNKED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
COPY = (("x-amz-copy-source", "/demo/from"),)


def says(decision: Any) -> Any:
    async def authorizer(request: AccessRequest) -> Any:
        if isinstance(decision, BaseException):
            raise decision
        return decision(request) if callable(decision) else decision

    return authorizer


def bench(decision: Any, **config: Any) -> Bench:
    config.setdefault("validator", None)
    return Bench(authorizer=says(decision), backend_credentials=NAMED, **config)


async def test_it_is_asked_with_the_identity_and_what_the_request_is_about() -> None:
    asked: list[AccessRequest] = []
    await bench(lambda request: asked.append(request) or True).forward(
        signed_head("GET", "/demo?prefix=in%2F&list-type=2")
    )
    (request,) = asked
    assert (request.identity.name, request.identity.access_key) == (CLIENT.access_key, CLIENT.access_key)
    assert (request.resource, request.prefix, request.copy_source) == ("arn:aws:s3:::demo", "in/", "")


async def test_it_sees_what_a_copy_reads() -> None:
    asked: list[AccessRequest] = []
    head = signed_head("PUT", "/demo/to", (("x-amz-copy-source", "/demo/fr%20om?versionId=3"),))
    await bench(lambda request: asked.append(request) or True).forward(head)
    assert [(r.operation, r.resource, r.copy_source) for r in asked] == [
        ("CopyObject", "arn:aws:s3:::demo/to", "demo/fr om"),
        ("GetObject", "arn:aws:s3:::demo/fr om", ""),
    ]


@pytest.mark.parametrize("decision", [False, None, 1, Decision(False, "no"), ValueError("x"), "yes"], ids=str)
async def test_anything_but_a_clear_yes_refuses(decision: Any) -> None:
    assert (await bench(decision).refusal()).error.code == "AccessDenied"


async def test_a_verdict_tells_whether_an_authorizer_was_asked_and_what_it_said() -> None:
    put, copy = signed_head("PUT", headers=(("content-length", "2"),)), signed_head("PUT", headers=COPY)
    wrong = signed_head(pair=KeyPair(CLIENT.access_key, "wrong-fake-secret"))
    at_most_one = Decision(True, "f", constraints=Constraints(max_octets=1))
    found = {
        "wrong signature": await bench(True).admit(wrong),
        "allowed": await bench(True).admit(put),
        "denied": await bench(False).admit(put),
        "too long for what was allowed": await bench(at_most_one).refusal(put),
        "denied for its source": await bench(lambda request: request.operation != "GetObject").refusal(copy),
        "listing": await bench(False).admit(signed_head("GET", "/")),
    }
    assert {name: outcome.verdict.authorizer for name, outcome in found.items()} == {
        "wrong signature": NOT_ASKED,
        "allowed": ALLOWED,
        "denied": DENIED,
        "too long for what was allowed": ALLOWED,
        "denied for its source": ASKED,
        "listing": ASKED,
    }


@pytest.mark.parametrize(("one", "other"), [(True, False), (False, True), (False, False)])
async def test_with_a_validator_both_must_allow(one: bool, other: bool) -> None:
    assert (await bench(one, validator=Validator(other)).refusal()).error.code == "AccessDenied"


async def test_keys_with_buckets_stay_within_them() -> None:
    keys = [{"access_key": CLIENT.access_key, "secret_key": CLIENT.secret_key, "buckets": ["other"]}]
    assert (await bench(True, hmac_keystore=keys).refusal()).error.code == "AccessDenied"


async def test_authorizers_that_are_joined_are_one() -> None:
    joined = all_of(says(Decision(True, "yes")), says(Decision(False, "the second says no")))
    refusal = await Bench(validator=None, authorizer=joined).refusal()
    assert refusal.verdict.reason == "the second says no"


async def test_a_decision_chooses_the_backend_s_credentials() -> None:
    assert_botocore_agrees(await bench(Decision(True, "yes", credentials="spare")).forward(), SPARE)
    assert_botocore_agrees(await bench(Decision(True, "yes")).forward(), BACKEND)


async def test_a_choice_that_is_none_does_not_fall_back_to_the_bucket_s_own() -> None:
    refusal = await bench(Decision(True, "yes", credentials="unknown")).refusal()
    assert (refusal.error.code, refusal.error.status) == ("ServiceUnavailable", 503)


@pytest.mark.parametrize(
    ("headers", "payload_hash", "code"),
    [
        ((("content-length", "10"),), None, None),
        ((("content-length", "11"),), None, "EntityTooLarge"),
        ((("content-length", "100"), ("x-amz-decoded-content-length", "10")), CHUNKED, None),
        ((("content-length", "100"), ("x-amz-decoded-content-length", "11")), CHUNKED, "EntityTooLarge"),
        ((("content-length", "100"), ("x-amz-decoded-content-length", "1")), "UNSIGNED-PAYLOAD", "EntityTooLarge"),
        ((("transfer-encoding", "chunked"),), "UNSIGNED-PAYLOAD", "MissingContentLength"),
    ],
)
async def test_a_decision_bounds_the_body(
    headers: tuple[tuple[str, str], ...], payload_hash: str | None, code: str | None
) -> None:
    if payload_hash == CHUNKED:
        headers = (*headers, ("content-encoding", "aws-chunked"), ("x-amz-trailer", "x-amz-checksum-crc32"))
    subject = bench(Decision(True, "yes", constraints=Constraints(max_octets=10)))
    head = signed_head("PUT", headers=headers, payload_hash=payload_hash)
    if code is None:
        await subject.forward(head)
    else:
        assert (await subject.refusal(head)).error.code == code


@pytest.mark.parametrize(
    "entry",
    [{}, {"access_key": "a"}, {"secret_key": "a"}, {"access_key": "a", "secret_key": "b", "apikey": "c"}],
    ids=str,
)
def test_named_credentials_are_whole(entry: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"backend_credentials\['spare'\]"):
        ProxyServerConfig({"demo": STORE}, authorizer=says(True), backend_credentials={"spare": entry})


def test_a_function_that_takes_something_else_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="authorizer: expected a callable with 1 positional"):
        ProxyServerConfig({"demo": STORE}, authorizer=lambda token, bucket: True)
