"""Clients with tokens, from their head to what goes on to the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.outcomes import Forward, PendingForm, Refusal
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.keys import KeyPair
from support import sigv2
from support.asymmetric import asymmetric_head
from support.forms import CONTENT_TYPE, form_body, signed_fields
from support.heads import (
    BACKEND,
    CLIENT,
    NOW,
    STORE,
    Bench,
    Clock,
    Validator,
    assert_botocore_agrees,
    header,
    presigned_head,
    signed_head,
    unsigned_head,
)
from support.tokens import ISSUER, SECRET_KEY, claims, forge, mint, rsa_key, trusting

ALICE = f"{ISSUER}#alice"
READ_AND_WRITE = [{"buckets": ["*"], "actions": ["s3:*"]}]


def token(**changes: Any) -> str:
    return mint(claims(NOW, **changes))


def as_access_key(text: str, secret: str = SECRET_KEY, *args: Any, **changes: Any) -> RequestHead:
    return signed_head(*args, pair=KeyPair(text, secret), **changes)


def as_session_token(text: str, pair: KeyPair = CLIENT, *args: Any, **changes: Any) -> RequestHead:
    return signed_head(*args, pair=KeyPair(pair.access_key, pair.secret_key, text), **changes)


def as_bearer(text: str, method: str = "GET", target: str = "/demo/key", **more: str) -> RequestHead:
    headers = (("authorization", f"Bearer {text}"), *((n.replace("_", "-"), v) for n, v in more.items()))
    return unsigned_head(method, target, headers)


def bench(**changes: Any) -> Bench:
    issuer = {name: changes.pop(name) for name in list(changes) if name in ("bearer", "secret_key", "grants", "leeway")}
    return Bench(**{"jwt": trusting(**issuer), **changes})


def presigned(text: str, way: str) -> RequestHead:
    pair = KeyPair(text, SECRET_KEY) if way == "key" else KeyPair(CLIENT.access_key, CLIENT.secret_key, text)
    return presigned_head(pair=pair)


WAYS: Mapping[str, Any] = {
    "access key": as_access_key,
    "session token": as_session_token,
    "bearer": as_bearer,
    "presigned, access key": lambda text: presigned(text, "key"),
    "presigned, session token": lambda text: presigned(text, "token"),
}


async def admit(running: Bench, head: RequestHead) -> Forward:
    return await running.forward(head, tls=True)


async def refuse(running: Bench, head: RequestHead, tls: bool = True) -> Refusal:
    return await running.refusal(head, tls=tls)


def assert_does_not_tell(outcome: Refusal | Forward, text: str) -> None:
    told = repr(outcome) + repr(outcome.verdict)
    if outcome.verdict.explanation is not None:
        told += outcome.verdict.explanation.text()
    if isinstance(outcome, Refusal):
        told += outcome.body.decode() + repr(outcome.headers) + str(outcome.error) + outcome.error.reason
    for part in (text, *text.split(".")):
        assert len(part) < 8 or part not in told


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_is_an_identity(way: str) -> None:
    text = token(groups=["analysts"])
    running = bench()
    forward = await admit(running, WAYS[way](text))
    asked = running.validator.asked[0]
    assert asked.identity.name == "alice"
    assert asked.identity.claims["groups"] == ("analysts",)
    assert asked.identity.expires_at == NOW + 600
    assert asked.token == (CLIENT.access_key if "session" in way else ALICE)
    assert text not in repr(asked)
    assert forward.verdict.who == "alice"
    assert_does_not_tell(forward, text)


@pytest.mark.parametrize("way", WAYS)
async def test_the_store_gets_the_backends_signature_and_nothing_of_the_token(way: str) -> None:
    text = token()
    forward = await admit(bench(), WAYS[way](text))
    assert_botocore_agrees(forward)
    assert header(forward, "x-amz-security-token") is None
    sent = repr((forward.target, forward.headers)).lower()
    assert "bearer" not in sent
    assert not any(part.lower() in sent for part in text.split("."))


WRONG: Mapping[str, tuple[str, str]] = {
    "expired": (token(exp=int(NOW) - 31, iat=int(NOW) - 600), "ExpiredToken"),
    "not yet valid": (token(nbf=int(NOW) + 60), "InvalidToken"),
    "another audience": (token(aud="someone-elses"), "InvalidToken"),
    "another issuer": (token(iss="https://other.example.test"), "InvalidToken"),
    "another key": (mint(claims(NOW), rsa_key(1)), "InvalidToken"),
    "unsigned": (forge({"alg": "none"}, claims(NOW)), "InvalidToken"),
    "nonsense": ("eyJhbGciOiJSUzI1NiJ9.nonsense.nonsense", "InvalidToken"),
    "encrypted": ("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "InvalidToken"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_token_is_refused_as_aws_refuses_it(way: str, what: str) -> None:
    text, code = WRONG[what]
    running = bench()
    refusal = await refuse(running, WAYS[way](text))
    assert (refusal.error.code, refusal.error.status) == (code, 400)
    assert running.validator.asked == []
    assert_does_not_tell(refusal, text)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "bearer"])
async def test_the_signature_counts_as_well(way: str) -> None:
    text = token()
    head = WAYS[way](text)
    changed = RequestHead("PUT" if head.method == "GET" else "GET", head.path, head.query, head.headers)
    refusal = await refuse(bench(explain_errors=True), changed)
    assert refusal.error.code == "SignatureDoesNotMatch"
    assert_does_not_tell(refusal, text)


async def test_a_token_as_access_key_is_not_signed_with_another_secret() -> None:
    for secret in ("", "other-fake-secret", CLIENT.secret_key):
        assert (await refuse(bench(), as_access_key(token(), secret))).error.code == "SignatureDoesNotMatch"


async def test_a_fetched_secret_goes_before_the_shared_one() -> None:
    text = token()
    fetched = {text: "fetched-fake-secret"}
    running = bench(hmac_fetcher=fetched.get)
    await admit(running, as_access_key(text, "fetched-fake-secret"))
    assert (await refuse(running, as_access_key(text))).error.code == "SignatureDoesNotMatch"
    await admit(running, as_access_key(token(sub="bob")))


async def test_the_fetcher_is_not_asked_about_a_token_that_is_wrong() -> None:
    asked: list[str] = []
    running = bench(hmac_fetcher=asked.append)
    await refuse(running, as_access_key(WRONG["another key"][0]))
    assert asked == []


async def test_without_any_secret_a_token_is_no_access_key() -> None:
    running = bench(secret_key=None)
    assert (await refuse(running, as_access_key(token(), ""))).error.code == "AccessDenied"
    assert (await refuse(running, as_session_token(token(), KeyPair("unknown-key", "")))).error.code == "AccessDenied"


async def test_beside_an_unknown_access_key_the_shared_secret_signs() -> None:
    running = bench()
    await admit(running, as_session_token(token(), KeyPair("whatever", SECRET_KEY)))
    assert running.validator.asked[0].token == ALICE


async def test_beside_a_known_access_key_the_shared_secret_does_not_sign() -> None:
    """Else every bearer could send requests in the name of every key."""
    running = bench()
    refusal = await refuse(running, as_session_token(token(), KeyPair(CLIENT.access_key, SECRET_KEY)))
    assert refusal.error.code == "SignatureDoesNotMatch"


async def test_a_session_token_that_is_listed_is_that_keys_own_even_if_it_looks_like_a_token() -> None:
    listed = "eyJhbGciOiJIUzUxMiJ9.eyJmYWtlIjoxfQ.ZmFrZQ"
    entry = {"access_key": "temporary", "secret_key": "fake-secret", "session_token": listed}
    running = bench(hmac_keystore=[entry])
    pair = KeyPair("temporary", "fake-secret")
    await admit(running, as_session_token(listed, pair))
    assert not running.validator.asked[0].identity.claims
    assert (await refuse(running, as_session_token(listed[:-1] + "A", pair))).error.code == "InvalidToken"
    assert (await refuse(running, as_session_token(token(), pair))).error.code == "InvalidToken"


async def test_two_tokens_are_one_too_many() -> None:
    pair = KeyPair(token(), SECRET_KEY, token())
    assert (await refuse(bench(), signed_head(pair=pair))).error.code == "InvalidToken"


async def test_a_plain_key_cannot_have_a_bearers_name() -> None:
    """A fetcher that knows everybody must not lend a bearer's decisions and credentials to others."""
    running = bench(hmac_fetcher=lambda key: "fake-secret")
    head = signed_head(pair=KeyPair(ALICE, "fake-secret"))
    assert (await refuse(running, head)).error.code == "InvalidToken"


@pytest.mark.parametrize("way", ["access key", "bearer", "presigned, access key"])
async def test_a_bearer_cannot_have_a_keys_name(way: str) -> None:
    """Policies are attached to names: whoever names the issuer's users must not name the operator's keys."""
    running = bench()
    assert (await refuse(running, WAYS[way](token(sub=CLIENT.access_key)))).error.code == "InvalidToken"
    beside = as_session_token(token(sub=CLIENT.access_key), KeyPair("whatever", SECRET_KEY))
    assert (await refuse(running, beside)).error.code == "InvalidToken"
    await admit(running, as_session_token(token(sub=CLIENT.access_key)))


async def test_plain_keys_go_on_working() -> None:
    running = bench()
    await admit(running, signed_head())
    assert running.validator.asked[0].identity.name == CLIENT.access_key


# Bearer


async def test_a_bearer_token_must_not_cross_the_network_in_the_clear() -> None:
    assert (await refuse(bench(), as_bearer(token()), tls=False)).error.code == "AccessDenied"
    assert isinstance(await bench(bearer="any").admit(as_bearer(token()), tls=False), Forward)
    assert (await refuse(bench(bearer="never"), as_bearer(token()))).error.code == "AccessDenied"


@pytest.mark.parametrize(
    "more",
    [
        {"target": "/demo/key?X-Amz-Signature=0"},
        {"target": "/demo/key?x-amz-acl=public-read"},
        {"target": "/demo/key?X-Amz-Security-Token=t"},
        {"target": "/demo/key?AWSAccessKeyId=a"},
        {"target": "/demo/key?Signature=a"},
        {"target": "/demo/key?X-Amz-Algorithm=AWS4-HMAC-SHA256"},
        {"x_amz_security_token": "t"},
    ],
)
async def test_a_bearer_token_is_the_only_mechanism(more: dict[str, str]) -> None:
    assert (await refuse(bench(), as_bearer(token(), **more))).error.code == "InvalidArgument"
    assert (await refuse(bench(allow_sigv2=True), as_bearer(token(), **more))).error.code == "InvalidArgument"


async def test_a_presigned_url_is_not_helped_by_a_bearer_token() -> None:
    head = presigned_head(headers=(("authorization", f"Bearer {token()}"),))
    assert (await refuse(bench(), head)).error.code == "InvalidArgument"


@pytest.mark.parametrize("text", ["", " ", "x", "  {}", "{} ", "{}, Bearer {}", '"{}"', "{}\t"])
async def test_a_bearer_header_holds_one_token_and_nothing_else(text: str) -> None:
    assert (await refuse(bench(), as_bearer(text.replace("{}", token())))).error.code == "InvalidToken"


async def test_the_scheme_has_any_case() -> None:
    head = unsigned_head(headers=(("authorization", f"bEARER {token()}"),))
    assert (await admit(bench(), head)).verdict.who == "alice"


async def test_two_authorization_headers_are_refused() -> None:
    head = unsigned_head(headers=tuple([("authorization", f"Bearer {token()}")] * 2))
    assert (await refuse(bench(), head)).error.code == "InvalidRequest"


@pytest.mark.parametrize("mode", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"])
async def test_signed_chunks_need_a_signature(mode: str) -> None:
    more = {
        "x_amz_content_sha256": mode,
        "x_amz_decoded_content_length": "1",
        "content_length": "100",
        "content_encoding": "aws-chunked",
    }
    if mode.endswith("TRAILER"):
        more["x_amz_trailer"] = "x-amz-checksum-crc32"
    assert (await refuse(bench(), as_bearer(token(), "PUT", **more))).error.code == "InvalidRequest"


@pytest.mark.parametrize("stated", ["UNSIGNED-PAYLOAD", "0" * 64, None])
async def test_a_stated_hash_of_the_body_is_kept_to(stated: str | None) -> None:
    more = {"content_length": "5"} | ({"x_amz_content_sha256": stated} if stated else {})
    forward = await admit(bench(), as_bearer(token(), "PUT", **more))
    assert header(forward, "x-amz-content-sha256") == (stated or "UNSIGNED-PAYLOAD")
    if stated == "0" * 64:
        with pytest.raises(Exception, match="XAmzContentSHA256Mismatch"):
            forward.body.feed(b"hello")
            forward.body.finish()


async def test_without_jwt_in_the_configuration_a_bearer_token_is_another_mechanism() -> None:
    assert (await refuse(Bench(), as_bearer(token()))).error.code == "InvalidRequest"
    assert (await refuse(Bench(allow_anonymous=True), as_bearer(token()))).error.code == "InvalidRequest"


@pytest.mark.parametrize("way", ["access key", "presigned, access key"])
async def test_without_jwt_in_the_configuration_a_token_is_an_unknown_key_and_is_not_told(way: str) -> None:
    text = token()
    refusal = await refuse(Bench(explain_errors=True), WAYS[way](text))
    assert refusal.error.code == "InvalidAccessKeyId"
    assert_does_not_tell(refusal, text)


# Beyond


async def test_fetched_credentials_are_the_bearers_own() -> None:
    asked: list[tuple[str, str]] = []

    def fetch(who: str, bucket: str) -> dict[str, str]:
        asked.append((who, bucket))
        return {"access_key": BACKEND.access_key, "secret_key": BACKEND.secret_key}

    store = {name: value for name, value in STORE.items() if not name.endswith("_key")}
    running = bench(cos_map={"demo": store}, bucket_creds_fetcher=fetch)
    for name in ("alice", "bob"):
        await admit(running, as_bearer(token(sub=name)))
    assert asked == [(f"{ISSUER}#{name}", "demo") for name in ("alice", "bob")]


async def test_a_decision_about_one_bearer_is_not_anothers() -> None:
    running = bench(validator=Validator(lambda request: request.identity.claims.get("admin") is True))
    await admit(running, as_bearer(token(admin=True)))
    for said in ({}, {"admin": 1}, {"admin": "true"}):
        assert (await refuse(running, as_bearer(token(**said)))).error.code == "AccessDenied"


async def test_a_remembered_decision_ends_with_the_token() -> None:
    clock = Clock()
    running = bench(clock=clock, leeway=0, bearer="any")
    text = token(exp=int(NOW) + 60)
    await admit(running, as_bearer(text))
    clock.now = NOW + 60
    assert (await refuse(running, as_bearer(text))).error.code == "ExpiredToken"


async def test_grants_alone_are_an_authorizer() -> None:
    running = bench(
        grants=[{"buckets": ["demo"], "prefixes": ["${sub}/"], "actions": ["s3:GetObject"]}],
        validator=None,
        hmac_keystore=None,
    )
    await admit(running, as_bearer(token(), target="/demo/alice/key"))
    assert (await refuse(running, as_bearer(token(), target="/demo/bob/key"))).error.code == "AccessDenied"


async def test_plain_keys_get_nothing_by_the_grants() -> None:
    running = bench(grants=READ_AND_WRITE, validator=None)
    assert (await refuse(running, signed_head())).error.code == "AccessDenied"


async def test_what_the_validator_denies_no_grant_allows() -> None:
    running = bench(grants=READ_AND_WRITE, validator=Validator(answer=False))
    assert (await refuse(running, as_bearer(token()))).error.code == "AccessDenied"


async def test_what_no_grant_allows_the_validator_cannot_allow() -> None:
    running = bench(grants=[{"buckets": ["other"], "actions": ["*"]}])
    assert (await refuse(running, as_bearer(token()))).error.code == "AccessDenied"


async def test_the_buckets_that_are_shown_are_those_that_are_granted() -> None:
    running = bench(
        cos_map={"one": STORE, "two": STORE}, grants=[{"buckets": "one", "actions": "s3:ListBucket"}], validator=None
    )
    reply = await running.admit(as_bearer(token(), target="/"), tls=True)
    assert b"<Name>one</Name>" in reply.body  # type: ignore[union-attr]
    assert b"<Name>two</Name>" not in reply.body  # type: ignore[union-attr]


async def test_keys_are_not_needed_where_tokens_are_believed() -> None:
    assert ProxyServerConfig({"demo": STORE}, jwt=trusting(grants=READ_AND_WRITE)).settings.issuers


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"issuer": None}, r"jwt\[0\]\.issuer: missing"),
        ({"audience": None}, r"jwt\[0\]\.audience: missing"),
        ({"audience": []}, r"jwt\[0\]\.audience: "),
        ({"algorithms": ["none"]}, r"jwt\[0\]\.algorithms"),
        ({"algorithms": ["RS256", "HS256"]}, r"jwt\[0\]: HS256"),
        ({"algorithm": ["RS256"]}, r"jwt\[0\]\.algorithm: unknown field, did you mean 'algorithms'"),
        ({"issuer": "a#b"}, r"jwt\[0\]\.issuer: "),
        ({"leeway": 301}, r"jwt\[0\]\.leeway: "),
        ({"bearer": True}, r"jwt\[0\]\.bearer: "),
        ({"secret_key": "short"}, r"jwt\[0\]\.secret_key: "),
        ({"grants": [{"buckets": ["b"]}]}, r"jwt\[0\]\.grants\[0\]\.actions: missing"),
        ({"grants": [{"buckets": ["b"], "actions": ["*"], "claim": "x"}]}, r"jwt\[0\]\.grants\[0\]: claim and value"),
        (
            {"grants": [{"buckets": ["b"], "actions": ["*"], "prefix": "x"}]},
            r"grants\[0\]\.prefix: unknown.*'prefixes'",
        ),
        ({"grants": [{"buckets": ["b"], "actions": ["*"], "prefixes": ["${sub}"]}]}, "after each"),
        ({"grants": [{"buckets": ["b"], "actions": ["*"], "prefixes": ["a*"]}]}, "takes neither"),
        ({"grants": [{"buckets": ["${sub}-*"], "actions": ["*"]}]}, "a single"),
        ({"grants": [{"buckets": ["${sub"], "actions": ["*"]}]}, "CLAIM"),
        ({"grants": [{"buckets": ["b"], "actions": ["Get Object"]}]}, "expected an operation"),
        ({"grants": [{"buckets": [], "actions": ["*"]}]}, r"grants\[0\]\.buckets"),
        ({"public_keys": ["/nonexistent.pem"]}, r"public_keys\[0\]: no such file"),
        ({"public_keys": ["-----BEGIN PUBLIC KEY-----\nx"]}, r"public_keys\[0\]: expected a public key"),
    ],
)
def test_a_mistake_is_one_line(entry: dict[str, Any], line: str) -> None:
    for written in (trusting(**entry), [trusting(**entry)]):
        with pytest.raises(ConfigError, match=line) as caught:
            ProxyServerConfig({"demo": STORE}, jwt=written)
        assert len(caught.value.problems) == 1, caught.value.problems


def test_an_issuer_is_listed_once() -> None:
    with pytest.raises(ConfigError, match="jwt: an issuer is listed twice"):
        ProxyServerConfig({"demo": STORE}, jwt=[trusting(), trusting()])


def test_tokens_are_not_taken_at_their_word() -> None:
    with pytest.raises(ConfigError, match="jwt: tokens are verified"):
        ProxyServerConfig({"demo": STORE}, jwt=trusting(grants=READ_AND_WRITE), skip_signature_validation=True)


def test_secrets_of_the_configuration_are_not_shown() -> None:
    settings = ProxyServerConfig({"demo": STORE}, jwt=trusting(grants=READ_AND_WRITE)).settings
    assert SECRET_KEY not in repr(settings)


async def posted(running: Bench, pair: KeyPair) -> Any:
    body = form_body(signed_fields({"key": "alice/key"}, pair=pair))
    sizes = (("content-type", CONTENT_TYPE), ("content-length", str(len(body))))
    pending = await running.admit(unsigned_head("POST", "/demo", sizes))
    assert isinstance(pending, PendingForm)
    assert pending.form.feed(body) is not None
    return await running.gateway.admit_form(pending)


@pytest.mark.parametrize("way", ["access key", "session token"])
async def test_a_form_comes_with_a_token_as_well(way: str) -> None:
    text = token()
    as_key = way == "access key"
    pair = KeyPair(text, SECRET_KEY) if as_key else KeyPair(CLIENT.access_key, CLIENT.secret_key, text)
    running = bench()
    outcome = await posted(running, pair)
    assert isinstance(outcome, Forward)
    assert outcome.verdict.who == "alice"
    assert running.validator.asked[0].token == (ALICE if as_key else CLIENT.access_key)
    assert_does_not_tell(outcome, text)
    for wrong in (KeyPair(pair.access_key, "other-fake", pair.session_token), KeyPair(WRONG["another key"][0], "")):
        refused = await posted(running, wrong)
        assert refused.error.code in ("SignatureDoesNotMatch", "InvalidToken")
        assert_does_not_tell(refused, text)


@pytest.mark.parametrize("presign", [False, True])
async def test_signature_v2_comes_with_a_token_as_well(presign: bool) -> None:
    text = mint(claims(sigv2.NOW))
    for secret, code in ((SECRET_KEY, None), ("other-fake", "SignatureDoesNotMatch")):
        ask = sigv2.Ask(bucket="demo", pair=KeyPair(text, secret))
        head = (sigv2.presigned if presign else sigv2.signed)(ask)
        outcome = await bench(allow_sigv2=True, clock=Clock(sigv2.NOW)).admit(head)
        assert getattr(getattr(outcome, "error", None), "code", None) == code
        assert_does_not_tell(outcome, text)  # type: ignore[arg-type]


async def test_signature_v4a_comes_with_a_token_as_well() -> None:
    text = token()
    assert (await admit(bench(), asymmetric_head(pair=KeyPair(text, SECRET_KEY)))).verdict.who == "alice"
    refusal = await refuse(bench(), asymmetric_head(pair=KeyPair(text, "other-fake")))
    assert refusal.error.code == "SignatureDoesNotMatch"
    assert_does_not_tell(refusal, text)
