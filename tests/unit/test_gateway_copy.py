"""A copy reads, too: the source is authorized as a read of its own, and sent under the backend's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from osp_gateway.outcomes import Refusal
from osp_gateway.s3.head import RequestHead
from support.heads import (
    CLIENT,
    SOURCE,
    STORE,
    Bench,
    Validator,
    assert_botocore_agrees,
    header,
    presigned_head,
    signed_head,
)

BUCKETS = {"demo": STORE, "other": {**STORE, "bucket": "theirs"}, "private": STORE}


def in_header(source: str, target: str = "/demo/key") -> RequestHead:
    return signed_head("PUT", target, (("x-amz-copy-source", source),))


def in_url(source: str, target: str = "/demo/key") -> RequestHead:
    return presigned_head("PUT", target, query=(("x-amz-copy-source", source),))


def in_url_with_capitals(source: str, target: str = "/demo/key") -> RequestHead:
    return presigned_head("PUT", target, query=(("X-Amz-Copy-Source", source),))


WAYS = pytest.mark.parametrize("copy", [in_header, in_url, in_url_with_capitals], ids=lambda way: way.__name__)
Copy = Callable[..., RequestHead]


def bench(answer: Any = True, **config: Any) -> Bench:
    config.setdefault("cos_map", BUCKETS)
    return Bench(validator=Validator(answer), **config)


@WAYS
async def test_the_validator_is_asked_about_the_copy_and_about_the_read(copy: Copy) -> None:
    subject = bench()
    await subject.forward(copy("/other/a%20b"))
    writes, reads = subject.validator.asked
    assert (writes.operation, writes.bucket, writes.key) == ("CopyObject", "demo", "key")
    assert (reads.operation, reads.bucket, reads.key) == ("GetObject", "other", "a b")
    assert (reads.method, reads.path, reads.source) == ("GET", "/other/a%20b", SOURCE)
    assert reads.token == CLIENT.access_key


@WAYS
async def test_the_version_that_is_read_is_shown_to_the_validator(copy: Copy) -> None:
    subject = bench()
    await subject.forward(copy("/other/key?versionId=v.1"))
    assert dict(subject.validator.asked[1].query) == {"versionId": "v.1"}


@WAYS
async def test_a_part_that_is_copied_is_a_read_too(copy: Copy) -> None:
    subject = bench()
    head = copy("/other/key", "/demo/key")
    if copy is in_header:
        head = signed_head("PUT", "/demo/key?partNumber=1&uploadId=1", (("x-amz-copy-source", "/other/key"),))
    else:
        query = (("x-amz-copy-source", "/other/key"), ("partNumber", "1"), ("uploadId", "1"))
        head = presigned_head("PUT", query=query)
    await subject.forward(head)
    assert [request.operation for request in subject.validator.asked] == ["UploadPartCopy", "GetObject"]


@WAYS
@pytest.mark.parametrize("denied", ["private", "demo"])
async def test_a_copy_needs_both_permissions(copy: Copy, denied: str) -> None:
    subject = bench(lambda request: request.bucket != denied)
    assert (await subject.refusal(copy("/private/secret"))).error.code == "AccessDenied"


@WAYS
async def test_a_copy_from_an_object_that_may_not_be_read_is_denied(copy: Copy) -> None:
    subject = bench(lambda request: request.operation != "GetObject")
    assert (await subject.refusal(copy("/demo/other"))).error.code == "AccessDenied"


@pytest.mark.parametrize(
    "source",
    ["private/x", "/private/x", "private%2Fx", "%2Fprivate%2Fx", "%70rivate/x", "private/x?versionId=1", "private//x"],
)
@WAYS
async def test_no_spelling_of_the_source_gets_around_the_validator(copy: Copy, source: str) -> None:
    subject = bench(lambda request: request.bucket != "private")
    assert (await subject.refusal(copy(source))).error.code == "AccessDenied"


@pytest.mark.parametrize(
    "source", ["demo/../private/x", "demo/a/../../private/x", "demo/%2e%2e/private/x", "../private/x", "demo/./x"]
)
@pytest.mark.parametrize("everything", [False, True], ids=["listed buckets", "catch-all"])
async def test_under_path_style_a_copy_source_must_not_climb_out_of_its_bucket(source: str, everything: bool) -> None:
    store = {**STORE, "addressing_style": "path"}
    subject = bench(cos_map={"demo": store, "private": store, **({"*": store} if everything else {})})
    assert isinstance(await subject.admit(in_header(source)), Refusal)


@pytest.mark.parametrize("source", ["..", "-", "a%20b", "a%00b", "%25", "arn%3Aaws"])
async def test_a_source_bucket_that_cannot_be_one_is_refused_even_with_a_catch_all(source: str) -> None:
    subject = bench(cos_map={"*": STORE})
    assert isinstance(await subject.admit(in_header(f"{source}/key")), Refusal)


@WAYS
@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("/other/key", "theirs/key"),
        ("other/a+b%20%C3%A4", "theirs/a%2Bb%20%C3%A4"),
        ("/other/key?versionId=1", "theirs/key?versionId=1"),
        ("/demo/key2", "demo/key2"),
    ],
)
async def test_the_source_is_sent_under_the_backends_name(copy: Copy, source: str, sent: str) -> None:
    forward = await bench().forward(copy(source))
    assert header(forward, "x-amz-copy-source") == sent
    assert "copy-source" not in forward.target.lower()
    assert_botocore_agrees(forward)


async def test_a_source_in_the_query_and_another_in_a_header_is_refused() -> None:
    head = presigned_head(
        "PUT", query=(("x-amz-copy-source", "/demo/a"),), headers=(("x-amz-copy-source", "/private/b"),)
    )
    assert isinstance(await bench().admit(head), Refusal)


async def test_a_source_that_is_not_signed_is_refused() -> None:
    head = signed_head("PUT", unsigned=(("x-amz-copy-source", "/private/secret"),))
    assert (await bench().refusal(head)).error.code == "AccessDenied"


async def test_a_source_in_the_query_of_a_signed_request_is_refused() -> None:
    head = signed_head("PUT", "/demo/key?x-amz-copy-source=%2Fprivate%2Fsecret")
    assert (await bench().refusal(head)).error.code == "InvalidArgument"


@pytest.mark.parametrize(
    "head",
    [
        signed_head("GET", headers=(("x-amz-copy-source", "/private/secret"),)),
        signed_head("PUT", "/demo", headers=(("x-amz-copy-source", "/private/secret"),)),
        signed_head("PUT", "/demo/key?acl", headers=(("x-amz-copy-source", "/private/secret"),)),
        signed_head("POST", "/demo/key?uploads", headers=(("x-amz-copy-source", "/private/secret"),)),
        signed_head("DELETE", headers=(("x-amz-copy-source", "/private/secret"),)),
    ],
    ids=lambda head: f"{head.method} {head.path}?{head.query}",
)
async def test_an_operation_that_copies_nothing_takes_no_source(head: RequestHead) -> None:
    subject = bench()
    assert (await subject.refusal(head)).error.code == "InvalidArgument"
    assert subject.validator.asked == []


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("demo", "InvalidArgument"),
        ("/no-such/key", "NoSuchBucket"),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/a/object/k", "NotImplemented"),
        ("demo/key?acl", "InvalidArgument"),
    ],
)
async def test_a_source_that_is_none_is_refused(source: str, code: str) -> None:
    assert (await bench().refusal(in_header(source))).error.code == code


@pytest.mark.parametrize(
    "different", [{"host": "far.example.test"}, {"port": 9000}, {"is_tls_enabled": False}], ids=str
)
async def test_a_source_on_another_backend_is_not_implemented(different: dict[str, Any]) -> None:
    subject = bench(cos_map={"demo": STORE, "other": {**STORE, **different}})
    assert (await subject.refusal(in_header("/other/key"))).error.code == "NotImplemented"


async def test_a_copy_counts_as_remembered_only_where_both_answers_were() -> None:
    subject = bench()
    verdicts = [(await subject.forward(in_header(f"/other/{key}"))).verdict for key in ("a", "a", "b")]
    assert [verdict.cached for verdict in verdicts] == [False, True, False]


async def test_the_read_of_a_source_is_remembered_as_long_as_its_own_bucket_says() -> None:
    subject = bench(cos_map={"demo": STORE, "other": {**STORE, "ttl": 0}})
    for _ in range(2):
        await subject.forward(in_header("/other/key"))
    assert [request.operation for request in subject.validator.asked] == ["CopyObject", "GetObject", "GetObject"]
