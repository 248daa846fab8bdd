"""A client that knows its own part of a bucket tries to reach, or to learn of, what is around it."""

from __future__ import annotations

import http.client

import pytest

from support.processes import Store, config_for, gateway
from support.raw_s3 import send_signed
from support.recorder import Answer, Recorder

SECRET = ("hidden-prefix", "whole-bucket")
XML = (("Content-Type", "application/xml"),)


@pytest.fixture(scope="module")
def recorder():
    with Recorder().running() as running:
        yield running


@pytest.fixture(scope="module")
def running(recorder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacks")
    part = "{**STORE, 'bucket': 'whole-bucket', 'prefix': 'hidden-prefix/'"
    buckets = f"'part': {part}}}, 'hosted': {part}, 'host': 's3.localhost'}},"
    with gateway(folder, config_for(Store(recorder.port, folder), extra_buckets=buckets)) as process:
        yield process


@pytest.fixture
def store(recorder):
    recorder.clear()
    return recorder


def ask(running, method, target, **more):
    answer = send_signed(method, running.url, target, **more)
    assert not any(secret in f"{answer.headers}{answer.body!r}" for secret in SECRET)
    return answer


@pytest.mark.parametrize("bucket", ["part", "hosted"])
@pytest.mark.parametrize(
    "key",
    [
        "../outside/x",
        "%2e%2e/outside/x",
        "%2E%2E%2Foutside/x",
        "a/../../outside/x",
        "./x",
        "x/.",
        "/",
        "%2f",
        "//",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_no_spelling_of_a_key_leads_out(running, store, bucket, key, method):
    # 403: the signature of what is spelled in this way is not the one of what was asked for.
    assert ask(running, method, f"/{bucket}/{key}").status in (400, 403)
    assert store.requests == []


@pytest.mark.parametrize("key", ["..%5Coutside", "hidden-prefix/x", "..a", "a..", "%252e%252e/x", "~", "a//b", "%00x"])
def test_other_keys_stay_below(running, store, key):
    ask_status = send_signed("GET", running.url, f"/part/{key}").status
    assert ask_status == 200
    assert store.only.path.startswith("/whole-bucket/hidden-prefix/")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "prefix=",
        "prefix=..%2F",
        "prefix=hidden-prefix%2F",
        "delimiter=%2F",
        "delimiter=hidden",
        "marker=a",
        "marker=",
        "list-type=2",
        "list-type=2&start-after=a",
        "list-type=2&prefix=%2F&delimiter=%2F",
        "versions",
        "versions&key-marker=a&version-id-marker=1",
        "uploads",
        "uploads&key-marker=a&upload-id-marker=1",
        "x-id=ListObjects",
        "allow-unordered=true",
    ],
)
def test_every_listing_is_of_the_part(running, store, query):
    store.answer = Answer(200, XML, b"<L/>")
    ask(running, "GET", f"/part?{query}")
    (prefix,) = [pair for pair in store.only.query if pair.startswith("prefix=")]
    assert prefix.startswith("prefix=hidden-prefix%2F")
    for pair in store.only.query:
        name, _, value = pair.partition("=")
        if name in ("marker", "start-after", "key-marker"):
            assert value == "" or value.startswith("hidden-prefix%2F")


@pytest.mark.parametrize(
    "query",
    [
        "list-type=1",
        "list-type=2&list-type=2",
        "list-type=3",
        "prefix=a&prefix=b",
        "Prefix=a",
        "%70refix=a&prefix=b",
        "list-type=2&marker=a&versions",
        "list-type=2&continuation-token=b3V0c2lkZQ==",
        "list-type=2&continuation-token=hidden-prefix%2Fa",
        "metadata=true",
        "search=a",
        "location&prefix=a",
        "x-oss-process=a",
        "x-goog-copy-source=a",
        "policy",
        "acl",
        "versioning",
        "lifecycle",
        "object-lock",
        "replication",
        "inventory",
        "notification",
        "website",
        "logging",
        "tagging",
    ],
)
def test_other_questions_about_the_bucket_are_refused(running, store, query):
    assert ask(running, "GET", f"/part?{query}").status in (400, 403, 501)
    assert store.requests == []


@pytest.mark.parametrize(
    ("method", "query"),
    [("PUT", ""), ("DELETE", ""), ("PUT", "policy"), ("DELETE", "policy"), ("PUT", "acl"), ("PUT", "versioning")],
)
def test_the_bucket_as_a_whole_is_out_of_reach(running, store, method, query):
    assert ask(running, method, f"/part?{query}".rstrip("?")).status == 403
    assert store.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-copy-source": "whole-bucket/outside"},
        {"x-amz-copy-source": "part/../outside"},
        {"x-amz-copy-source": "/part/%2e%2e/outside"},
        {"x-amz-copy-source": "part//"},
        {"x-amz-copy-source": "part"},
        {"x-amz-copy-source": "arn:aws:s3:us-east-1:123456789012:accesspoint/x/object/k"},
        {"x-goog-copy-source": "whole-bucket/outside"},
        {"x-amz-meta-snowball-auto-extract": "true"},
        {"x-amz-website-redirect-location": "/../outside"},
    ],
    ids=str,
)
def test_nothing_is_copied_or_unpacked_elsewhere(running, store, headers):
    assert send_signed("PUT", running.url, "/part/key", headers=headers).status in (400, 404, 501)
    assert store.requests == []


def test_an_error_about_a_copy_into_another_bucket_does_not_tell_of_its_source(running, store):
    store.answer = Answer(
        404,
        XML,
        b"<Error><Code>NoSuchKey</Code><Message>whole-bucket/hidden-prefix/k</Message><Key>hidden-prefix/k</Key></Error>",
    )
    answer = ask(running, "PUT", "/demo/to", headers={"x-amz-copy-source": "/part/k"})
    assert (answer.status, answer.code) == (404, "NoSuchKey")
    assert store.only["x-amz-copy-source"] == "whole-bucket/hidden-prefix/k"


def test_a_copy_within_the_part_stays_there(running, store):
    store.answer = Answer(200, XML, b"<CopyObjectResult><ETag>0</ETag></CopyObjectResult>")
    ask(running, "PUT", "/part/to", headers={"x-amz-copy-source": "/part/a%20b?versionId=1"})
    assert store.only["x-amz-copy-source"] == "whole-bucket/hidden-prefix/a%20b?versionId=1"
    assert store.only.path == "/whole-bucket/hidden-prefix/to"
    assert store.only.is_signed_by()


@pytest.mark.parametrize(
    "document",
    [
        b"<L><Contents><Key>outside</Key></Contents></L>",
        b"<L><Contents><Key>hidden-prefix/a</Key></Contents><Contents><Key>outside</Key></Contents></L>",
        b"<L><CommonPrefixes><Prefix>hidden-</Prefix></CommonPrefixes></L>",
        b'<!DOCTYPE L [<!ENTITY x "hidden-prefix">]><L>&x;</L>',
        b"hidden-prefix/a\nwhole-bucket",
        b'{"keys": ["hidden-prefix/a"]}',
        b"\x1f\x8bhidden-prefix",
    ],
)
def test_a_listing_that_tells_too_much_is_cut_off(running, store, document):
    store.answer = Answer(200, XML, document)
    try:
        answer = ask(running, "GET", "/part?list-type=2")
    except (http.client.HTTPException, ConnectionError):
        return
    raise AssertionError(f"it was answered with {answer.status} {answer.body!r}")


@pytest.mark.parametrize("content_type", ["application/xml", "text/html", "text/plain", "application/json"])
@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 409, 500, 503])
@pytest.mark.parametrize(
    "body",
    [
        b"<Error><Code>X</Code><Message>whole-bucket/hidden-prefix/k</Message><Endpoint>whole-bucket.s3</Endpoint>"
        b"<StringToSign>/whole-bucket/hidden-prefix/k</StringToSign></Error>",
        b"<html>/whole-bucket/hidden-prefix/k</html>",
        b"/whole-bucket/hidden-prefix/k",
    ],
)
def test_no_error_tells_of_the_prefix(running, store, status, content_type, body):
    headers = (
        ("Content-Type", content_type),
        ("Location", "http://whole-bucket.store/hidden-prefix/k"),
        ("x-store-path", "/whole-bucket/hidden-prefix/k"),
    )
    store.answer = Answer(status, headers, body)
    answer = ask(running, "GET", "/part/k")
    assert answer.status == status
    assert answer.code
    assert ask(running, "HEAD", "/part/k").status == status


def test_an_error_that_is_compressed_is_told_anew(running, store):
    store.answer = Answer(403, (*XML, ("Content-Encoding", "gzip")), b"\x1f\x8bhidden-prefix")
    answer = ask(running, "GET", "/part/k")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "content-encoding" not in answer.headers


def test_content_is_never_touched(running, store):
    content = b"<L><Key>outside</Key>hidden-prefix whole-bucket</L>"
    store.answer = Answer(200, XML, content)
    answer = send_signed("GET", running.url, "/part/k")
    assert (answer.body, answer.headers["content-length"]) == (content, str(len(content)))


def test_a_continuation_token_is_sealed_and_comes_back_to_the_store_as_it_was(running, store):
    body = b"<R><Name>whole-bucket</Name><NextContinuationToken>hidden-prefix/a b</NextContinuationToken></R>"
    store.answer = Answer(200, XML, body)
    answer = ask(running, "GET", "/part?list-type=2")
    token = answer.body.decode().partition("<NextContinuationToken>")[2].partition("<")[0]
    store.clear()
    store.answer = Answer(200, XML, b"<R/>")
    ask(running, "GET", f"/part?list-type=2&continuation-token={token}")
    assert "continuation-token=hidden-prefix%2Fa%20b" in store.only.query
    store.clear()
    assert ask(running, "GET", f"/hosted?list-type=2&continuation-token={token}").code == "InvalidArgument"
    assert store.requests == []


def test_versions_are_of_the_part(running, store):
    store.answer = Answer(
        200,
        XML,
        b"<ListVersionsResult><Name>whole-bucket</Name><Prefix>hidden-prefix/</Prefix><KeyMarker></KeyMarker>"
        b"<Version><Key>hidden-prefix/a</Key><VersionId>1</VersionId></Version>"
        b"<DeleteMarker><Key>hidden-prefix/b</Key></DeleteMarker></ListVersionsResult>",
    )
    assert ask(running, "GET", "/part?versions").body == (
        b"<ListVersionsResult><Name>part</Name><Prefix></Prefix><KeyMarker></KeyMarker>"
        b"<Version><Key>a</Key><VersionId>1</VersionId></Version>"
        b"<DeleteMarker><Key>b</Key></DeleteMarker></ListVersionsResult>"
    )
    store.clear()
    ask(running, "DELETE", "/part/a?versionId=1")
    assert store.only.target == "/whole-bucket/hidden-prefix/a?versionId=1"
