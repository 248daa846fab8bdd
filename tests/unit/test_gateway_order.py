"""The order of the steps: what is asked, in which order, and what never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from osp_gateway.outcomes import Forward, Refusal, Reply
from osp_gateway.s3.head import RequestHead
from osp_gateway.sigv4.keys import KeyPair
from support.heads import (
    BACKEND,
    CLIENT,
    HOST,
    NOW,
    STORE,
    Bench,
    Validator,
    header,
    presigned_head,
    signed_head,
    unsigned_head,
)


class Spies:
    """Every callable that a configuration may have; all say yes, and all write down that they were asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def hmac_fetcher(self, access_key: str) -> str | None:
        self.calls.append(f"secret of {access_key}")
        return CLIENT.secret_key if access_key == CLIENT.access_key else None

    def validator(self, token: str, bucket: str, request: Any) -> bool:
        self.calls.append(f"may {token} {request.operation} {bucket}")
        return True

    def bucket_creds_fetcher(self, token: str, bucket: str) -> tuple[str, str]:
        self.calls.append(f"credentials of {bucket} for {token}")
        return BACKEND.access_key, BACKEND.secret_key

    def bench(self, **config: Any) -> Bench:
        return Bench(
            cos_map={"demo": {"host": "store.example.test"}},
            hmac_keystore=[],
            hmac_fetcher=self.hmac_fetcher,
            validator=self.validator,
            bucket_creds_fetcher=self.bucket_creds_fetcher,
            **config,
        )


async def test_first_the_secret_then_the_permission_then_the_credentials() -> None:
    spies = Spies()
    await spies.bench().forward()
    assert spies.calls == [
        "secret of client-fake-key",
        "may client-fake-key GetObject demo",
        "credentials of demo for client-fake-key",
    ]


NOT_ASKED: dict[str, tuple[RequestHead, str]] = {
    "unsigned": (unsigned_head(), "AccessDenied"),
    "unsigned ListBuckets": (unsigned_head(target="/"), "AccessDenied"),
    "unsigned unknown bucket": (unsigned_head(target="/no-such/key"), "AccessDenied"),
    "basic authentication": (unsigned_head(headers=(("authorization", "Basic Zm9v"),)), "InvalidRequest"),
    "bearer token": (unsigned_head(headers=(("authorization", "Bearer x"),)), "InvalidRequest"),
    "an empty Authorization": (unsigned_head(headers=(("authorization", ""),)), "InvalidRequest"),
    "signature version 2": (unsigned_head(target="/demo/key?AWSAccessKeyId=a&Signature=b&Expires=9"), "InvalidRequest"),
    "half a presigned URL": (unsigned_head(target="/demo/key?X-Amz-Signature=00"), "AuthorizationQueryParametersError"),
    "a skewed clock": (signed_head(now=NOW - 901), "RequestTimeTooSkewed"),
    "an expired URL": (presigned_head(now=NOW - 601), "AccessDenied"),
    "a URL from the future": (presigned_head(now=NOW + 901), "AccessDenied"),
    "an unsigned x-amz header": (signed_head(unsigned=(("x-amz-acl", "public-read"),)), "AccessDenied"),
    "two Host headers": (signed_head(unsigned=(("Host", HOST),)), "InvalidRequest"),
    "two Authorization headers": (signed_head(unsigned=(("Authorization", "x"),)), "InvalidRequest"),
    "two ranges": (signed_head(unsigned=(("range", "bytes=0-1"), ("range", "bytes=1-2"))), "InvalidRequest"),
    "no Host header": (RequestHead("GET", "/demo/key", "", ()), "InvalidRequest"),
    "an empty Host header": (RequestHead("GET", "/demo/key", "", (("host", ""),)), "InvalidRequest"),
    "a path without slash": (RequestHead("GET", "demo", "", (("host", HOST),)), "InvalidURI"),
    "a broken path": (RequestHead("GET", "/demo/%zz", "", (("host", HOST),)), "InvalidURI"),
    "a broken query": (RequestHead("GET", "/demo/k", "a=%zz", (("host", HOST),)), "InvalidURI"),
    "an underscore header": (signed_head(unsigned=(("x_amz_acl", "public-read"),)), "InvalidRequest"),
}


@pytest.mark.parametrize(("head", "code"), NOT_ASKED.values(), ids=NOT_ASKED.keys())
async def test_nothing_is_asked_about_a_request_that_cannot_be_right(head: RequestHead, code: str) -> None:
    spies = Spies()
    assert (await spies.bench().refusal(head)).error.code == code
    assert spies.calls == []


def _tampered(head: RequestHead, **changes: Any) -> RequestHead:
    return RequestHead(
        changes.get("method", head.method),
        changes.get("path", head.path),
        changes.get("query", head.query),
        changes.get("headers", head.headers),
    )


def _with_header(head: RequestHead, name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple((n, value if n == name else v) for n, v in head.headers)


SIGNED = signed_head("PUT", "/demo/key?tagging", (("x-amz-meta-a", "1"), ("content-type", "text/plain")))
TAMPERED = {
    "method": _tampered(SIGNED, method="DELETE"),
    "path": _tampered(SIGNED, path="/demo/other"),
    "query": _tampered(SIGNED, query="acl"),
    "one more parameter": _tampered(SIGNED, query="tagging&versionId=1"),
    "no query": _tampered(SIGNED, query=""),
    "x-amz header": _tampered(SIGNED, headers=_with_header(SIGNED, "x-amz-meta-a", "2")),
    "content type": _tampered(SIGNED, headers=_with_header(SIGNED, "content-type", "text/html")),
    "host": _tampered(SIGNED, headers=_with_header(SIGNED, "host", "demo.osp.localhost")),
    "payload hash": _tampered(SIGNED, headers=_with_header(SIGNED, "x-amz-content-sha256", "0" * 64)),
    "payload mode": _tampered(SIGNED, headers=_with_header(SIGNED, "x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
    "secret": signed_head(pair=KeyPair(CLIENT.access_key, "wrong-fake-secret")),
    "path of a URL": _tampered(presigned_head(), path="/demo/other"),
    "method of a URL": _tampered(presigned_head(), method="PUT"),
    "query of a URL": _tampered(presigned_head(), query=presigned_head().query + "&versionId=1"),
    "life of a URL": _tampered(presigned_head(), query=presigned_head().query.replace("=600", "=6000")),
}


@pytest.mark.parametrize("head", TAMPERED.values(), ids=TAMPERED.keys())
async def test_a_request_that_was_changed_after_it_was_signed_goes_no_further_than_its_secret(
    head: RequestHead,
) -> None:
    spies = Spies()
    assert (await spies.bench().refusal(head)).error.code == "SignatureDoesNotMatch"
    assert spies.calls == ["secret of client-fake-key"]


async def test_an_unknown_key_goes_no_further() -> None:
    spies = Spies()
    refusal = await spies.bench().refusal(signed_head(pair=KeyPair("other-fake-key", "fake")))
    assert refusal.error.code == "InvalidAccessKeyId"
    assert spies.calls == ["secret of other-fake-key"]


AFTER_IDENTITY: dict[str, tuple[RequestHead, str]] = {
    "an unknown bucket": (signed_head(target="/no-such/key"), "NoSuchBucket"),
    "an unknown method": (signed_head("PATCH"), "MethodNotAllowed"),
    "a parameter twice": (signed_head(target="/demo/key?versionId=1&versionId=2"), "InvalidArgument"),
    "parameters of two operations": (signed_head(target="/demo/key?acl&tagging"), "InvalidArgument"),
    "an unknown subresource": (signed_head(target="/demo/key?no-such"), "NotImplemented"),
    "a session": (signed_head(target="/demo?session"), "NotImplemented"),
}


@pytest.mark.parametrize(("head", "code"), AFTER_IDENTITY.values(), ids=AFTER_IDENTITY.keys())
async def test_the_validator_is_not_asked_about_what_can_never_be_forwarded(head: RequestHead, code: str) -> None:
    spies = Spies()
    assert (await spies.bench().refusal(head)).error.code == code
    assert spies.calls == ["secret of client-fake-key"]


async def test_a_session_token_that_nobody_knows_about_is_refused_before_anybody_is_asked() -> None:
    spies = Spies()
    head = signed_head(pair=replace(CLIENT, session_token="fake-token"))
    assert (await spies.bench().refusal(head)).error.code == "InvalidToken"
    assert spies.calls == []


async def test_a_form_with_a_signature_in_its_head_is_refused() -> None:
    spies = Spies()
    head = signed_head("POST", "/demo", (("content-type", "multipart/form-data; boundary=x"),))
    assert (await spies.bench().refusal(head)).error.code == "InvalidArgument"
    assert spies.calls == []


async def test_the_credentials_of_a_denied_request_are_not_asked_for() -> None:
    spies = Spies()
    bench = spies.bench()
    bench = Bench(
        cos_map={"demo": {"host": "store.example.test"}},
        validator=Validator(False),
        bucket_creds_fetcher=spies.bucket_creds_fetcher,
    )
    assert (await bench.refusal()).error.code == "AccessDenied"
    assert spies.calls == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (False, "denied by"),
        (None, "returned NoneType"),
        ("yes", "returned str"),
        (1, "returned int"),
        (lambda _: 1 // 0, "raised ZeroDivisionError"),
    ],
    ids=["False", "None", "truthy", "one", "raises"],
)
async def test_anything_but_true_is_access_denied(answer: object, reason: str) -> None:
    refusal = await Bench(validator=Validator(answer)).refusal()
    assert (refusal.error.code, refusal.error.message) == ("AccessDenied", "Access Denied")
    assert reason in refusal.verdict.reason
    assert reason.encode() not in refusal.body


@pytest.mark.parametrize(
    ("buckets", "validator", "code"),
    [
        (["demo"], None, None),
        (["d*"], None, None),
        (["other"], None, "AccessDenied"),
        (["demo"], Validator(False), "AccessDenied"),
        (["other"], Validator(True), "AccessDenied"),
        (["demo"], Validator(True), None),
    ],
)
async def test_a_keys_buckets_and_the_validator_must_both_agree(
    buckets: list[str], validator: Validator | None, code: str | None
) -> None:
    keys = [{"access_key": CLIENT.access_key, "secret_key": CLIENT.secret_key, "buckets": buckets}]
    outcome = await Bench(hmac_keystore=keys, validator=validator).admit()
    assert (outcome.error.code if isinstance(outcome, Refusal) else None) == code


async def test_a_validator_of_two_arguments_decides_too() -> None:
    assert (await Bench(validator=lambda token, bucket: token == "other").refusal()).error.code == "AccessDenied"


async def test_list_buckets_shows_those_that_the_caller_may_list() -> None:
    validator = Validator(lambda request: request.bucket != "hidden")
    bench = Bench(cos_map={"a": STORE, "hidden": STORE, "b": STORE, "logs-*": STORE}, validator=validator)
    reply = await bench.admit(signed_head(target="/"))
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert [part.split(b"<")[0] for part in reply.body.split(b"<Name>")[1:]] == [b"a", b"b"]
    assert {(r.token, r.operation, r.method, r.key) for r in bench.validator.asked} == {
        (CLIENT.access_key, "ListObjectsV2", "GET", "")
    }


async def test_list_buckets_shows_none_where_the_validator_fails() -> None:
    reply = await Bench(validator=Validator("yes")).admit(signed_head(target="/"))
    assert isinstance(reply, Reply)
    assert b"<Name>" not in reply.body


async def test_with_a_catch_all_list_buckets_is_authorized_and_forwarded() -> None:
    bench = Bench(cos_map={"demo": STORE, "*": {**STORE, "host": "all.example.test"}})
    forward = await bench.forward(signed_head(target="/"))
    assert (forward.target, forward.operation, forward.destination.authority) == (
        "/",
        "ListBuckets",
        "all.example.test",
    )
    assert [(request.operation, request.bucket) for request in bench.validator.asked] == [("ListBuckets", "*")]


async def test_with_a_catch_all_list_buckets_can_be_denied() -> None:
    bench = Bench(cos_map={"*": STORE}, validator=Validator(False))
    assert (await bench.refusal(signed_head(target="/"))).error.code == "AccessDenied"


async def test_what_was_allowed_as_list_buckets_is_not_forwarded_as_the_listing_of_a_bucket() -> None:
    bench = Bench(cos_map={"*": {**STORE, "bucket": "shared", "addressing_style": "path"}})
    outcome = await bench.admit(signed_head(target="/"))
    if isinstance(outcome, Forward):
        assert "shared" not in f"{outcome.target} {header(outcome, 'host')}"


@pytest.mark.parametrize(("limit", "used"), [(1, 1), (3, 3)])
async def test_a_presigned_url_may_be_used_as_often_as_configured(limit: int, used: int) -> None:
    bench = Bench(max_presign_url_usage_attempts=limit)
    outcomes = [await bench.admit(presigned_head()) for _ in range(limit + 2)]
    assert [isinstance(outcome, Forward) for outcome in outcomes] == [True] * used + [False] * 2


async def test_a_presigned_url_for_list_buckets_is_counted_too() -> None:
    bench = Bench(max_presign_url_usage_attempts=1)
    outcomes = [await bench.admit(presigned_head(path="/")) for _ in range(2)]
    assert isinstance(outcomes[0], Reply)
    assert isinstance(outcomes[1], Refusal)


async def test_a_denied_use_of_a_presigned_url_does_not_count() -> None:
    validator = Validator(False)
    bench = Bench(max_presign_url_usage_attempts=1, validator=validator, cos_map={"demo": {**STORE, "ttl": 0}})
    await bench.refusal(presigned_head())
    validator.answer = True
    await bench.forward(presigned_head())


async def test_signed_requests_are_not_counted() -> None:
    bench = Bench(max_presign_url_usage_attempts=1)
    for _ in range(3):
        await bench.forward()


@pytest.mark.parametrize(("expires", "allowed"), [(1, True), (300, True), (301, False), (604_800, False)])
async def test_a_presigned_url_lives_no_longer_than_it_may(expires: int, allowed: bool) -> None:
    outcome = await Bench(presign={"max_lifetime": 300}).admit(presigned_head(expires=expires))
    assert isinstance(outcome, Forward if allowed else Refusal)
    if isinstance(outcome, Refusal):
        assert (outcome.error.code, outcome.error.status) == ("AuthorizationQueryParametersError", 400)


async def test_a_longest_life_is_for_presigned_urls_only() -> None:
    assert isinstance(await Bench(presign={"max_lifetime": 1}).admit(signed_head()), Forward)


@pytest.mark.parametrize("revoked", [["client-fake-key"], ["client-*"], ["other", {"key": "*key"}]])
async def test_a_revoked_key_is_nobodys(revoked: Any) -> None:
    bench = Bench(revoked_keys=revoked)
    for head in (signed_head(), presigned_head()):
        assert (await bench.refusal(head)).error.code == "InvalidAccessKeyId"
    assert not bench.validator.asked


@pytest.mark.parametrize("revoked", [["Client-Fake-Key"], ["client"], ["client-fake-key?"], ["client.fake.key"], []])
async def test_other_keys_are_not_revoked(revoked: Any) -> None:
    assert isinstance(await Bench(revoked_keys=revoked).admit(signed_head()), Forward)
