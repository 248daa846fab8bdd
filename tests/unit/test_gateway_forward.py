"""What is forwarded, and that botocore finds its signature right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osp_gateway.backends.iam import HttpReply
from osp_gateway.backends.routes import Endpoint
from osp_gateway.s3.address import is_path_like
from osp_gateway.sigv4.payload import Sha256Body, UnsignedBody
from support.heads import (
    BACKEND,
    CLIENT,
    HOST,
    NOW,
    SOURCE,
    STORE,
    UNSIGNED_PAYLOAD,
    Bench,
    Iam,
    assert_botocore_agrees,
    header,
    presigned_head,
    signed_head,
    token_reply,
)

PATH_STYLE = {**STORE, "addressing_style": "path"}


@pytest.mark.parametrize(
    "head",
    [
        signed_head(),
        signed_head("HEAD"),
        signed_head("DELETE"),
        signed_head("GET", "/demo"),
        signed_head("GET", "/demo/?list-type=2&prefix=a%2Fb%20c&delimiter=%2F"),
        signed_head("POST", "/demo/key?uploads"),
        signed_head("PUT", "/demo/key?partNumber=1&uploadId=a.b_c-", body=b"part"),
        signed_head("PUT", "/demo/a%20b%2Bc+d%c3%a4//e/", (("content-type", "text/plain"),), body=b"x"),
        signed_head("PUT", headers=(("x-amz-meta-a", "  two   words "), ("x-amz-acl", "private")), body=b"x"),
        signed_head("PUT", headers=(("x-amz-meta-name", "\xc3\xa4"),), payload_hash=UNSIGNED_PAYLOAD),
        signed_head("GET", headers=(("range", "bytes=0-1"), ("if-none-match", '"etag"'))),
        signed_head(unsigned=(("user-agent", "x"), ("accept", "*/*"), ("X-Other", "1"), ("x-other", "2"))),
        presigned_head(),
        presigned_head("PUT"),
        presigned_head(query=(("response-content-type", "text/plain; a=b"), ("versionId", "1"))),
        presigned_head("PUT", query=(("x-amz-acl", "private"), ("x-amz-meta-a", "b c"))),
    ],
    ids=lambda head: f"{head.method} {head.path}?{head.query[:40]} {len(head.headers)}",
)
@pytest.mark.parametrize("store", [STORE, PATH_STYLE], ids=["virtual", "path"])
async def test_botocore_finds_the_outgoing_signature_right(head: Any, store: Any) -> None:
    assert_botocore_agrees(await Bench(cos_map={"demo": store}).forward(head))


BENCH = Bench(cos_map={"demo": PATH_STYLE})
key_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(
    key_text.filter(lambda key: not is_path_like(key)),
    st.dictionaries(st.sampled_from(["prefix", "marker", "delimiter"]), key_text, max_size=3),
    st.dictionaries(
        st.sampled_from(["x-amz-meta-a", "content-language"]), st.from_regex(r"[!-~]( ?[!-~]){0,9}", fullmatch=True)
    ),
)
async def test_botocore_finds_it_right_for_any_key_query_and_metadata(
    key: str, query: dict[str, str], metadata: dict[str, str]
) -> None:
    from osp_gateway.s3 import encoding

    raw = "&".join(f"{name}={encoding.encode(value.encode())}" for name, value in query.items())
    listing = signed_head("GET", f"/demo?{raw}")
    upload = signed_head("PUT", f"/demo/{encoding.encode(key.encode())}", tuple(metadata.items()), body=b"x")
    for head in (listing, upload):
        assert_botocore_agrees(await BENCH.forward(head))


async def test_the_client_key_does_not_reach_the_backend() -> None:
    forward = await Bench().forward(signed_head())
    assert CLIENT.access_key not in f"{forward.headers}{forward.target}"


async def test_nothing_of_a_presigned_urls_authentication_reaches_the_backend() -> None:
    forward = await Bench().forward(presigned_head(query=(("versionId", "1"),)))
    assert forward.target == "/key?versionId=1"
    assert CLIENT.access_key not in f"{forward.headers}"


@pytest.mark.parametrize("arrives", ["/demo/a%20b", "/a%20b"])
@pytest.mark.parametrize(
    ("store", "target", "host"),
    [(STORE, "/a%20b", "demo.store.example.test"), (PATH_STYLE, "/demo/a%20b", "store.example.test")],
    ids=["virtual", "path"],
)
async def test_either_style_in_becomes_either_style_out(arrives: str, store: Any, target: str, host: str) -> None:
    head = signed_head(target=arrives, host=HOST if arrives.startswith("/demo") else "demo.osp.localhost:6190")
    forward = await Bench(cos_map={"demo": store}).forward(head)
    assert (forward.target, header(forward, "host")) == (target, host)
    assert (forward.verdict.bucket, forward.verdict.key) == ("demo", "a b")


async def test_a_bucket_goes_to_the_backend_by_its_name_there() -> None:
    bench = Bench(cos_map={"demo": {**STORE, "bucket": "theirs"}})
    forward = await bench.forward()
    assert header(forward, "host") == "theirs.store.example.test"
    assert bench.validator.asked[0].bucket == "demo"
    assert (forward.names.client_bucket, forward.names.backend_bucket) == ("demo", "theirs")
    assert_botocore_agrees(forward)


async def test_the_clients_location_is_remembered_for_the_response() -> None:
    head = signed_head("POST", "/demo/a%20b?uploadId=1")
    assert (await Bench().forward(head)).names.location == f"http://{HOST}/demo/a%20b"
    assert (await Bench().forward(head, tls=True)).names.location == f"https://{HOST}/demo/a%20b"


async def test_the_region_is_the_backends_and_not_the_clients() -> None:
    store = {**STORE, "host": "s3.eu-west-3.amazonaws.com", "region": None}
    forward = await Bench(cos_map={"demo": store}).forward(signed_head(region="us-west-9"))
    assert_botocore_agrees(forward, region="eu-west-3")


async def test_the_date_is_the_gateways_and_not_the_clients() -> None:
    assert header(await Bench().forward(signed_head(now=NOW - 300)), "x-amz-date") == "20260101T120000Z"


async def test_the_payload_hash_that_was_verified_is_the_one_that_is_signed() -> None:
    head = signed_head("PUT", body=b"content")
    forward = await Bench().forward(head)
    assert header(forward, "x-amz-content-sha256") == head.get("x-amz-content-sha256")
    assert isinstance(forward.body, Sha256Body)
    assert forward.body.feed(b"content") + forward.body.finish() == b"content"


@pytest.mark.parametrize("head", [signed_head("PUT", payload_hash=UNSIGNED_PAYLOAD), presigned_head("PUT")])
async def test_an_unsigned_payload_stays_unsigned(head: Any) -> None:
    forward = await Bench().forward(head)
    assert header(forward, "x-amz-content-sha256") == UNSIGNED_PAYLOAD
    assert isinstance(forward.body, UnsignedBody)


async def test_the_validator_sees_what_is_forwarded() -> None:
    bench = Bench()
    await bench.forward(signed_head("GET", "/demo/a%20b%2Fc?versionId=a%2Bb", (("Range", "bytes=0-1"),)))
    (request,) = bench.validator.asked
    assert (request.token, request.bucket, request.key) == (CLIENT.access_key, "demo", "a b/c")
    assert (request.method, request.operation, request.path) == ("GET", "GetObject", "/demo/a%20b/c")
    assert dict(request.query) == {"versionId": "a+b"}
    assert dict(request.headers) == {"host": HOST, "range": "bytes=0-1"}
    assert request.source == SOURCE


async def test_headers_that_a_presigned_url_carries_become_headers() -> None:
    bench = Bench()
    forward = await bench.forward(presigned_head("PUT", query=(("x-amz-acl", "private"), ("X-Amz-Meta-A", "b c"))))
    assert (header(forward, "x-amz-acl"), header(forward, "x-amz-meta-a")) == ("private", "b c")
    assert forward.target == "/key"
    assert bench.validator.asked[0].headers["x-amz-acl"] == "private"
    assert "x-amz-acl" not in bench.validator.asked[0].query
    assert_botocore_agrees(forward)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-a", "1\r\nhost: other.example.test"),
        ("x-amz-meta-a", "1\r\n\r\nGET /private/key HTTP/1.1\r\nx: "),
        ("x-amz-meta-a", "1\n"),
        ("x-amz-meta-a", "1\r"),
        ("x-amz-meta-a", "\0"),
        ("x-amz-meta-a\r\nhost", "other.example.test"),
        ("x-amz-copy_source", "/private/key"),
        ("x-amz_copy-source", "/private/key"),
    ],
    ids=repr,
)
async def test_a_presigned_url_cannot_smuggle_anything_in_a_header(name: str, value: str) -> None:
    outcome = await Bench().admit(presigned_head("PUT", query=((name, value),)))
    sent = [f"{n}: {v}" for n, v in getattr(outcome, "headers", ())]
    assert not any("\r" in line or "\n" in line or "\0" in line for line in sent)
    assert not any("_" in line.partition(":")[0] for line in sent)


async def test_a_bucket_without_a_host_goes_to_the_reverse_target() -> None:
    store = {k: v for k, v in STORE.items() if k not in ("host", "port")}
    forward = await Bench(cos_map={"demo": store}).forward(
        default_endpoint=Endpoint("target.example.test", 9000, False)
    )
    assert header(forward, "host") == "demo.target.example.test:9000"
    assert_botocore_agrees(forward)


IBM = {"host": "s3.eu-de.cloud-object-storage.appdomain.cloud", "apikey": "fake-api-key"}


async def test_with_an_api_key_the_request_carries_a_token_and_no_signature() -> None:
    bench = Bench(cos_map={"demo": IBM})
    forward = await bench.forward(signed_head("PUT", headers=(("x-amz-acl", "private"),), body=b"x"))
    assert header(forward, "authorization") == "Bearer fake-iam-token"
    assert header(forward, "x-amz-acl") == "private"
    assert bench.iam.asked[0][1]["apikey"] == "fake-api-key"


async def test_the_token_is_asked_for_once() -> None:
    bench = Bench(cos_map={"demo": IBM})
    for _ in range(3):
        await bench.forward()
    assert len(bench.iam.asked) == 1


async def test_without_a_token_the_bucket_is_unavailable() -> None:
    refusal = await Bench(Iam(HttpReply(400, b"")), cos_map={"demo": IBM}).refusal()
    assert (refusal.error.code, refusal.error.status) == ("ServiceUnavailable", 503)
    assert "400" in refusal.verdict.reason


async def test_a_denied_request_asks_for_no_token() -> None:
    bench = Bench(cos_map={"demo": IBM}, validator=lambda token, bucket: False)
    await bench.refusal()
    assert bench.iam.asked == []


async def test_fetched_credentials_with_a_session_token_are_used() -> None:
    fetched = {"access_key": "a", "secret_key": "fake", "session_token": "fake-session"}
    bench = Bench(cos_map={"demo": {"host": "h.example.test"}}, bucket_creds_fetcher=lambda token, bucket: fetched)
    forward = await bench.forward()
    assert header(forward, "x-amz-security-token") == "fake-session"


async def test_a_fetched_api_key_becomes_a_token() -> None:
    bench = Bench(
        Iam(token_reply("fetched-fake-token")),
        cos_map={"demo": {"host": "h.example.test"}},
        bucket_creds_fetcher=lambda token, bucket: f"fake-key-of-{token}-{bucket}",
    )
    assert header(await bench.forward(), "authorization") == "Bearer fetched-fake-token"
    assert bench.iam.asked[0][1]["apikey"] == f"fake-key-of-{CLIENT.access_key}-demo"


async def test_neither_outcome_nor_verdict_shows_a_secret() -> None:
    bench = Bench(cos_map={"demo": STORE, "ibm": IBM}, validator=lambda token, bucket: bucket != "closed")
    outcomes = [
        await bench.admit(head)
        for head in (signed_head(), signed_head(target="/ibm/key"), presigned_head(), signed_head(target="/"))
    ]
    told = "".join(repr(outcome) for outcome in outcomes) + "".join(str(outcome.verdict) for outcome in outcomes)
    for secret in (BACKEND.secret_key, CLIENT.secret_key, "fake-iam-token", "fake-api-key", "Signature"):
        assert secret not in told
