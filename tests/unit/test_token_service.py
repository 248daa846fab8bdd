"""STS: who gets a temporary key, what it is good for, and how it is attacked."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from osp_gateway.outcomes import Forward, PendingAction, Refusal, Reply
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.keys import KeyPair
from support.heads import CLIENT, HOST, NOW, Clock, Validator, assert_botocore_agrees, presigned_head, signed_head
from support.sts import FORM, ISSUER, JWT, READER, ROLES, SECRET, Said, StsBench, call_head, form, web_token

OTHER = KeyPair("other-fake-key", "other-fake-secret")
KEYS = [{"access_key": p.access_key, "secret_key": p.secret_key} for p in (CLIENT, OTHER)]
WRITER = ROLES + "team/writer"
TRUSTING = {"principals": [CLIENT.access_key]}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


def bench(roles: dict[str, Any] | None = None, **config: Any) -> StsBench:
    config.setdefault("hmac_keystore", KEYS)
    return StsBench({READER: TRUSTING} if roles is None else roles, **config)


async def use(gateway: StsBench, pair: KeyPair, **arrival: Any) -> Any:
    return await gateway.admit(signed_head(pair=pair, now=gateway.clock.now), **arrival)


async def refused(gateway: StsBench, pair: KeyPair) -> str:
    outcome = await use(gateway, pair)
    assert isinstance(outcome, Refusal), outcome
    return outcome.error.code


def changed(pair: KeyPair, **parts: str | None) -> KeyPair:
    written = {"access_key": pair.access_key, "secret_key": pair.secret_key, "session_token": pair.session_token}
    return KeyPair(**{**written, **parts})  # type: ignore[arg-type]


# What is given


async def test_a_role_is_taken_on_and_its_key_used() -> None:
    gateway = bench()
    said = await gateway.assume()
    assert said.leaves["Arn"] == "arn:aws:sts::000000000000:assumed-role/reader/me"
    assert said.leaves["AssumedRoleId"].startswith("AROA")
    assert said.leaves["AssumedRoleId"].endswith(":me")
    assert said.leaves["Expiration"] == "2026-01-01T13:00:00Z"
    forward = await use(gateway, said.key)
    assert isinstance(forward, Forward)
    assert_botocore_agrees(forward)
    (asked,) = gateway.validator.asked
    assert (asked.token, asked.identity.name, asked.identity.session_name) == (READER, READER, "me")
    assert asked.identity.expires_at == NOW + 3600


async def test_the_session_token_does_not_go_on_to_the_store() -> None:
    gateway = bench()
    pair = (await gateway.assume()).key
    forward = await use(gateway, pair)
    assert pair.session_token is not None
    assert pair.session_token not in repr(forward.headers) + forward.target


async def test_a_session_token_has_the_rights_of_its_user() -> None:
    gateway = bench()
    said = await gateway.call("GetSessionToken")
    assert said.leaves["Expiration"] == "2026-01-02T00:00:00Z"
    assert isinstance(await use(gateway, said.key), Forward)
    (asked,) = gateway.validator.asked
    assert (asked.token, asked.identity.name, asked.identity.session_name) == (CLIENT.access_key,) * 2 + ("",)


async def test_bucket_patterns_hold_for_users_sessions_and_for_roles() -> None:
    keys = [{**KEYS[0], "buckets": ["demo"]}, {**KEYS[1], "buckets": ["elsewhere"]}]
    roles = {READER: {"principals": ["*"], "buckets": ["demo"]}, WRITER: {"principals": ["*"], "buckets": ["other"]}}
    gateway = bench(roles, hmac_keystore=keys, validator=None)
    for pair, allowed in ((CLIENT, True), (OTHER, False)):
        said = await gateway.call("GetSessionToken", pair)
        assert isinstance(await use(gateway, said.key), Forward) is allowed
    for role, allowed in ((READER, True), (WRITER, False)):
        said = await gateway.assume(role)
        assert isinstance(await use(gateway, said.key), Forward) is allowed


async def test_one_is_told_who_one_is() -> None:
    gateway = bench({READER: TRUSTING})
    reader, user = (await gateway.assume()).key, (await gateway.call("GetSessionToken")).key
    for pair, arn in (
        (CLIENT, "arn:aws:iam::000000000000:user/client-fake-key"),
        (user, "arn:aws:iam::000000000000:user/client-fake-key"),
        (reader, "arn:aws:sts::000000000000:assumed-role/reader/me"),
    ):
        said = await gateway.call("GetCallerIdentity", pair)
        assert (said.leaves["Arn"], said.leaves["Account"]) == (arn, "000000000000")


async def test_a_key_that_comes_with_a_web_token_is_no_user_of_that_name() -> None:
    """Its bearer is called like a client key: that key's rights are not the bearer's, who gets nowhere at all."""
    jwt = {**JWT, "secret": "x" * 32, "secret_key": "fake-key-of-bearers"}
    gateway = bench({READER: {"principals": ["*"]}}, jwt=jwt)
    token = web_token(secret="x" * 32, sub=CLIENT.access_key)
    pair = KeyPair("any-access-key", "fake-key-of-bearers", token)
    assert (await gateway.call("GetCallerIdentity", pair)).code == "InvalidClientTokenId"
    assert (await gateway.assume(pair=pair)).code == "InvalidClientTokenId"
    assert (await gateway.call("GetSessionToken", pair)).code == "InvalidClientTokenId"


async def test_the_answer_is_shown_to_people_without_its_secrets() -> None:
    said = await bench().assume()
    assert isinstance(said.outcome, Reply)
    shown = said.outcome.shown
    assert shown is not None
    assert len(shown) == len(said.outcome.body)
    assert said.key.secret_key.encode() not in shown
    assert (said.key.session_token or "").encode() not in shown
    assert said.key.access_key.encode() in shown
    assert said.key.secret_key not in repr(said.outcome)


async def test_calls_are_answered_here_and_named_in_the_verdict() -> None:
    said = await bench().assume()
    verdict = said.outcome.verdict
    assert (verdict.operation, verdict.upstream, verdict.allowed) == ("AssumeRole", "-", True)
    assert verdict.who == CLIENT.access_key


# Who may


@pytest.mark.parametrize(
    ("principals", "allowed"),
    [
        (["client-fake-key"], True),
        ("client-fake-key", True),
        (["client-*"], True),
        (["client-fake-ke?"], True),
        (["*"], True),
        (["other-fake-key"], False),
        (["Client-Fake-Key"], False),
        (["client-fake"], False),
        (["lient-fake-key"], False),
        (["client-fake-key?"], False),
        (["client.fake.key"], False),
        (["[a-z]*"], False),
    ],
)
async def test_a_role_trusts_its_principals_only(principals: Any, allowed: bool) -> None:
    said = await bench({READER: {"principals": principals}}).assume()
    assert said.code == ("" if allowed else "AccessDenied")


async def test_a_role_that_is_not_there_and_one_that_is_not_for_the_caller_look_alike() -> None:
    gateway = bench({READER: {"principals": [OTHER.access_key]}})
    one, other = await gateway.assume(READER), await gateway.assume(WRITER)
    assert one.leaves["Message"].replace("reader", "X") == other.leaves["Message"].replace("team/writer", "X")


@pytest.mark.parametrize("role", [READER.upper(), READER[:-1], READER + "x", READER.replace("role/", "role/x/")])
async def test_another_spelling_of_a_role_is_another_role(role: str) -> None:
    assert (await bench().assume(role)).code in ("AccessDenied", "ValidationError")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ExternalId": "Fake-Id"}, ""),
        ({"ExternalId": "second:id"}, ""),
        ({}, "AccessDenied"),
        ({"ExternalId": ""}, "ValidationError"),
        ({"ExternalId": "fake-id"}, "AccessDenied"),
        ({"ExternalId": "Fake-Id2"}, "AccessDenied"),
        ({"ExternalId": "Fake-I"}, "AccessDenied"),
        ({"ExternalId": "Fake-Id "}, "ValidationError"),
        ({"ExternalId": "*"}, "ValidationError"),
        ({"ExternalId": "x" * 1225}, "ValidationError"),
        ({"externalid": "Fake-Id"}, "ValidationError"),
    ],
)
async def test_an_external_id_is_asked_for_to_the_letter(given: dict[str, str], code: str) -> None:
    role = {**TRUSTING, "external_id": ["Fake-Id", "second:id"]}
    assert (await bench({READER: role}).assume(**given)).code == code


async def test_an_external_id_does_not_stand_in_for_trust() -> None:
    role = {"principals": [OTHER.access_key], "external_id": "Fake-Id"}
    assert (await bench({READER: role}).assume(ExternalId="Fake-Id")).code == "AccessDenied"


# Signatures


async def test_nothing_but_a_web_identity_is_taken_unsigned() -> None:
    gateway = bench(allow_anonymous=True)
    for action in ("AssumeRole", "GetSessionToken", "GetCallerIdentity"):
        arguments = {"RoleArn": READER, "RoleSessionName": "me"} if action == "AssumeRole" else {}
        assert (await gateway.call(action, None, **arguments)).code == "MissingAuthenticationToken"


async def test_signatures_are_checked_even_where_those_of_s3_requests_are_not() -> None:
    gateway = bench(skip_signature_validation=True, jwt=None)
    assert (await gateway.assume(pair=changed(CLIENT, secret_key="wrong"))).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("service", ["s3", "iam", "STS", "sts/x", ""])
async def test_a_signature_for_another_service_is_none_for_sts(service: str) -> None:
    body = form("GetCallerIdentity")
    said = await bench().send(call_head(body, service=service), body)
    assert said.code == "IncompleteSignature"


async def test_a_signature_for_sts_is_none_for_s3() -> None:
    outcome = await bench().admit(call_head(b"", method="GET", target="/demo/key"))
    assert isinstance(outcome, Refusal)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3", "aws-global", "xx-nowhere-9"])
async def test_any_region_will_do(region: str) -> None:
    body = form("GetCallerIdentity")
    assert (await bench().send(call_head(body, region=region), body)).code == ""


@pytest.mark.parametrize("host", [HOST, "sts.amazonaws.com", "sts.eu-west-3.amazonaws.com", "127.0.0.1", "[::1]:80"])
async def test_any_host_that_names_no_bucket_will_do(host: str) -> None:
    body = form("GetCallerIdentity")
    assert (await bench().send(call_head(body, host=host), body)).code == ""


async def test_a_bucket_in_the_host_makes_it_no_call() -> None:
    body = form("GetCallerIdentity")
    outcome = await bench().admit(call_head(body, host="demo.osp.localhost"))
    assert not isinstance(outcome, PendingAction)


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        (changed(CLIENT, secret_key="wrong"), "SignatureDoesNotMatch"),
        (changed(CLIENT, access_key="nobody"), "InvalidClientTokenId"),
        (changed(CLIENT, access_key=OTHER.access_key), "SignatureDoesNotMatch"),
        (changed(CLIENT, session_token="invented"), "InvalidClientTokenId"),
    ],
    ids=["secret", "key", "another-key", "token"],
)
async def test_a_wrong_key_is_refused_in_stss_words(pair: KeyPair, code: str) -> None:
    assert (await bench().assume(pair=pair)).code == code


async def test_the_body_is_part_of_what_is_signed() -> None:
    signed, sent = form("AssumeRole", RoleArn=READER, RoleSessionName="me"), form("GetSessionToken")
    assert (await bench().send(call_head(signed), sent)).code == "SignatureDoesNotMatch"
    assert (await bench().send(call_head(signed), signed + b"&DurationSeconds=900")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", "0" * 64, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ""])
async def test_no_header_says_that_the_body_is_not_signed(claimed: str) -> None:
    body = form("GetCallerIdentity")
    headers = (("content-type", FORM), ("x-amz-content-sha256", claimed))
    assert (await bench().send(call_head(body, headers=headers), body)).code == "IncompleteSignature"


@pytest.mark.parametrize("seconds", [-901, 901, -86_400])
async def test_a_call_that_is_replayed_later_is_refused(seconds: int) -> None:
    body = form("AssumeRole", RoleArn=READER, RoleSessionName="me")
    assert (await bench().send(call_head(body, now=NOW + seconds), body)).code == "SignatureDoesNotMatch"


async def test_an_unsigned_session_token_is_refused() -> None:
    body = form("GetCallerIdentity")
    head = call_head(body)
    token = ("x-amz-security-token", (await bench().assume()).key.session_token or "")
    said = await bench().send(RequestHead("POST", "/", "", (*head.headers, token)), body)
    assert said.code == "AccessDenied"


# The request's form


async def test_parameters_stand_in_the_body_or_in_the_url_and_not_in_both() -> None:
    gateway, query = bench(), form("GetCallerIdentity").decode()
    for method, target, body, code in (
        ("GET", f"/?{query}", b"", ""),
        ("POST", f"/?{query}", b"", ""),
        ("POST", f"/?{query}", form("GetSessionToken"), "ValidationError"),
        ("POST", "/?x=y", form("GetCallerIdentity"), "ValidationError"),
        ("GET", f"/?{query}&X-Amz-Expires=600", b"", "ValidationError"),
        ("GET", f"/?{query}&Action=GetSessionToken", b"", "ValidationError"),
    ):
        headers = (("content-type", FORM),) if body else ()
        said = await gateway.send(call_head(body, method=method, target=target, headers=headers), body)
        assert said.code == code, (method, target)


async def test_a_body_of_a_get_is_not_looked_at() -> None:
    target = f"/?{form('GetCallerIdentity').decode()}"
    said = await bench().send(call_head(b"", method="GET", target=target, headers=()), form("GetSessionToken"))
    assert said.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("content-type", "text/plain"),),
        (("content-type", "multipart/form-data; boundary=x"),),
        (("content-type", FORM), ("content-encoding", "gzip")),
    ],
)
async def test_a_body_that_is_no_form_is_refused(headers: Any) -> None:
    body = form("GetCallerIdentity")
    assert (await bench().send(call_head(body, headers=headers), body)).code == "ValidationError"


async def test_a_huge_form_is_refused_and_not_held() -> None:
    gateway = bench()
    pending = await gateway.admit(call_head(b""))
    assert isinstance(pending, PendingAction)
    assert pending.body.feed(b"x" * 65_536)
    assert not pending.body.feed(b"x")
    assert not pending.body.feed(b"x" * 65_536)
    assert pending.body.octets is None
    refusal = await gateway.gateway.admit_action(pending)
    assert isinstance(refusal, Refusal)
    assert (refusal.error.status, refusal.error.code) == (413, "RequestEntityTooLarge")


async def test_without_sts_a_post_at_the_root_is_what_it_was() -> None:
    body = form("GetCallerIdentity")
    plain = StsBench.__mro__[1](cos_map={"demo": {"host": "store.example.test", "apikey": "fake"}})
    outcome = await plain.admit(
        call_head(body, service="s3", headers=(("content-type", FORM), ("x-amz-content-sha256", "0" * 64)))
    )
    assert isinstance(outcome, Refusal)
    assert b"<Error><Code>" in outcome.body
    pair = (await bench().assume()).key
    refusal = await plain.refusal(signed_head(pair=pair))
    assert refusal.error.code in ("InvalidAccessKeyId", "InvalidToken")


async def test_with_sts_the_list_of_buckets_is_still_a_list_of_buckets() -> None:
    outcome = await bench().admit(signed_head("GET", "/"))
    assert isinstance(outcome, Reply)
    assert b"ListAllMyBucketsResult" in outcome.body


@pytest.mark.parametrize("text", ["<x>&amp;]]>", '"><Code>AccessGranted</Code>', "\x00\x1b", "\ud7ff\ufffe", "é" * 50])
async def test_what_the_client_wrote_cannot_write_the_answer(text: str) -> None:
    gateway = bench({READER: {**TRUSTING, "tags": ["*"]}})
    for parameters in (
        {"RoleSessionName": text},
        {"RoleArn": text},
        {"ExternalId": text},
        {"Tags.member.1.Key": text},
        {"Tags.member.1.Key": "k", "Tags.member.1.Value": text},
        {"Policy": text},
        {text: "x"},
    ):
        body = form("AssumeRole", **{"RoleArn": READER, "RoleSessionName": "me", **parameters})
        said = await gateway.send(call_head(body), body)
        tree = ElementTree.fromstring(said.outcome.body)
        assert len([leaf for leaf in tree.iter() if leaf.tag.endswith("}Code")]) == (1 if said.code else 0)
        assert said.code != "AccessGranted"
    said = await gateway.call(text)
    assert said.code == "InvalidAction"


async def test_errors_are_stss() -> None:
    said = await bench().assume(pair=None)
    assert isinstance(said.outcome, Refusal)
    root = ElementTree.fromstring(said.outcome.body)
    namespace = "{https://sts.amazonaws.com/doc/2011-06-15/}"
    assert root.tag == f"{namespace}ErrorResponse"
    assert [child.tag for child in root] == [f"{namespace}Error", f"{namespace}RequestId"]
    assert [child.tag for child in root[0]] == [f"{namespace}{name}" for name in ("Type", "Code", "Message")]
    assert said.leaves["Type"] == "Sender"


async def test_an_error_of_our_own_is_a_refusal() -> None:
    gateway = bench()
    gateway.gateway._tokens._identifier = None  # type: ignore[union-attr,assignment]
    said = await gateway.assume()
    assert (said.code, said.leaves["Type"]) == ("InternalFailure", "Receiver")


# Durations and lineage


@pytest.mark.parametrize(
    ("seconds", "code"), [("900", ""), ("7200", ""), ("899", "ValidationError"), ("7201", "ValidationError")]
)
async def test_a_role_bounds_its_sessions(seconds: str, code: str) -> None:
    said = await bench({READER: {**TRUSTING, "max_duration": 7200}}).assume(DurationSeconds=seconds)
    assert said.code == code


async def test_a_role_whose_sessions_are_short_gives_short_ones_by_default() -> None:
    said = await bench({READER: {**TRUSTING, "max_duration": 900}}).assume()
    assert said.leaves["Expiration"] == "2026-01-01T12:15:00Z"


async def test_a_session_ends_to_the_second() -> None:
    gateway = bench(clock=Clock())
    pair = (await gateway.assume(DurationSeconds="900")).key
    gateway.clock.now = NOW + 899.9
    assert isinstance(await use(gateway, pair), Forward)
    gateway.clock.now = NOW + 900
    assert await refused(gateway, pair) == "ExpiredToken"
    assert (await gateway.call("GetCallerIdentity", pair)).code == "ExpiredToken"
    assert (await gateway.assume(pair=pair)).code == "ExpiredToken"


async def test_no_session_opens_a_users_session() -> None:
    gateway = bench()
    for said in (await gateway.assume(), await gateway.call("GetSessionToken")):
        assert (await gateway.call("GetSessionToken", said.key)).code == "AccessDenied"
    temporary = KeyPair("temporary-fake-key", "fake-secret", "fake-token")
    listed = {"access_key": temporary.access_key, "secret_key": "fake-secret", "session_token": "fake-token"}
    gateway = bench(hmac_keystore=[*KEYS, listed])
    assert (await gateway.call("GetSessionToken", temporary)).code == "AccessDenied"


async def test_a_role_that_trusts_another_is_taken_on_for_an_hour_at_most() -> None:
    chain = {READER: {**TRUSTING, "max_duration": 43_200}, WRITER: {"principals": [READER], "max_duration": 43_200}}
    gateway = bench(chain)
    pair = (await gateway.assume(DurationSeconds="43200")).key
    assert (await gateway.assume(WRITER, pair, DurationSeconds="3601")).code == "ValidationError"
    said = await gateway.assume(WRITER, pair, DurationSeconds="3600")
    assert said.leaves["Expiration"] == "2026-01-01T13:00:00Z"
    await use(gateway, said.key)
    assert gateway.validator.asked[-1].token == WRITER


async def test_a_user_does_not_get_at_a_role_that_trusts_another_role_only() -> None:
    gateway = bench({READER: TRUSTING, WRITER: {"principals": [READER]}})
    assert (await gateway.assume(WRITER)).code == "AccessDenied"
    assert (await gateway.assume(WRITER, (await gateway.call("GetSessionToken")).key)).code == "AccessDenied"


async def test_a_session_does_not_go_on_as_the_user_who_opened_it() -> None:
    gateway = bench({READER: TRUSTING, WRITER: TRUSTING})
    assert (await gateway.assume(WRITER, (await gateway.assume(READER)).key)).code == "AccessDenied"


async def test_a_session_never_outlives_the_one_that_opened_it() -> None:
    gateway = bench({READER: TRUSTING, WRITER: {"principals": [READER]}}, clock=Clock())
    pair = (await gateway.assume(DurationSeconds="900")).key
    gateway.clock.now = NOW + 800
    child = (await gateway.assume(WRITER, pair, DurationSeconds="3600")).key
    assert isinstance(await use(gateway, child), Forward)
    gateway.clock.now = NOW + 900
    assert await refused(gateway, child) == "ExpiredToken"


# Attacks on keys and tokens


async def test_keys_tokens_and_secrets_do_not_mix() -> None:
    gateway = bench()
    one, other = (await gateway.assume()).key, (await gateway.assume()).key
    user = (await gateway.call("GetSessionToken")).key
    for mixed, code in (
        (changed(one, session_token=other.session_token), "InvalidToken"),
        (changed(one, session_token=user.session_token), "InvalidToken"),
        (changed(one, access_key=user.access_key), "InvalidToken"),
        (changed(one, access_key=user.access_key, session_token=user.session_token), "SignatureDoesNotMatch"),
        (changed(one, secret_key=other.secret_key), "SignatureDoesNotMatch"),
        (changed(one, secret_key=CLIENT.secret_key), "SignatureDoesNotMatch"),
        (changed(one, access_key=CLIENT.access_key), "InvalidToken"),
        (changed(CLIENT, session_token=one.session_token), "InvalidToken"),
        (changed(one, session_token=None), "InvalidAccessKeyId"),
        (changed(one, session_token=(one.session_token or "")[:-1] + "!"), "InvalidToken"),
        (changed(one, session_token="x" * 5000), "InvalidToken"),
    ):
        assert await refused(gateway, mixed) == code


async def test_a_role_is_no_access_key_whatever_a_keystore_says() -> None:
    gateway = bench(hmac_fetcher=lambda access_key: "fake-secret")
    assert await refused(gateway, KeyPair(READER, "fake-secret")) == "InvalidAccessKeyId"
    assert await refused(gateway, KeyPair("ASIAOSP" + "A" * 16, "fake-secret")) == "InvalidAccessKeyId"


async def test_gateways_with_the_same_secret_take_each_others_keys_and_others_do_not() -> None:
    pair = (await bench().assume()).key
    assert isinstance(await use(bench(), pair), Forward)
    assert await refused(bench(sts={"secret": "another-fake-secret-that-seals-tokens"}), pair) == "InvalidToken"
    rotated = bench(sts={"secret": ["another-fake-secret-that-seals-tokens", SECRET]})
    assert isinstance(await use(rotated, pair), Forward)
    assert await refused(bench({}), pair) == "InvalidToken"  # which does not know the role


async def test_a_presigned_url_ends_with_the_session_that_made_it() -> None:
    gateway = bench(clock=Clock())
    pair = (await gateway.assume(DurationSeconds="900")).key
    head = presigned_head(pair=pair, expires=3600)
    assert isinstance(await gateway.admit(head), Forward)
    gateway.clock.now = NOW + 900
    assert (await gateway.refusal(head)).error.code == "ExpiredToken"


# Web identities

FEDERATED = {"web_identity": {"iss": ISSUER, "sub": ["alice", "team-*"]}}


async def test_a_web_identity_is_exchanged_for_a_key() -> None:
    gateway = bench({READER: {**FEDERATED, "claims": ["iss", "groups"]}})
    said = await gateway.exchange(web_token(groups=["a", "b"], email="alice@example.test"))
    named = ("SubjectFromWebIdentityToken", "Provider", "Audience")
    assert [said.leaves[name] for name in named] == ["alice", ISSUER, "osp"]
    assert isinstance(await use(gateway, said.key), Forward)
    (asked,) = gateway.validator.asked
    assert (asked.token, asked.identity.name) == (READER, READER)
    assert asked.identity.claims["web_identity"] == {"iss": ISSUER, "groups": ("a", "b")}


async def test_what_the_token_itself_would_be_granted_is_not_granted_to_the_session() -> None:
    """Grants look at the claims of a token: those of a session stand elsewhere."""
    jwt = {**JWT, "grants": [{"buckets": ["demo"], "actions": ["*"]}]}
    gateway = bench({READER: {**FEDERATED, "claims": ["iss", "sub"]}}, jwt=jwt, validator=None)
    said = await gateway.exchange(web_token())
    assert await refused(gateway, said.key) == "AccessDenied"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"sub": "team-blue"}, ""),
        ({"sub": "bob"}, "AccessDenied"),
        ({"sub": "Alice"}, "AccessDenied"),
        ({"sub": "xteam-"}, "AccessDenied"),
        ({"sub": None}, "InvalidIdentityToken"),
        ({"sub": ["alice"]}, "InvalidIdentityToken"),
        ({"iss": "https://other.example.test"}, "InvalidIdentityToken"),
        ({"aud": "another"}, "InvalidIdentityToken"),
        ({"exp": NOW - 600}, "ExpiredTokenException"),
        ({"exp": None}, "InvalidIdentityToken"),
        ({"nbf": NOW + 600}, "InvalidIdentityToken"),
        ({"secret": "another-fake-secret-of-an-issuer-32-ch"}, "InvalidIdentityToken"),
    ],
    ids=str,
)
async def test_a_web_identity_has_to_be_one_that_the_role_trusts(claims: dict[str, Any], code: str) -> None:
    assert (await bench({READER: FEDERATED}).exchange(web_token(**claims))).code == code


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 20_000], ids=len)
async def test_what_is_no_token_is_refused(token: str) -> None:
    code = "InvalidIdentityToken" if token else "ValidationError"
    assert (await bench({READER: FEDERATED}).exchange(token)).code == code


async def test_a_role_for_client_keys_is_not_one_for_web_identities_and_the_other_way_round() -> None:
    gateway = bench({READER: {"principals": ["*"]}, WRITER: FEDERATED})
    assert (await gateway.exchange(web_token(), READER)).code == "AccessDenied"
    assert (await gateway.assume(WRITER)).code == "AccessDenied"


async def test_a_signature_beside_a_web_identity_changes_nothing() -> None:
    gateway = bench({READER: {**TRUSTING, **FEDERATED}})
    for token, code in ((web_token(sub="bob"), "AccessDenied"), (web_token(), "")):
        body = form("AssumeRoleWithWebIdentity", RoleArn=READER, RoleSessionName="me", WebIdentityToken=token)
        assert (await gateway.send(call_head(body), body)).code == code


async def test_the_token_is_told_to_nobody() -> None:
    gateway = bench({READER: FEDERATED})
    for token in (web_token(), web_token(sub="bob"), web_token(exp=NOW - 600)):
        said = await gateway.exchange(token)
        assert token not in repr(said.outcome)
        assert token.encode() not in said.outcome.body
        assert token not in said.outcome.verdict.reason


# Tags


async def test_tags_are_set_where_the_role_allows_it() -> None:
    gateway = bench({READER: {**TRUSTING, "tags": ["team", "cost-*"]}})
    tags = {"Tags.member.1.Key": "team", "Tags.member.1.Value": "blue <&>".replace(" <&>", " x")}
    said = await gateway.assume(**tags)
    assert 1 <= int(said.leaves["PackedPolicySize"]) <= 100
    await use(gateway, said.key)
    assert gateway.validator.asked[-1].identity.claims["tags"] == {"team": "blue x"}
    for key in ("Team", "other", "cost", "xcost-y"):
        assert (await gateway.assume(**{"Tags.member.1.Key": key, "Tags.member.1.Value": "x"})).code == "AccessDenied"


async def test_a_tag_that_goes_on_cannot_be_replaced() -> None:
    both = {"tags": ["*"]}
    gateway = bench({READER: {**TRUSTING, **both}, WRITER: {"principals": [READER], **both}})
    on = {"Tags.member.1.Key": "team", "Tags.member.1.Value": "blue", "TransitiveTagKeys.member.1": "team"}
    off = {"Tags.member.2.Key": "stays", "Tags.member.2.Value": "here"}
    pair = (await gateway.assume(**on, **off)).key
    for key in ("team", "TEAM"):
        forged = {"Tags.member.1.Key": key, "Tags.member.1.Value": "red"}
        assert (await gateway.assume(WRITER, pair, **forged)).code == "ValidationError"
    said = await gateway.assume(WRITER, pair, **{"Tags.member.1.Key": "own", "Tags.member.1.Value": "x"})
    await use(gateway, said.key)
    assert gateway.validator.asked[-1].identity.claims["tags"] == {"team": "blue", "own": "x"}
    assert (await gateway.assume(**{"TransitiveTagKeys.member.1": "team"})).code == "ValidationError"


# Policies


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("", "ValidationError"),
        ("x", "MalformedPolicyDocument"),
        ("[]", "MalformedPolicyDocument"),
        ("{}", "MalformedPolicyDocument"),
        ('{"Statement": []}', "MalformedPolicyDocument"),
        (json.dumps({**POLICY, "Statement": [{**POLICY["Statement"][0], "Efect": "x"}]}), "MalformedPolicyDocument"),
        ('{"Statement": NaN}', "MalformedPolicyDocument"),
        ('{"Statement": [1], "Statement": [2]}', "MalformedPolicyDocument"),
        ("[" * 2000, "MalformedPolicyDocument"),
        ('{"Statement": "' + "x" * 2048 + '"}', "PackedPolicyTooLarge"),
    ],
    ids=lambda text: text[:30],
)
async def test_a_session_policy_that_is_none_is_refused(policy: str, code: str) -> None:
    assert (await bench().assume(Policy=policy)).code == code


async def test_what_narrows_a_session_narrows_those_that_it_opens() -> None:
    roles = {READER: {**TRUSTING, "policy": POLICY}, WRITER: {"principals": [READER]}}
    gateway = bench(roles)
    inline = json.dumps({**POLICY, "Id": "inline"})
    pair = (await gateway.assume(Policy=inline)).key
    child = (await gateway.assume(WRITER, pair, Policy=json.dumps({**POLICY, "Id": "child"}))).key
    for key, names in ((pair, ["inline", None]), (child, ["inline", "child", None])):
        identity = await policies_of(gateway, key)
        assert [json.loads(document).get("Id") for document in identity.policies] == names


def allowing(*actions: str, resource: str = "arn:aws:s3:::*", effect: str = "Allow") -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resource}]}


async def does(gateway: StsBench, pair: KeyPair, method: str = "GET", target: str = "/demo/key") -> bool:
    outcome = await gateway.admit(signed_head(method, target, pair=pair, now=gateway.clock.now))
    if isinstance(outcome, Refusal):
        assert outcome.error.code == "AccessDenied"
    return isinstance(outcome, Forward)


async def test_a_session_policy_narrows_what_the_role_may() -> None:
    gateway = bench()
    pair = (await gateway.assume(Policy=json.dumps(allowing("s3:GetObject", resource="arn:aws:s3:::demo/a*")))).key
    assert await does(gateway, pair, "GET", "/demo/abc")
    assert not await does(gateway, pair, "GET", "/demo/key")
    assert not await does(gateway, pair, "PUT", "/demo/abc")
    assert not await does(gateway, pair, "DELETE", "/demo/abc")
    assert not await does(gateway, pair, "GET", "/demo")
    assert await does(gateway, (await gateway.assume()).key, "PUT")


async def test_no_session_policy_allows_what_the_role_may_not() -> None:
    gateway = bench(validator=Validator(lambda request: request.operation == "GetObject"))
    pair = (await gateway.assume(Policy=json.dumps(allowing("s3:*")))).key
    assert await does(gateway, pair)
    assert not await does(gateway, pair, "PUT")


async def test_the_roles_own_policy_holds_whatever_the_caller_writes() -> None:
    gateway = bench({READER: {**TRUSTING, "policy": allowing("s3:GetObject")}})
    for parameters in ({}, {"Policy": json.dumps(allowing("s3:*"))}):
        pair = (await gateway.assume(**parameters)).key
        assert await does(gateway, pair)
        assert not await does(gateway, pair, "PUT")
    nothing = (await gateway.assume(Policy=json.dumps(allowing("s3:PutObject")))).key
    assert not await does(gateway, nothing)
    assert not await does(gateway, nothing, "PUT")


async def test_the_policies_of_a_session_hold_for_the_roles_that_are_taken_on_from_it() -> None:
    gateway = bench(
        {READER: {**TRUSTING, "policy": allowing("s3:GetObject", "s3:PutObject")}, WRITER: {"principals": [READER]}}
    )
    free = (await gateway.assume(WRITER, (await gateway.assume()).key)).key
    assert await does(gateway, free)
    assert await does(gateway, free, "PUT")
    assert not await does(gateway, free, "DELETE")
    narrow = (await gateway.assume(Policy=json.dumps(allowing("s3:GetObject")))).key
    widened = (await gateway.assume(WRITER, narrow, Policy=json.dumps(allowing("s3:*")))).key
    assert await does(gateway, widened)
    assert not await does(gateway, widened, "PUT")


async def test_the_policy_of_a_role_is_the_one_that_it_has_now() -> None:
    pair = (await bench().assume()).key
    assert not await does(bench({READER: {**TRUSTING, "policy": allowing("s3:PutObject")}}), pair)


async def test_a_policy_may_speak_of_the_sessions_tags_and_of_the_web_identity() -> None:
    resource = "arn:aws:s3:::demo/${aws:PrincipalTag/team}/*"
    gateway = bench({READER: {**TRUSTING, "tags": ["team"], "policy": allowing("s3:GetObject", resource=resource)}})
    for team in ("blue", "red"):
        pair = (await gateway.assume(**{"Tags.member.1.Key": "team", "Tags.member.1.Value": team})).key
        assert await does(gateway, pair, "GET", "/demo/blue/x") is (team == "blue")
    assert not await does(gateway, (await gateway.assume()).key, "GET", "/demo/blue/x")


async def test_policies_are_for_roles_by_their_arn() -> None:
    entry = {"principals": [READER], "document": allowing("s3:GetObject")}
    gateway = bench({READER: TRUSTING, WRITER: TRUSTING}, validator=None, policies=[entry])
    assert await does(gateway, (await gateway.assume(READER)).key)
    assert not await does(gateway, (await gateway.assume(READER)).key, "PUT")
    assert not await does(gateway, (await gateway.assume(WRITER)).key)


async def test_a_role_that_is_called_like_a_user_is_not_that_user() -> None:
    """`aws:username`, and the names that policies are for, are a role's whole ARN."""
    role = ROLES + CLIENT.access_key
    entry = {"principals": [CLIENT.access_key], "document": allowing("s3:*")}
    gateway = bench({role: TRUSTING}, validator=None, policies=[entry])
    assert await does(gateway, CLIENT)
    assert not await does(gateway, (await gateway.assume(role)).key)


async def policies_of(gateway: StsBench, pair: KeyPair) -> Any:
    sessions = gateway.gateway._identifier._resolvers[0]
    return sessions._open(pair.access_key, pair.session_token)[1].identity  # type: ignore[attr-defined]


# Revocation


async def test_a_revoked_key_is_nobodys_and_neither_are_its_sessions() -> None:
    roles = {READER: TRUSTING, WRITER: {"principals": [READER]}}
    gateway = bench(roles)
    role, user = (await gateway.assume()).key, (await gateway.call("GetSessionToken")).key
    child = (await gateway.assume(WRITER, role)).key
    url = presigned_head(pair=CLIENT)
    for revoked in (["client-fake-key"], ["client-*"], [{"key": "client-fake-key"}]):
        later = bench(roles, revoked_keys=revoked)
        assert await refused(later, CLIENT) == "InvalidAccessKeyId"
        assert (await later.refusal(url)).error.code == "InvalidAccessKeyId"
        assert (await later.assume()).code == "InvalidClientTokenId"
        for pair in (role, user, child):
            assert await refused(later, pair) == "InvalidToken"
        assert isinstance(await use(later, OTHER), Forward)


async def test_a_session_is_revoked_by_its_own_key_by_its_parents_and_by_its_role() -> None:
    roles = {READER: TRUSTING, WRITER: {"principals": [READER]}}
    gateway = bench(roles)
    pair = (await gateway.assume()).key
    child = (await gateway.assume(WRITER, pair)).key
    for name, parent_too in ((pair.access_key, True), (child.access_key, False), (READER, True), (WRITER, False)):
        later = bench(roles, revoked_keys=[name])
        assert isinstance(await use(later, pair), Refusal) is parent_too
        assert isinstance(await use(later, child), Refusal)
        assert isinstance(await use(later, CLIENT), Forward)


async def test_a_revoked_web_identity_gets_no_key_and_loses_those_that_it_has() -> None:
    roles = {READER: FEDERATED}
    pair = (await bench(roles).exchange(web_token())).key
    for name, revoked in ((f"{ISSUER}#alice", True), (f"{ISSUER}#team-blue", False), (f"{ISSUER}#*", True)):
        later = bench(roles, revoked_keys=[name])
        assert isinstance(await use(later, pair), Refusal) is revoked
        assert (await later.exchange(web_token())).code == ("AccessDenied" if revoked else "")


async def test_a_revoked_role_is_not_taken_on() -> None:
    assert (await bench(revoked_keys=[READER]).assume()).code == "AccessDenied"
    assert (await bench(revoked_keys=[{"key": READER, "issued_before": "2026-01-01T11:59:59Z"}]).assume()).code == ""


async def test_sessions_that_are_older_are_revoked_and_so_are_those_that_they_opened_since() -> None:
    roles = {READER: TRUSTING, WRITER: {"principals": [READER]}}
    gateway = bench(roles, clock=Clock())
    old = (await gateway.assume()).key
    gateway.clock.now = NOW + 600
    new, child = (await gateway.assume()).key, (await gateway.assume(WRITER, old)).key
    revoked = [{"issued_before": "2026-01-01T13:05:00+01:00"}]  # 300 seconds after the beginning
    later = bench(roles, clock=Clock(NOW + 600), revoked_keys=revoked)
    assert await refused(later, old) == "InvalidToken"
    assert await refused(later, child) == "InvalidToken"
    assert isinstance(await use(later, new), Forward)
    assert isinstance(await use(later, CLIENT), Forward)
    elsewhere = bench(roles, clock=Clock(NOW + 600), revoked_keys=[{"key": "other-*", **revoked[0]}])
    assert isinstance(await use(elsewhere, old), Forward)


async def test_bearers_are_revoked_by_issuer_and_name() -> None:
    for name, forwarded in ((f"{ISSUER}#alice", False), (f"{ISSUER}#bob", True), (f"{ISSUER}#*", False)):
        gateway = bench(jwt={**JWT, "secret_key": "fake-key-of-bearers"}, revoked_keys=[name])
        outcome = await use(gateway, KeyPair("any", "fake-key-of-bearers", web_token()))
        assert isinstance(outcome, Forward) is forwarded


def test_the_support_is_as_strict_as_it_looks() -> None:
    assert Said.__dataclass_fields__.keys() == {"outcome", "leaves"}
    assert Validator().answer is True
