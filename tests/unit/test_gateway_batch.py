"""DeleteObjects names its keys in the body: each is authorized as the DeleteObject that it would be alone."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any
from xml.etree import ElementTree

import pytest

from osp_gateway.outcomes import Forward, Refusal, Reply
from osp_gateway.s3.batch import delete_result, read_delete
from osp_gateway.s3.errors import S3Error
from osp_gateway.s3.xml import NAMESPACE
from support.heads import CLIENT, SOURCE, STORE, Bench, Validator, assert_botocore_agrees, header, signed_head


def document(*keys: str) -> bytes:
    return ("<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>").encode()


async def judged(
    body: bytes, answer: Any = True, target: str = "/demo?delete"
) -> tuple[Forward | Reply | Refusal, Validator]:
    bench = Bench(validator=Validator(answer))
    forward = await bench.forward(signed_head("POST", target, body=body))
    assert forward.body.feed(body) == b""
    return await bench.gateway.judge_batch(forward, forward.body.finish()), bench.validator


async def test_every_key_is_asked_about() -> None:
    outcome, validator = await judged(document("a", "b c", "d/e"))
    assert isinstance(outcome, Forward)
    batch, *keys = validator.asked
    assert (batch.operation, batch.bucket, batch.key) == ("DeleteObjects", "demo", "")
    assert [(r.operation, r.method, r.bucket, r.key, r.path) for r in keys] == [
        ("DeleteObject", "DELETE", "demo", "a", "/demo/a"),
        ("DeleteObject", "DELETE", "demo", "b c", "/demo/b%20c"),
        ("DeleteObject", "DELETE", "demo", "d/e", "/demo/d/e"),
    ]
    assert {(r.token, r.source) for r in keys} == {(CLIENT.access_key, SOURCE)}


async def test_a_version_is_shown_to_the_validator() -> None:
    body = b"<Delete><Object><Key>a</Key><VersionId>v1</VersionId></Object></Delete>"
    _, validator = await judged(body)
    assert dict(validator.asked[1].query) == {"versionId": "v1"}


def denied_keys(answer: bytes) -> list[tuple[str | None, str | None]]:
    errors = ElementTree.fromstring(answer).findall(f"{{{NAMESPACE}}}Error")
    return [(error.findtext(f"{{{NAMESPACE}}}Key"), error.findtext(f"{{{NAMESPACE}}}Code")) for error in errors]


@pytest.mark.parametrize("position", [0, 1, 40, 99])
async def test_a_denied_key_is_left_out_and_answered_here(position: int) -> None:
    keys = [f"k{n}" for n in range(100)]
    outcome, _ = await judged(document(*keys), lambda request: request.key != f"k{position}")
    assert isinstance(outcome, Forward)
    body = outcome.body.finish()
    assert [name.key for name in read_delete(body).objects] == [key for key in keys if key != f"k{position}"]
    assert denied_keys(delete_result(outcome.entries)) == [(f"k{position}", "AccessDenied")]
    assert header(outcome, "content-length") == str(len(body))
    assert header(outcome, "content-md5") == base64.b64encode(hashlib.md5(body).digest()).decode()
    assert header(outcome, "x-amz-content-sha256") == hashlib.sha256(body).hexdigest()
    assert_botocore_agrees(outcome)
    assert f"1 of 100 keys denied, 'k{position}'" in outcome.verdict.reason


async def test_nothing_goes_on_where_every_key_is_denied() -> None:
    outcome, _ = await judged(document("a", "b"), lambda request: request.operation == "DeleteObjects")
    assert isinstance(outcome, Reply)
    assert (outcome.status, outcome.verdict.allowed) == (200, False)
    assert denied_keys(outcome.body) == [("a", "AccessDenied"), ("b", "AccessDenied")]


@pytest.mark.parametrize("checks", [("content-md5",), ("x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm")])
async def test_what_the_head_said_of_the_client_s_body_is_not_said_of_another(checks: tuple[str, ...]) -> None:
    values = {"content-md5": "", "x-amz-checksum-crc32": "", "x-amz-sdk-checksum-algorithm": "CRC32"}
    body = document("a", "b")
    values["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
    values["x-amz-checksum-crc32"] = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    bench = Bench(validator=Validator(lambda request: request.key != "b"))
    head = signed_head("POST", "/demo?delete", tuple((name, values[name]) for name in checks), body=body)
    forward = await bench.forward(head)
    forward.body.feed(body)
    outcome = await bench.gateway.judge_batch(forward, forward.body.finish())
    assert isinstance(outcome, Forward)
    names = [name for name, _ in outcome.headers if "checksum" in name or name == "content-md5"]
    assert names == ["content-md5"]
    assert header(outcome, "content-md5") == base64.b64encode(hashlib.md5(outcome.body.finish()).digest()).decode()


@pytest.mark.parametrize(
    "key", ["private&#47;x", "&#112;rivate/x", "<![CDATA[private/x]]>", "pri<!-- -->vate/x", "private/x"]
)
async def test_no_spelling_of_a_key_gets_around_the_validator(key: str) -> None:
    outcome, _ = await judged(document("ok", key), lambda request: not request.key.startswith("private/"))
    if isinstance(outcome, Forward):
        assert [name.key for name in read_delete(outcome.body.finish()).objects] == ["ok"]
    else:
        assert isinstance(outcome, Refusal)


@pytest.mark.parametrize(
    "answer", [None, "yes", 1, lambda request: {}[request.key]], ids=["None", "truthy", "one", "raises"]
)
async def test_anything_but_true_for_a_key_denies_it(answer: Any) -> None:
    def validator(request: Any) -> Any:
        if request.operation == "DeleteObjects":
            return True
        return answer(request) if callable(answer) else answer

    outcome, _ = await judged(document("ab"), validator)
    assert isinstance(outcome, Reply)
    assert denied_keys(outcome.body) == [("ab", "AccessDenied")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no xml",
        b"<Delete>",
        b"<Other><Object><Key>a</Key></Object></Other>",
        b"<Delete><Object></Object></Delete>",
        b"<Delete><Object><Key></Key></Object></Delete>",
        b"<!DOCTYPE x [<!ENTITY e 'a'>]><Delete><Object><Key>&e;</Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>private/b</Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
    ],
)
async def test_a_body_that_is_no_such_document_is_refused(body: bytes) -> None:
    refusal, _ = await judged(body)
    assert isinstance(refusal, Refusal)
    assert refusal.error.status == 400


async def test_nothing_of_the_body_is_released_before_its_end() -> None:
    body = document("a")
    forward = await Bench().forward(signed_head("POST", "/demo?delete", body=body))
    assert b"".join(forward.body.feed(body[n : n + 1]) for n in range(len(body))) == b""
    assert forward.body.finish() == body


async def test_a_body_that_is_not_the_signed_one_is_refused_before_it_is_read() -> None:
    forward = await Bench().forward(signed_head("POST", "/demo?delete", body=document("a")))
    forward.body.feed(document("b"))
    with pytest.raises(S3Error) as caught:
        forward.body.finish()
    assert caught.value.code == "XAmzContentSHA256Mismatch"


async def test_a_body_without_end_is_refused() -> None:
    forward = await Bench().forward(signed_head("POST", "/demo?delete", payload_hash="UNSIGNED-PAYLOAD"))
    with pytest.raises(S3Error) as caught:
        for _ in range(100):
            forward.body.feed(b"x" * 1024 * 1024)
    assert caught.value.code == "EntityTooLarge"


async def test_an_error_of_our_own_refuses_the_batch() -> None:
    bench = Bench()
    forward = await bench.forward(signed_head("POST", "/demo?delete", body=document("a")))
    bench.gateway._authorizer = None  # type: ignore[assignment]
    refusal = await bench.gateway.judge_batch(forward, document("a"))
    assert isinstance(refusal, Refusal)
    assert refusal.error.code == "InternalError"


@pytest.mark.parametrize("head", [signed_head(), signed_head("DELETE"), signed_head("POST", "/demo/key?uploads")])
async def test_other_requests_are_no_batch(head: Any) -> None:
    outcome = await Bench(cos_map={"demo": STORE}).admit(head)
    assert isinstance(outcome, Forward)
    assert outcome.batch is None


@pytest.mark.parametrize("key", ["..", "../private/x", "a/../../private/x"])
async def test_under_path_style_a_key_in_a_batch_must_not_climb_out_of_its_bucket(key: str) -> None:
    bench = Bench(cos_map={"demo": {**STORE, "addressing_style": "path"}})
    forward = await bench.forward(signed_head("POST", "/demo?delete", body=document(key)))
    assert isinstance(await bench.gateway.judge_batch(forward, document(key)), Refusal)
