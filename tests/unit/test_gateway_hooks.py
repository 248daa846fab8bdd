"""The operator's `before_send` and `after_response`: what they may change, and that nothing else gets through."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from osp_gateway import BackendRequest, BackendResponse, ConfigError
from osp_gateway.outcomes import Forward
from osp_gateway.s3.errors import S3Error
from support.heads import STORE as ANY_STYLE
from support.heads import Bench, assert_botocore_agrees, header, presigned_head, signed_head

STORE = {**ANY_STYLE, "addressing_style": "path"}


def bench(before: Any = None, after: Any = None, **config: Any) -> Bench:
    config.setdefault("cos_map", {"demo": STORE})
    return Bench(before_send=before, after_response=after, **config)


async def test_what_is_added_is_signed():
    def before_send(request: BackendRequest) -> None:
        request.headers["x-amz-meta-by"] = "the operator"
        request.query["x-trace"] = "1 2"

    forward = await bench(before_send).forward()
    assert header(forward, "x-amz-meta-by") == "the operator"
    assert forward.target == "/demo/key?x-trace=1%202"
    assert_botocore_agrees(forward)


async def test_it_may_be_async_and_take_headers_away():
    async def before_send(request: BackendRequest) -> bool:
        del request.headers["x-amz-acl"]
        request.headers["cache-control"] = "no-store"
        return True

    head = signed_head("PUT", "/demo/key", (("x-amz-acl", "public-read"), ("cache-control", "max-age=1")))
    forward = await bench(before_send).forward(head)
    assert header(forward, "x-amz-acl") is None
    assert header(forward, "cache-control") == "no-store"
    assert_botocore_agrees(forward)


async def test_it_sees_what_was_authorized_and_where_it_goes():
    seen: list[BackendRequest] = []
    cos_map = {"demo": {**STORE, "bucket": "theirs", "prefix": "part/"}}
    await bench(seen.append, cos_map=cos_map).forward(signed_head("GET", "/demo/a%20b?versionId=1"))
    (request,) = seen
    assert (request.access.operation, request.access.bucket, request.access.key) == ("GetObject", "demo", "a b")
    assert (request.method, request.path, request.query) == ("GET", "/theirs/part/a%20b", {"versionId": "1"})
    for hidden in ("authorization", "host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"):
        assert hidden not in request.headers


async def test_it_is_asked_only_about_what_is_allowed():
    asked: list[Any] = []
    await bench(asked.append, validator=lambda token, bucket: False).refusal()
    assert asked == []


async def test_it_may_refuse():
    assert (await bench(lambda request: False).refusal()).error.code == "AccessDenied"


def raises(request: BackendRequest) -> None:
    raise RuntimeError("fake-secret")


def setting(**headers: str) -> Any:
    return lambda request: request.headers.update({name.replace("_", "-"): value for name, value in headers.items()})


def asking(name: str) -> Any:
    return lambda request: request.query.update({name: "x"})


WRONG = {
    "raises": raises,
    "answers a text": lambda request: "yes",
    "answers 0": lambda request: 0,
    "host": setting(host="evil.example"),
    "authorization": setting(authorization="Bearer x"),
    "date": setting(x_amz_date="20260101T000000Z"),
    "hash": setting(x_amz_content_sha256="UNSIGNED-PAYLOAD"),
    "token": setting(x_amz_security_token="x"),
    "length": setting(content_length="0"),
    "framing": setting(transfer_encoding="chunked"),
    "coding": setting(content_encoding="aws-chunked"),
    "decoded length": setting(x_amz_decoded_content_length="1"),
    "trailer": setting(x_amz_trailer="x-amz-checksum-crc32"),
    "checksum": setting(x_amz_checksum_crc32="AAAAAA=="),
    "md5": setting(content_md5="x"),
    "copy": setting(x_amz_copy_source="other/key"),
    "rename": setting(x_amz_rename_source="other/key"),
    "connection": setting(connection="x-amz-acl"),
    "injection": setting(x_note="a\r\nx-amz-copy-source: b"),
    "blank": setting(x_note=" a"),
    "not latin": setting(x_note="\u20ac"),
    "capitals": setting(Host="evil.example"),
    "no header": lambda request: request.headers.update({"x y": "1"}),
    "no text": lambda request: request.headers.update({"x-y": 1}),
    "no dict": lambda request: setattr(request, "headers", None),
    "another operation": asking("acl"),
    "a version": asking("versionId"),
    "another prefix": asking("prefix"),
    "a copy in the query": asking("x-amz-copy-source"),
    "upload": asking("uploadId"),
    "credentials": asking("X-Amz-Credential"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_hook_that_fails_or_reaches_too_far_refuses_the_request(wrong, caplog):
    with caplog.at_level(logging.DEBUG):
        refusal = await bench(WRONG[wrong]).refusal(signed_head("PUT", "/demo/key"))
    assert refusal.error.code == "InternalError"
    assert "fake-secret" not in caplog.text
    assert "evil" not in caplog.text


async def test_what_was_asked_for_cannot_be_taken_away():
    def before_send(request: BackendRequest) -> None:
        request.query.clear()

    for target in ("/demo?list-type=2&prefix=a", "/demo/key?versionId=1", "/demo/key?tagging"):
        assert (await bench(before_send).refusal(signed_head("GET", target))).error.code == "InternalError"


async def test_path_method_and_host_are_for_looking_at():
    def before_send(request: BackendRequest) -> None:
        request.method, request.path, request.host = "DELETE", "/other", "evil.example"

    forward = await bench(before_send).forward()
    assert (forward.method, forward.target) == ("GET", "/demo/key")
    assert_botocore_agrees(forward)


async def test_one_that_takes_too_long_refuses():
    async def before_send(request: BackendRequest) -> None:
        await asyncio.Event().wait()

    assert (await bench(before_send, timeout=0.05).refusal()).error.code == "InternalError"


async def test_headers_that_it_leaves_alone_stay_as_they_are_written():
    head = signed_head("GET", "/demo/key", (), unsigned=(("Accept", "a"), ("Accept", "b")))
    forward = await bench(setting(x_note="1")).forward(head)
    assert [value for name, value in forward.headers if name == "accept"] == ["a", "b"]


async def test_a_presigned_url_goes_through_it():
    forward = await bench(setting(x_note="1")).forward(presigned_head())
    assert header(forward, "x-note") == "1"
    assert_botocore_agrees(forward)


async def test_a_batch_of_which_some_is_left_out_keeps_what_was_added():
    def validator(token: str, bucket: str, request: Any) -> bool:
        return request.key != "no"

    subject = bench(setting(x_note="1"), validator=validator)
    body = b"<Delete><Object><Key>no</Key></Object><Object><Key>yes</Key></Object></Delete>"
    forward = await subject.forward(signed_head("POST", "/demo?delete", body=body))
    judged = await subject.gateway.judge_batch(forward, body)
    assert isinstance(judged, Forward)
    assert header(judged, "x-note") == "1"
    assert b"no" not in judged.body.finish()


async def test_a_request_that_is_sent_again_keeps_what_was_added():
    forward = await bench(setting(x_note="1")).forward()
    moved = forward.again(forward.destination)
    assert header(moved, "x-note") == "1"
    assert_botocore_agrees(moved)


# The way back


async def answered(after: Any, headers: list[tuple[str, str]], status: int = 200) -> list[tuple[str, str]]:
    subject = bench(after=after)
    forward = await subject.forward()
    return await subject.gateway.after_response(forward, status, headers)


async def test_headers_of_an_answer_can_be_changed():
    def after_response(request: BackendRequest, response: BackendResponse) -> None:
        assert (request.access.bucket, response.status) == ("demo", 404)
        assert response.headers == {"server": "x", "x-secret": "y"}
        del response.headers["x-secret"]
        response.headers["x-note"] = "1"

    headers = [("Server", "x"), ("X-Secret", "y"), ("Content-Length", "3")]
    assert await answered(after_response, headers, 404) == [("Server", "x"), ("Content-Length", "3"), ("x-note", "1")]


@pytest.mark.parametrize(
    "after",
    [
        lambda request, response: 1 / 0,
        lambda request, response: response.headers.update({"content-length": "1"}),
        lambda request, response: response.headers.update({"transfer-encoding": "chunked"}),
        lambda request, response: response.headers.update({"content-encoding": "gzip"}),
        lambda request, response: response.headers.update({"x": "a\r\nb: c"}),
        lambda request, response: setattr(response, "headers", "x"),
    ],
)
async def test_one_that_fails_is_a_bad_gateway(after):
    with pytest.raises(S3Error) as caught:
        await answered(after, [("Content-Length", "3")])
    assert (caught.value.code, caught.value.status) == ("BadGateway", 502)


async def test_without_hooks_nothing_is_told():
    forward = await Bench().forward()
    assert forward.told is None


def test_hooks_must_take_what_they_are_given():
    with pytest.raises(ConfigError, match="before_send: expected a callable with 1"):
        bench(lambda: None)
    with pytest.raises(ConfigError, match="after_response: expected a callable with 2"):
        bench(None, lambda request: None)
