"""Refusals in S3's own words, and nothing that gets past them."""

from __future__ import annotations

import asyncio
import logging
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from defusedxml import ElementTree

from osp_gateway.outcomes import Arrival, Forward, Refusal, Reply
from osp_gateway.s3.head import RequestHead
from support.heads import (
    BACKEND,
    CLIENT,
    HOST,
    SOURCE,
    STORE,
    Bench,
    Validator,
    assert_botocore_agrees,
    header,
    presigned_head,
    signed_head,
    unsigned_head,
)


def elements(refusal: Refusal) -> dict[str, str]:
    return {child.tag: child.text or "" for child in ElementTree.fromstring(refusal.body)}


async def test_a_refusal_is_an_s3_error_document() -> None:
    refusal = await Bench().refusal(signed_head(target="/no-such/a%20b?versionId=1"))
    assert elements(refusal) == {
        "Code": "NoSuchBucket",
        "Message": "The specified bucket does not exist",
        "BucketName": "no-such",
        "Resource": "/no-such/a b",
        "RequestId": refusal.verdict.request_id,
    }
    headers = dict(refusal.headers)
    assert parsedate_to_datetime(headers.pop("date")).tzinfo is not None
    assert headers == {
        "content-type": "application/xml",
        "content-length": str(len(refusal.body)),
        "server": "osp",
        "x-amz-request-id": refusal.verdict.request_id,
    }


@pytest.mark.parametrize(
    "head", [signed_head("HEAD", "/no-such/key"), unsigned_head("HEAD"), signed_head("HEAD", unsigned=(("host", "x"),))]
)
async def test_a_refused_head_has_no_body(head: RequestHead) -> None:
    refusal = await Bench().refusal(head)
    assert refusal.body == b""
    assert dict(refusal.headers)["content-length"] == "0"
    assert dict(refusal.headers)["x-amz-request-id"] == refusal.verdict.request_id


async def test_every_request_has_an_id_of_its_own() -> None:
    bench = Bench()
    ids = {(await bench.admit(head)).verdict.request_id for head in [signed_head(), unsigned_head()] * 5}
    assert len(ids) == 10


@pytest.mark.parametrize(
    "path", ["/demo/<script>&amp;", "/demo/\x00\x0b", "/demo/%00", "/demo/\xff", "/%3Cb%3E", "/demo/]]>"]
)
async def test_whatever_was_asked_for_the_document_is_well_formed(path: str) -> None:
    assert elements(await Bench().refusal(unsigned_head(target=path)))["Code"]


async def test_the_servers_name_can_be_chosen() -> None:
    assert dict((await Bench(server_name="gw").refusal(unsigned_head())).headers)["server"] == "gw"


CHUNKED = [
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
]


@pytest.mark.parametrize("mode", CHUNKED)
async def test_a_chunked_body_must_say_how_long_it_is_decoded(mode: str) -> None:
    assert (await Bench().refusal(signed_head("PUT", payload_hash=mode))).error.code == "MissingContentLength"


@pytest.mark.parametrize("encoding", ["aws-chunked", "AWS-Chunked", "gzip,aws-chunked"])
async def test_a_chunked_encoding_without_its_mode_is_refused(encoding: str) -> None:
    head = signed_head("PUT", headers=(("content-encoding", encoding),), payload_hash="UNSIGNED-PAYLOAD")
    assert (await Bench().refusal(head)).error.code == "InvalidRequest"


@pytest.mark.parametrize("value", ["unsigned-payload", "STREAMING-NO-SUCH", "0" * 63, "A" * 64, "x" * 64])
async def test_an_unknown_payload_mode_is_refused(value: str) -> None:
    assert (await Bench().refusal(signed_head("PUT", payload_hash=value))).error.code == "InvalidArgument"


async def test_a_body_without_a_length_is_refused() -> None:
    head = signed_head("PUT", unsigned=(("transfer-encoding", "chunked"),))
    assert (await Bench().refusal(head)).error.code == "MissingContentLength"


@pytest.mark.parametrize("step", ["_routes", "_authorizer", "_credentials", "_operations", "_identifier"])
async def test_an_error_of_our_own_is_a_refusal(step: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    setattr(bench.gateway, step, None)
    refusal = await bench.refusal()
    assert (refusal.error.code, refusal.error.status) == ("InternalError", 500)
    assert elements(refusal)["Message"] == "We encountered an internal error. Please try again."
    assert any(record.levelno >= logging.ERROR for record in caplog.records)


async def test_an_async_validator_that_is_cancelled_inside_is_a_refusal() -> None:
    async def validator(token: str, bucket: str) -> bool:
        raise asyncio.CancelledError

    assert (await Bench(validator=validator).refusal()).error.code == "AccessDenied"


async def test_a_bucket_without_any_host_is_unavailable() -> None:
    bench = Bench(cos_map={"demo": {"access_key": "a", "secret_key": "s"}})
    assert (await bench.refusal()).error.code == "ServiceUnavailable"


async def test_under_path_style_a_key_must_not_climb_out_of_its_bucket() -> None:
    bench = Bench(cos_map={"demo": {**STORE, "addressing_style": "path"}})
    assert (await bench.refusal(signed_head(target="/demo/../private/key"))).error.code == "InvalidURI"


@pytest.mark.parametrize("name", ["x-amz-acl", "content-type", "range", "host"])
async def test_a_connection_header_must_not_drop_what_was_signed(name: str) -> None:
    extra = () if name == "host" else ((name, "value"),)
    head = signed_head("PUT", headers=extra, unsigned=(("connection", f"close, {name}"),))
    assert (await Bench().refusal(head)).error.code == "InvalidRequest"


async def test_what_was_signed_is_never_dropped_silently() -> None:
    extra = (("x-thing", "1"), ("cache-control", "no-store"), ("content-language", "de"))
    names = ", ".join(name for name, _ in extra)
    outcome = await Bench().admit(signed_head("PUT", headers=extra, unsigned=(("connection", names),)))
    if isinstance(outcome, Forward):
        assert set(extra) <= set(outcome.headers)


async def test_a_verdict_tells_who_what_and_why() -> None:
    verdict = (await Bench(validator=Validator(False)).refusal()).verdict
    assert (verdict.who, verdict.operation, verdict.bucket, verdict.key) == (
        CLIENT.access_key,
        "GetObject",
        "demo",
        "key",
    )
    assert (verdict.allowed, verdict.cached, verdict.upstream) == (False, False, "-")
    assert "denied by" in verdict.reason


async def test_the_verdict_of_a_forwarded_request_tells_where_it_goes() -> None:
    verdict = (await Bench().forward()).verdict
    assert (verdict.allowed, verdict.upstream) == (True, "demo.store.example.test (demo)")
    assert "allowed by" in verdict.reason


async def test_no_secret_is_in_any_refusal_its_verdict_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench = Bench(
        cos_map={"demo": STORE, "broken": {"host": "h"}},
        bucket_creds_fetcher=lambda t, b: {"secret_key": BACKEND.secret_key},
    )
    wrong = presigned_head()
    heads = [unsigned_head(), signed_head(target="/no-such/k"), signed_head(target="/broken/k"), signed_head("PATCH")]
    heads += [RequestHead("GET", "/demo/other", wrong.query, wrong.headers)]
    for head in heads:
        refusal = await bench.refusal(head)
        told = f"{refusal!r} {refusal.verdict} {refusal.body!r} {refusal.headers} {refusal.error!r} {caplog.text}"
        for secret in (BACKEND.secret_key, CLIENT.secret_key, head.get("authorization") or wrong.query[-64:]):
            assert secret not in told


async def _unchecked(head: RequestHead, **config: Any) -> tuple[Any, Validator]:
    validator = Validator(config.pop("answer", True))
    bench = Bench(skip_signature_validation=True, validator=validator, **config)
    return await bench.admit(head), validator


@pytest.mark.parametrize(
    ("head", "token"),
    [
        (unsigned_head(), ""),
        (signed_head(), CLIENT.access_key),
        (signed_head(pair=type(CLIENT)(CLIENT.access_key, "wrong-fake-secret")), CLIENT.access_key),
        (signed_head(pair=type(CLIENT)("nobody-knows-it", "fake")), "nobody-knows-it"),
        (presigned_head(), CLIENT.access_key),
        (unsigned_head(headers=(("authorization", "Basic Zm9v"),)), ""),
    ],
)
async def test_without_signature_checks_everybody_is_who_they_say(head: RequestHead, token: str) -> None:
    outcome, validator = await _unchecked(head)
    assert isinstance(outcome, Forward)
    assert [request.token for request in validator.asked] == [token]
    assert "unverified" in outcome.verdict.who
    assert_botocore_agrees(outcome)


async def test_without_signature_checks_the_validator_still_decides() -> None:
    outcome, _ = await _unchecked(unsigned_head(), answer=False)
    assert isinstance(outcome, Refusal)


async def test_without_signature_checks_nothing_of_the_clients_authentication_goes_along() -> None:
    head = unsigned_head(headers=(("authorization", "Basic Zm9v"), ("x-amz-security-token", "fake-token")))
    outcome, _ = await _unchecked(head)
    assert isinstance(outcome, Forward)
    assert "Zm9v" not in f"{outcome.headers}"
    assert header(outcome, "x-amz-security-token") is None


@pytest.mark.parametrize("place", ["header", "query"])
async def test_without_signature_checks_a_copy_is_still_a_read(place: str) -> None:
    head = unsigned_head("PUT", headers=(("x-amz-copy-source", "/private/x"),))
    if place == "query":
        head = unsigned_head("PUT", "/demo/key?x-amz-copy-source=%2Fprivate%2Fx")
    bench = {"cos_map": {"demo": STORE, "private": STORE}}
    outcome, validator = await _unchecked(head, answer=lambda request: request.bucket != "private", **bench)
    assert isinstance(outcome, Refusal)
    assert [request.bucket for request in validator.asked] == ["demo", "private"]


async def test_any_number_of_requests_at_once_are_each_decided_for_themselves() -> None:
    bench = Bench(
        cos_map={"*": {k: v for k, v in STORE.items() if "key" not in k}},
        validator=lambda token, bucket, request: request.key == request.bucket,
        bucket_creds_fetcher=lambda token, bucket: (f"key-of-{bucket}", "fake"),
    )
    names = [f"bucket-{number % 5}" for number in range(40)]
    heads = [signed_head(target=f"/{name}/{key}") for name in names for key in (name, "other")]
    outcomes = await asyncio.gather(*(bench.gateway.admit(Arrival(head, SOURCE, False)) for head in heads))
    for head, outcome in zip(heads, outcomes, strict=True):
        _, bucket, key = head.path.split("/")
        assert isinstance(outcome, Forward) is (bucket == key)
        assert (outcome.verdict.bucket, outcome.verdict.key) == (bucket, key)
        if isinstance(outcome, Forward):
            assert f"Credential=key-of-{bucket}/" in (header(outcome, "authorization") or "")
            assert header(outcome, "host") == f"{bucket}.store.example.test"


async def test_list_buckets_is_answered_as_s3_answers_it() -> None:
    reply = await Bench(cos_map={"a": STORE, "b": STORE}).admit(signed_head(target="/"))
    assert isinstance(reply, Reply)
    root = ElementTree.fromstring(reply.body)
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert root.tag == f"{space}ListAllMyBucketsResult"
    assert [name.text for name in root.iter(f"{space}Name")] == ["a", "b"]
    assert root.findtext(f"{space}Owner/{space}ID") == CLIENT.access_key
    assert dict(reply.headers)["content-length"] == str(len(reply.body))
    assert HOST not in reply.body.decode()
